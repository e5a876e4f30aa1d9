"""Calls /test.Echo/Say of `xds:///SERVICE` all the time, for tests.

usage: xds_caller.py SERVICE SECONDS_A_CALL, with GRPC_XDS_BOOTSTRAP_CONFIG in the environment. For
each call prints the id that answered, or `FAILED` and why. SIGTERM ends it.
"""
import sys
import time

import grpc

service, pause = sys.argv[1], float(sys.argv[2])
channel = grpc.insecure_channel(f"xds:///{service}")
call = channel.unary_unary("/test.Echo/Say")
while True:
    try:
        print(call(b"", timeout=10, wait_for_ready=True).decode(), flush=True)
    except grpc.RpcError as error:
        print("FAILED", error.code().name, error.details(), flush=True)
    time.sleep(pause)
