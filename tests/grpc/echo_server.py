"""An instance of a service for tests: answers /test.Echo/Say with its id, and holds its registration.

usage: echo_server.py AGENT STUBS SERVICE ID
Prints `ready` once DNS answers with it. SIGTERM ends it as a program should end: it withdraws its
registration, waits for callers to have heard of that, and lets the calls under way finish.
"""
import concurrent.futures
import queue
import signal
import sys
import threading

agent, stubs_folder, service, instance_id = sys.argv[1:]
sys.path.insert(0, stubs_folder)

import grpc
from proto import discovery_pb2 as pb
from proto import discovery_pb2_grpc as stubs

HEARD_SECONDS = 0.3
DRAIN_SECONDS = 3

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *unused: stop.set())

server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
say = grpc.unary_unary_rpc_method_handler(lambda request, context: instance_id.encode())
server.add_generic_rpc_handlers(
    [grpc.method_handlers_generic_handler("test.Echo", {"Say": say})])
port = server.add_insecure_port("127.0.0.1:0")
server.start()

requests = queue.Queue()
requests.put(pb.HoldRequest(open=pb.HoldOpen(instances=[pb.InstanceSpec(
    service=service, id=instance_id, address="127.0.0.1", port=port)])))
responses = stubs.RegistrationStub(grpc.insecure_channel(agent)).Hold(iter(requests.get, None))
assert next(responses).HasField("opened")
print("ready", port, flush=True)
while not stop.wait(0.05):
    pass
requests.put(pb.HoldRequest(release=pb.HoldRelease()))
next(responses)
threading.Event().wait(HEARD_SECONDS)
server.stop(DRAIN_SECONDS).wait()
