"""A holder for tests to kill: holds what the arguments say, and says so on standard output.

usage: holder.py ADDRESS STUBS [--grace-ms N] [--ttl-ms N] [--address A] SERVICE:ID:PORT...
Prints `held INDEX LEASE` each time it holds, and comes back when its agent does. A line on standard
input ends it: `release` gives the lease up first.
"""
import argparse
import queue
import sys
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("agent")
parser.add_argument("stubs")
parser.add_argument("--grace-ms", type=int, default=0)
parser.add_argument("--ttl-ms", type=int, default=0)
parser.add_argument("--address", default="127.0.0.9")
parser.add_argument("instances", nargs="+")
options = parser.parse_args()
sys.path.insert(0, options.stubs)

import grpc
from proto import discovery_pb2 as pb
from proto import discovery_pb2_grpc as stubs


def specs():
    for text in options.instances:
        service, instance_id, port = text.split(":")
        yield pb.InstanceSpec(service=service, id=instance_id, port=int(port),
                              address=options.address)


requests = queue.Queue()
lease_id = ""
released = threading.Event()


def take_commands():
    line = sys.stdin.readline()
    if line.strip() == "release":
        requests.put(pb.HoldRequest(release=pb.HoldRelease()))
    else:
        requests.put(None)
    released.set()


threading.Thread(target=take_commands, daemon=True).start()
channel = grpc.insecure_channel(options.agent, options=[
    ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100), ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 1000)])
while True:
    requests.put(pb.HoldRequest(request_number=1, open=pb.HoldOpen(
        lease_id=lease_id, grace_ms=options.grace_ms, ttl_ms=options.ttl_ms, instances=specs())))
    try:
        for response in stubs.RegistrationStub(channel).Hold(iter(requests.get, None)):
            if response.HasField("opened"):
                lease_id = response.opened.lease_id
                print("held", response.opened.index, lease_id, flush=True)
        if released.is_set():
            break
    except grpc.RpcError as error:
        print("lost", error.code().name, error.details(), flush=True)
        if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ABORTED):
            sys.exit(1)
        time.sleep(0.02)
    requests = queue.Queue()
