#!/usr/bin/python3
"""Registers a service for as long as this program runs. usage: register.py SERVICE PORT [AGENT]

Needs Debian's python3-grpcio and stubs, made once in this folder by
  protoc --proto_path=../.. --python_out=. --grpc_python_out=. \\
    --plugin=protoc-gen-grpc_python=$(which grpc_python_plugin) ../../proto/discovery.proto
"""
import queue
import sys
import time

import grpc
from proto import discovery_pb2, discovery_pb2_grpc


def hold(channel, instance):
    """Holds the registration, and comes back whenever the agent does."""
    registration = discovery_pb2_grpc.RegistrationStub(channel)
    lease_id = ""
    while True:
        requests = queue.Queue()  # The stream stays open while this is not ended by None.
        requests.put(discovery_pb2.HoldRequest(
            open=discovery_pb2.HoldOpen(lease_id=lease_id, instances=[instance])))
        try:
            for response in registration.Hold(iter(requests.get, None)):
                lease_id = response.opened.lease_id or lease_id
                print(f"{instance.service} is found from index {response.opened.index} on",
                      flush=True)
        except grpc.RpcError as error:
            print(f"not registered: {error.code().name}: {error.details()}", flush=True)
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED):
                sys.exit(1)  # It would be said again.
        requests.put(None)
        time.sleep(0.2)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    # Without pings, a connection that a network lost is noticed minutes later.
    pings = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 1000)]
    hold(grpc.insecure_channel(sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1:8502", pings),
         discovery_pb2.InstanceSpec(service=sys.argv[1], port=int(sys.argv[2])))
