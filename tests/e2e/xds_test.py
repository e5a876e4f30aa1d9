#!/usr/bin/env python3
"""xDS, with gRPC's own xDS client (python3-grpcio) and by hand where that has none (incremental)."""
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import grpc_client

grpc_client.use_debian_python()
import lib

import grpc

STUBS = grpc_client.make_stubs(
    grpc_client.PROTOS + [str(path.relative_to(lib.ROOT))
                          for path in sorted((lib.ROOT / "proto" / "xds").glob("*.proto"))])
from proto import discovery_pb2 as pb
from proto import discovery_pb2_grpc as stubs
from proto.xds import ads_pb2
from proto.xds import ads_pb2_grpc
from proto.xds import endpoint_pb2

TOOLS = lib.ROOT / "tests" / "grpc"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class Process:
    """A program of tests/grpc whose lines of output are kept, for use in `with`."""

    def __init__(self, program, *arguments, env=None):
        self.lines = []
        self.process = subprocess.Popen(
            [grpc_client.DEBIAN_PYTHON, str(TOOLS / program), *arguments], text=True,
            stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def wait_for(self, what, seconds=60):
        """Waits until `what(lines)`, and returns the lines until then."""
        deadline = time.monotonic() + seconds
        while not what(self.lines):
            if time.monotonic() > deadline:
                raise AssertionError(f"not in {seconds} s; the last lines: {self.lines[-5:]}")
            time.sleep(0.01)
        return list(self.lines)

    def drain(self):
        """Ends as a program should end."""
        self.process.terminate()
        return self.process.wait(60)


class XdsTest(lib.AgentTest):
    # No ping is missed while a test runs, however busy the machine.
    config = {"grpc_config": {"keepalive_interval": "10m", "keepalive_timeout": "10m"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = f"127.0.0.1:{cls.agent.ports['grpc']}"
        cls.channel = grpc.insecure_channel(cls.address)
        cls.addClassCleanup(cls.channel.close)

    def server(self, instance_id, service="orders"):
        process = Process("echo_server.py", self.address, STUBS.name, service, instance_id)
        self.addCleanup(process.__exit__)
        process.wait_for(lambda lines: any(line.startswith("ready") for line in lines))
        return process

    def caller(self, service="orders", pause=0.002):
        bootstrap = {"xds_servers": [{"server_uri": self.address,
                                      "channel_creds": [{"type": "insecure"}],
                                      "server_features": ["xds_v3"]}],
                     "node": {"id": "test"}}
        process = Process("xds_caller.py", service, str(pause),
                          env={"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)})
        self.addCleanup(process.__exit__)
        return process


class NamesInDns(XdsTest):
    """Clients that know no xDS: gRPC's own resolver asks the agent's DNS."""

    def test_finds_instances_by_name(self):
        port = self.server("by-name", "named").lines[0].split()[1]
        target = f"dns://127.0.0.1:{self.agent.dns_port}/named.service.consul:{port}"
        with grpc.insecure_channel(target) as channel:
            say = channel.unary_unary("/test.Echo/Say")
            self.assertEqual(say(b"", timeout=60, wait_for_ready=True), b"by-name")


class RealClient(XdsTest):
    def test_survives_a_rolling_restart_without_a_failed_call(self):
        servers = [self.server(f"a{i}") for i in range(3)]
        caller = self.caller()
        caller.wait_for(lambda lines: {"a0", "a1", "a2"} <= set(lines))
        for i, server in enumerate(servers):
            self.server(f"b{i}")
            caller.wait_for(lambda lines, new=f"b{i}": new in lines)
            self.assertEqual(server.drain(), 0)
        seen = len(caller.lines)
        lines = caller.wait_for(lambda lines: len(lines) > seen + 200)
        self.assertEqual([line for line in lines if line.startswith("FAILED")], [])
        self.assertEqual(set(lines[seen + 20:]), {"b0", "b1", "b2"})
        self.assertGreater(len(lines), 500)

    def test_hears_of_a_killed_instance(self):
        killed, stays = self.server("k1", "killed"), self.server("k2", "killed")
        caller = self.caller("killed")
        caller.wait_for(lambda lines: {"k1", "k2"} <= set(lines))
        killed.process.kill()
        seen = len(caller.lines)
        lines = caller.wait_for(lambda lines: len(lines) > seen + 200)
        self.assertLessEqual(len([line for line in lines if line.startswith("FAILED")]), 1)
        self.assertEqual(set(lines[-100:]), {"k2"})
        self.assertIsNone(stays.process.poll())

    def test_waits_for_a_service_that_is_not_there_yet(self):
        caller = self.caller("later")
        time.sleep(0.5)  # So that it asks before there is anything to be told.
        self.assertEqual(caller.lines, [])
        self.server("l1", "later")
        caller.wait_for(lambda lines: "l1" in lines)


class ByHand(XdsTest):
    def setUp(self):
        self.ads = ads_pb2_grpc.AggregatedDiscoveryServiceStub(self.channel)
        self.registration = stubs.RegistrationStub(self.channel)

    def register(self, instance_id, port, **fields):
        self.registration.Register(pb.RegisterRequest(instance=pb.InstanceSpec(
            service="hand", id=instance_id, address="10.0.0.1", port=port, **fields)))

    def endpoints(self, resource):
        assignment = endpoint_pb2.ClusterLoadAssignment()
        self.assertTrue(resource.Unpack(assignment))
        return sorted(
            (place.locality.zone, place.load_balancing_weight.value,
             each.endpoint.address.socket_address.port_value)
            for place in assignment.endpoints for each in place.lb_endpoints)

    def test_sends_increments(self):
        self.register("h1", 81, locality=pb.Locality(zone="a"), weights=pb.Weights(passing=5))
        requests = [ads_pb2.DeltaDiscoveryRequest(type_url=ENDPOINTS,
                                                  resource_names_subscribe=["hand"])]
        more = threading.Event()

        def ask():
            yield from requests
            more.wait(20)
        call = self.ads.DeltaAggregatedResources(ask(), timeout=120)
        self.assertEqual(self.endpoints(next(call).resources[0].resource), [("a", 5, 81)])
        self.register("h2", 82)
        self.assertEqual(self.endpoints(next(call).resources[0].resource),
                         [("", 1, 82), ("a", 5, 81)])
        more.set()
        call.cancel()

    def test_refuses_what_it_does_not_serve(self):
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.ads.StreamAggregatedResources(
                iter([ads_pb2.DiscoveryRequest(type_url="type.googleapis.com/x")]), timeout=60))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_counts_refusals(self):
        sent = threading.Event()

        def ask():
            yield ads_pb2.DiscoveryRequest(type_url=ENDPOINTS, resource_names=["hand"])
            sent.wait(10)
            request = ads_pb2.DiscoveryRequest(type_url=ENDPOINTS, resource_names=["hand"],
                                               response_nonce=nonce)
            request.error_detail.message = "not for me"
            yield request
        call = self.ads.StreamAggregatedResources(ask(), timeout=60)
        nonce = next(call).nonce
        sent.set()
        admin = stubs.AdminStub(self.channel)
        request = pb.GetMetricsRequest(prefix="pharos_grpc_xds_nacks_total")
        deadline = time.monotonic() + 60
        while admin.GetMetrics(request).metrics[0].value < 1:
            self.assertLess(time.monotonic(), deadline)
        self.assertIn("not for me", self.agent.log())
        call.cancel()


if __name__ == "__main__":
    lib.main()
