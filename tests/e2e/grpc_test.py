#!/usr/bin/env python3
"""Registration and discovery by gRPC, with Python's gRPC library as the client."""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import grpc_client

grpc_client.use_debian_python()
import lib

import grpc

STUBS = grpc_client.make_stubs()
from proto import discovery_pb2 as pb
from proto import discovery_pb2_grpc as stubs
from proto import health_pb2
from proto import health_pb2_grpc
from proto import rpc_status_pb2
from tests.grpc import reflection_pb2
from tests.grpc import reflection_pb2_grpc

HOLDER = lib.ROOT / "tests" / "grpc" / "holder.py"
DETAILS = "grpc-status-details-bin"


class Holder:
    """A process that holds instances (tests/grpc/holder.py), for use in `with`."""

    def __init__(self, port, *instances, options=(), host="127.0.0.1", prefix=()):
        self.process = subprocess.Popen(
            [*prefix, grpc_client.DEBIAN_PYTHON, str(HOLDER), f"{host}:{port}", STUBS.name,
             *options, *instances], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def wait_until_held(self):
        """The catalog's index, and the lease's id."""
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "held":
                return int(words[1]), words[2]
        raise AssertionError("the holder ended without holding anything")


def addresses(agent, service):
    return agent.dig(f"{service}.service.consul").rdata()


def wait_until(what, seconds=60):
    """Seconds until `what()` is true; AssertionError when it never is."""
    begin = time.monotonic()
    while not what():
        if time.monotonic() - begin > seconds:
            raise AssertionError(f"not so in {seconds} s")
        time.sleep(0.001)
    return time.monotonic() - begin


def violations(error):
    """The fields that an error names."""
    details = dict(error.trailing_metadata()).get(DETAILS)
    status = rpc_status_pb2.Status.FromString(details)
    bad_request = rpc_status_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad_request):
            return [each.field for each in bad_request.field_violations]
    return []


# No ping is missed while a test runs, however busy the machine: what is noticed is noticed otherwise.
PATIENT = {"grpc_config": {"keepalive_interval": "10m", "keepalive_timeout": "10m"}}


class GrpcTest(lib.AgentTest):
    config = PATIENT
    definitions = {"file.json": {"service": {"name": "filed", "id": "filed", "port": 1}}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = cls.agent.ports["grpc"]
        cls.channel = grpc.insecure_channel(f"127.0.0.1:{cls.port}")
        cls.addClassCleanup(cls.channel.close)
        cls.registration = stubs.RegistrationStub(cls.channel)
        cls.discovery = stubs.DiscoveryStub(cls.channel)
        cls.admin = stubs.AdminStub(cls.channel)

    def register(self, service, instance_id=None, ttl_ms=0, request_id="", **fields):
        spec = pb.InstanceSpec(service=service, id=instance_id or service, **fields)
        return self.registration.Register(
            pb.RegisterRequest(instance=spec, ttl_ms=ttl_ms, request_id=request_id), timeout=60)

    def lookup(self, service, **selector):
        return self.discovery.Lookup(
            pb.LookupRequest(selector=pb.Selector(service=service, **selector)), timeout=60)

    def assert_fails(self, code, call, *arguments):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, timeout=60)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception


class Registers(GrpcTest):
    def test_registers_deregisters_and_reports_health(self):
        index = self.register("unary", port=80, address="10.9.0.1", tags=["v1"],
                              meta={"k": "v"}, ttl_ms=60_000).index
        self.assertEqual(addresses(self.agent, "unary"), ["10.9.0.1"])
        self.assertEqual(addresses(self.agent, "v1.unary"), ["10.9.0.1"])
        found = self.lookup("unary")
        self.assertGreaterEqual(index, found.index)
        instance = found.instances[0]
        self.assertEqual((instance.address, instance.port, list(instance.tags),
                          dict(instance.meta), instance.node, instance.health),
                         ("10.9.0.1", 80, ["v1"], {"k": "v"}, "agent-1", pb.HEALTH_PASSING))
        self.registration.UpdateHealth(
            pb.UpdateHealthRequest(id="unary", health=pb.HEALTH_CRITICAL, output="full"))
        self.assertEqual(addresses(self.agent, "unary"), [])
        self.assertEqual(len(self.lookup("unary").instances), 0)
        self.assertEqual(len(self.lookup("unary", include=pb.INCLUDE_ALL).instances), 1)
        self.registration.Deregister(pb.DeregisterRequest(id="unary"))
        self.assert_fails(grpc.StatusCode.NOT_FOUND, self.discovery.Lookup,
                          pb.LookupRequest(selector=pb.Selector(service="unary")))

    def test_gives_a_request_that_is_sent_again_the_first_answer(self):
        first = self.register("again", request_id="r-1", address="10.9.0.2")
        self.registration.Deregister(pb.DeregisterRequest(id="again", request_id="d-1"))
        self.register("again", request_id="r-2", address="10.9.0.3")
        # Late duplicates of both change nothing.
        self.registration.Deregister(pb.DeregisterRequest(id="again", request_id="d-1"))
        second = self.register("again", request_id="r-1", address="10.9.0.2")
        self.assertEqual(first.index, second.index)
        self.assertEqual(addresses(self.agent, "again"), ["10.9.0.3"])

    def test_says_what_to_do_about_an_error(self):
        self.register("no-ttl")
        rows = [
            ("what a file defines stays", grpc.StatusCode.FAILED_PRECONDITION,
             self.registration.Deregister, pb.DeregisterRequest(id="filed")),
            ("an unknown id", grpc.StatusCode.NOT_FOUND,
             self.registration.Deregister, pb.DeregisterRequest(id="nobody")),
            ("health without a ttl", grpc.StatusCode.FAILED_PRECONDITION,
             self.registration.UpdateHealth, pb.UpdateHealthRequest(id="no-ttl")),
            ("another datacenter", grpc.StatusCode.NOT_FOUND, self.discovery.Lookup,
             pb.LookupRequest(selector=pb.Selector(service="filed", datacenter="dc9"))),
        ]
        for shows, code, call, request in rows:
            with self.subTest(shows):
                self.assert_fails(code, call, request)

    def test_names_the_fields_that_are_wrong(self):
        def instance(**fields):
            return pb.RegisterRequest(instance=pb.InstanceSpec(**{"service": "good", **fields}))
        rows = [
            ("no name", instance(service=""), ["instance.service"]),
            ("a name that DNS has no place for", instance(service="a.b"), ["instance.service"]),
            ("a name that is too long", instance(service="a" * 64), ["instance.service"]),
            ("a port that is none", instance(port=65536), ["instance.port"]),
            ("an address that is none", instance(address="10.0.0.256"), ["instance.address"]),
            ("a control character in an id", instance(id="a\nb"), ["instance.id"]),
            ("an empty tag", instance(tags=[""]), ["instance.tags"]),
            ("65 tags", instance(tags=["t"] * 65), ["instance.tags"]),
            ("a long value in meta", instance(meta={"k": "v" * 513}), ['instance.meta["k"]']),
            ("65 pairs in meta", instance(meta={f"k{i}": "v" for i in range(65)}),
             ["instance.meta"]),
            ("a weight that is none", instance(weights=pb.Weights(passing=70000)),
             ["instance.weights.passing"]),
            ("health that is none", instance(health=9), ["instance.health"]),
            ("two at once", instance(service="-", port=70000),
             ["instance.service", "instance.port"]),
        ]
        for shows, request, fields in rows:
            with self.subTest(shows):
                error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT,
                                          self.registration.Register, request)
                self.assertEqual(violations(error), fields)

    def test_refuses_a_message_that_is_too_large(self):
        request = pb.RegisterRequest(
            instance=pb.InstanceSpec(service="big", meta={"k": "v" * (2 << 20)}))
        self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.registration.Register, request)


    def test_refuses_headers_that_are_too_large(self):
        # A channel of its own: gRPC may end the connection, too.
        with grpc.insecure_channel(f"127.0.0.1:{self.port}",
                                   options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            with self.assertRaises(grpc.RpcError) as caught:
                stubs.DiscoveryStub(channel).ListServices(
                    pb.ListServicesRequest(), timeout=60, metadata=[("x-large", "v" * 40_000)])
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.lookup("filed")  # Others are served.


class Holds(GrpcTest):
    def hold(self, *requests):
        """The responses to the requests, and then the end of the stream."""
        return list(self.registration.Hold(iter(requests), timeout=60))

    def test_a_holder_that_is_killed_is_gone_from_dns_at_once(self):
        # How soon is measured by bench/grpc_death.py.
        with Holder(self.port, "killed:k1:80") as holder:
            holder.wait_until_held()
            self.assertEqual(addresses(self.agent, "killed"), ["127.0.0.9"])
            holder.process.kill()
            wait_until(lambda: addresses(self.agent, "killed") == [])

    def test_a_release_takes_instances_away_whatever_the_grace(self):
        with Holder(self.port, "released:r1:80", options=["--grace-ms", "60000"]) as holder:
            holder.wait_until_held()
            self.assertEqual(addresses(self.agent, "released"), ["127.0.0.9"])
            holder.process.stdin.write("release\n")
            holder.process.stdin.flush()
            self.assertEqual(holder.process.wait(5), 0)
            self.assertEqual(addresses(self.agent, "released"), [])

    def test_a_grace_lets_a_holder_come_back_unnoticed(self):
        with Holder(self.port, "graced:g1:80", options=["--grace-ms", "30000"]) as holder:
            first = holder.wait_until_held()
        self.assertEqual(addresses(self.agent, "graced"), ["127.0.0.9"])
        opened, _ = self.hold(
            pb.HoldRequest(request_number=7, open=pb.HoldOpen(
                lease_id=first[1], instances=[pb.InstanceSpec(
                    service="graced", id="g1", port=80, address="127.0.0.9")])),
            pb.HoldRequest(release=pb.HoldRelease()))
        self.assertEqual(opened.request_number, 7)
        self.assertTrue(opened.opened.resumed)
        self.assertEqual(opened.opened.lease_id, first[1])
        self.assertEqual(addresses(self.agent, "graced"), [])

    def test_a_grace_ends(self):
        with Holder(self.port, "short:s1:80", options=["--grace-ms", "300"]) as holder:
            holder.wait_until_held()
        wait_until(lambda: addresses(self.agent, "short") == [])

    def test_health_and_instances_change_in_band(self):
        spec = pb.InstanceSpec(service="band", id="b1", port=80, address="10.9.1.1")
        more = pb.InstanceSpec(service="band", id="b2", port=80, address="10.9.1.2")
        requests = iter([
            pb.HoldRequest(open=pb.HoldOpen(instances=[spec])),
            pb.HoldRequest(request_number=1, register=pb.HoldRegister(instance=more)),
            pb.HoldRequest(request_number=2, health=pb.HoldHealth(id="b1",
                                                                  health=pb.HEALTH_CRITICAL)),
            pb.HoldRequest(request_number=3, deregister=pb.HoldDeregister(id="nope")),
            pb.HoldRequest(request_number=4, register=pb.HoldRegister(
                instance=pb.InstanceSpec(service="..."))),
            pb.HoldRequest(request_number=5, register=pb.HoldRegister(
                instance=pb.InstanceSpec(service="filed"))),
            pb.HoldRequest(request_number=6, deregister=pb.HoldDeregister(id="b2")),
            pb.HoldRequest(request_number=7, release=pb.HoldRelease()),
        ])
        gate = threading.Semaphore(1)

        def one_by_one():
            for request in requests:
                gate.acquire()
                yield request
        seen = []
        for response in self.registration.Hold(one_by_one(), timeout=60):
            kind = response.WhichOneof("response")
            code = response.error.code if kind == "error" else 0
            seen.append((response.request_number, kind, code, addresses(self.agent, "band")))
            gate.release()
        both, one = ["10.9.1.1", "10.9.1.2"], ["10.9.1.2"]
        self.assertEqual(seen, [
            (0, "opened", 0, ["10.9.1.1"]), (1, "done", 0, both), (2, "done", 0, one),
            (3, "error", 5, one), (4, "error", 3, one), (5, "error", 6, one),
            (6, "done", 0, []), (7, "done", 0, [])])

    def test_an_id_belongs_to_one_holder(self):
        with Holder(self.port, "taken:t1:80") as holder:
            holder.wait_until_held()
            spec = pb.InstanceSpec(service="taken", id="T1", port=81)
            for call, request, code in [
                    (self.registration.Hold,
                     iter([pb.HoldRequest(open=pb.HoldOpen(instances=[spec]))]),
                     grpc.StatusCode.ALREADY_EXISTS),
                    (self.registration.Register, pb.RegisterRequest(instance=spec),
                     grpc.StatusCode.ALREADY_EXISTS),
                    (self.registration.Deregister, pb.DeregisterRequest(id="t1"),
                     grpc.StatusCode.FAILED_PRECONDITION)]:
                with self.assertRaises(grpc.RpcError) as caught:
                    answer = call(request, timeout=60)
                    if call is self.registration.Hold:
                        list(answer)
                self.assertEqual(caught.exception.code(), code)
            self.assertEqual(addresses(self.agent, "taken"), ["127.0.0.9"])

    def test_a_lease_has_one_stream(self):
        with Holder(self.port, "single:s1:80") as holder:
            lease = holder.wait_until_held()[1]
            opened = next(self.registration.Hold(iter([pb.HoldRequest(open=pb.HoldOpen(
                lease_id=lease))]), timeout=60))
            self.assertTrue(opened.opened.resumed)
            self.assertEqual(holder.process.stdout.readline().split()[:2], ["lost", "ABORTED"])

    def test_holds_no_more_than_a_lease_may(self):
        many = [pb.InstanceSpec(service="many", id=f"m{i}") for i in range(1001)]
        with self.assertRaises(grpc.RpcError) as caught:
            self.hold(pb.HoldRequest(open=pb.HoldOpen(instances=many)))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

        def flood():
            yield pb.HoldRequest(open=pb.HoldOpen(instances=many[:990]))
            for i in range(100_000):
                yield pb.HoldRequest(request_number=i, register=pb.HoldRegister(
                    instance=pb.InstanceSpec(service="many", id=f"n{i}")))
        refused = 0
        for response in self.registration.Hold(flood(), timeout=60):
            refused += response.WhichOneof("response") == "error"
            if refused == 100:
                break
        held = len(self.lookup("many", include=pb.INCLUDE_ALL).instances)
        self.assertLessEqual(held, 1000)

    def test_refuses_what_breaks_the_order(self):
        rows = [
            ("health before open", [pb.HoldRequest(health=pb.HoldHealth(id="x"))]),
            ("nothing", [pb.HoldRequest()]),
            ("open twice", [pb.HoldRequest(open=pb.HoldOpen()),
                            pb.HoldRequest(open=pb.HoldOpen())]),
        ]
        for shows, requests in rows:
            with self.subTest(shows):
                with self.assertRaises(grpc.RpcError) as caught:
                    self.hold(*requests)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)


class Silence(GrpcTest):
    config = {}  # Pings as they are unless configured.

    def test_a_holder_that_does_not_answer_is_gone(self):
        with Holder(self.port, "stopped:s1:80") as holder:
            holder.wait_until_held()
            holder.process.send_signal(signal.SIGSTOP)  # Its kernel answers, but nobody else.
            wait_until(lambda: addresses(self.agent, "stopped") == [])


class Watches(GrpcTest):
    def watch(self, **request):
        request.setdefault("selector", pb.Selector(service="watched"))
        call = self.discovery.Watch(pb.WatchRequest(**request), timeout=120)
        self.addCleanup(call.cancel)
        return call

    def test_tells_the_full_set_and_then_what_changes(self):
        watch = self.watch()
        first = next(watch)
        self.assertTrue(first.full)
        self.assertEqual(len(first.changed), 0)
        index = self.register("watched", "w1", address="10.9.2.1", ttl_ms=60_000).index
        added = next(watch)
        self.assertEqual(([each.id for each in added.changed], added.full, added.index),
                         (["w1"], False, index))
        self.register("watched", "w2", address="10.9.2.2")
        self.assertEqual([each.id for each in next(watch).changed], ["w2"])
        self.registration.UpdateHealth(
            pb.UpdateHealthRequest(id="w1", health=pb.HEALTH_CRITICAL))
        self.assertEqual([(each.node, each.id) for each in next(watch).removed],
                         [("agent-1", "w1")])
        resumed = next(self.watch(resume_index=added.index, resume_epoch=added.epoch))
        self.assertEqual(([each.id for each in resumed.changed], resumed.full), (["w2"], False))
        elsewhere = next(self.watch(resume_index=added.index, resume_epoch=added.epoch + 1))
        self.assertEqual(([each.id for each in elsewhere.changed], elsewhere.full),
                         (["w2"], True))

    def test_watches_only_what_fits(self):
        watch = self.watch(selector=pb.Selector(service="picky", tags=["A"],
                                                filter='Service.Meta.zone == "b"'))
        next(watch)
        self.register("picky", "p1", tags=["a"], meta={"zone": "c"})
        self.register("picky", "p2", tags=["a"], meta={"zone": "b"})
        self.assertEqual([each.id for each in next(watch).changed], ["p2"])
        self.assert_fails(
            grpc.StatusCode.INVALID_ARGUMENT, self.discovery.Lookup,
            pb.LookupRequest(selector=pb.Selector(service="picky", filter="nonsense is")))

    def test_lists_and_watches_services(self):
        watch = self.discovery.WatchServices(pb.WatchServicesRequest(prefix="ls-"), timeout=120)
        self.assertTrue(next(watch).full)
        self.register("ls-one", tags=["t"])
        change = next(watch)
        self.assertEqual([(each.name, each.instance_count, each.passing_count, list(each.tags))
                          for each in change.changed], [("ls-one", 1, 1, ["t"])])
        listed = self.discovery.ListServices(pb.ListServicesRequest(prefix="LS-"))
        self.assertEqual([each.name for each in listed.services], ["ls-one"])
        self.registration.Deregister(pb.DeregisterRequest(id="ls-one"))
        self.assertEqual(list(next(watch).removed), ["ls-one"])
        watch.cancel()

    def test_a_watcher_that_does_not_read_gets_the_outcome(self):
        blob = {f"k{i}": "v" * 500 for i in range(20)}
        watch = self.watch(selector=pb.Selector(service="bulky"))
        next(watch)
        for i in range(400):
            self.register("bulky", f"b{i % 20}", meta={**blob, "round": str(i)})
        state = {}
        for response in watch:
            if response.full:
                state.clear()
            state.update({each.id: each.meta["round"] for each in response.changed})
            if state.get("b19") == "399":
                break
        self.assertEqual(state, {f"b{i}": str(380 + i) for i in range(20)})


class StandardServices(GrpcTest):
    def test_answers_reflection(self):
        reflection = reflection_pb2_grpc.ServerReflectionStub(self.channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services=""),
                 reflection_pb2.ServerReflectionRequest(
                     file_containing_symbol="pharos.discovery.v1.Registration")]
        listed, described = reflection.ServerReflectionInfo(iter(asked))
        names = {each.name for each in listed.list_services_response.service}
        self.assertLessEqual({"pharos.discovery.v1.Registration", "pharos.discovery.v1.Discovery",
                              "pharos.discovery.v1.Admin", "grpc.health.v1.Health",
                              "grpc.channelz.v1.Channelz"}, names)
        # Enough to make a call of a method known by name only.
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        pool = descriptor_pool.DescriptorPool()
        for octets in described.file_descriptor_response.file_descriptor_proto:
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(octets))
        method = pool.FindServiceByName("pharos.discovery.v1.Discovery").methods_by_name[
            "ListServices"]
        factory = message_factory.MessageFactory(pool)
        request = factory.GetPrototype(method.input_type)()
        answer = self.channel.unary_unary(
            "/pharos.discovery.v1.Discovery/ListServices",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=factory.GetPrototype(method.output_type).FromString)(request)
        self.assertIn("filed", [each.name for each in answer.services])

    def test_answers_health_of_any_service(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for name in ["", "filed", "pharos.discovery.v1.Discovery"]:
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            self.assertEqual(answer.status, serving, name)
        self.assert_fails(grpc.StatusCode.NOT_FOUND, health.Check,
                          health_pb2.HealthCheckRequest(service="nobody"))
        watch = health.Watch(health_pb2.HealthCheckRequest(service="hale"), timeout=120)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        self.register("hale", ttl_ms=60_000)
        self.assertEqual(next(watch).status, serving)
        self.registration.UpdateHealth(
            pb.UpdateHealthRequest(id="hale", health=pb.HEALTH_CRITICAL))
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        watch.cancel()

    def test_answers_operators(self):
        members = self.admin.ListMembers(pb.ListMembersRequest()).members
        self.assertEqual([(each.name, each.server, each.health) for each in members],
                         [("agent-1", True, pb.HEALTH_PASSING)])
        self.assertRegex(self.admin.GetLeader(pb.GetLeaderRequest()).address, r"^127\.0\.0\.1:\d+$")
        metrics = self.admin.GetMetrics(pb.GetMetricsRequest(prefix="pharos_grpc_")).metrics
        self.assertIn(("pharos_grpc_streams", "hold"),
                      [(each.name, each.labels.get("kind")) for each in metrics])


class PythonExample(GrpcTest):
    def test_holds_a_registration(self):
        program = lib.ROOT / "examples" / "grpc-python" / "register.py"
        process = subprocess.Popen(
            [grpc_client.DEBIAN_PYTHON, str(program), "py", "80", f"127.0.0.1:{self.port}"],
            env={**os.environ, "PYTHONPATH": STUBS.name}, stdout=subprocess.PIPE, text=True)
        try:
            self.assertRegex(process.stdout.readline(), r"^py is found from index \d+ on$")
            self.assertEqual(addresses(self.agent, "py"), ["127.0.0.1"])
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        wait_until(lambda: addresses(self.agent, "py") == [])

    def test_says_why_it_cannot_register(self):
        program = lib.ROOT / "examples" / "grpc-python" / "register.py"
        run = subprocess.run(
            [grpc_client.DEBIAN_PYTHON, str(program), "p_y", "80", f"127.0.0.1:{self.port}"],
            env={**os.environ, "PYTHONPATH": STUBS.name}, capture_output=True, text=True,
            timeout=20, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("INVALID_ARGUMENT: open.instances[0].service", run.stdout)


class Authority:
    """Makes certificates with openssl."""

    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), name
        self.cert, self.key = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key,
                      "-out", self.cert)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *[str(each) for each in arguments]], check=True,
                       capture_output=True)

    def sign(self, name, serial):
        """The paths of a certificate for localhost and 127.0.0.1, and of its key."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        request, names = self.folder / f"{name}.csr", self.folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key,
                      "-set_serial", serial, "-days", "2", "-extfile", names, "-out", cert)
        return cert, key


class Tls(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pharos-tls-")
        self.addCleanup(folder.cleanup)
        self.ours = Authority(folder.name, "ours")
        self.others = Authority(folder.name, "others")
        self.cert, self.key = self.ours.sign("agent", 77)
        self.port = lib.free_ports(1)[0]
        self.agent = lib.Agent({
            "ports": {"grpc_tls": self.port},
            "tls": {"grpc": {"ca_file": str(self.ours.cert), "cert_file": str(self.cert),
                             "key_file": str(self.key), "verify_incoming": True}}})
        self.agent.__enter__()
        self.addCleanup(self.agent.__exit__)

    def ask(self, signer=None):
        cert, key = signer.sign("client", 5) if signer else (None, None)
        credentials = grpc.ssl_channel_credentials(
            self.ours.cert.read_bytes(), key and key.read_bytes(), cert and cert.read_bytes())
        with grpc.secure_channel(f"localhost:{self.port}", credentials) as channel:
            return stubs.DiscoveryStub(channel).ListServices(pb.ListServicesRequest(), timeout=60)

    def serial(self):
        client = self.ours.sign("client", 5)
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-alpn", "h2",
             "-cert", str(client[0]), "-key", str(client[1])],
            stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown,
                              capture_output=True, check=False).stdout.strip()

    def test_takes_clients_with_a_certificate_of_ours_and_no_others(self):
        self.assertIn("consul", [each.name for each in self.ask(self.ours).services])
        for signer in (None, self.others):
            with self.assertRaises(grpc.RpcError) as caught:
                self.ask(signer)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_takes_new_files_without_a_restart(self):
        self.assertEqual(self.serial(), b"serial=4D")
        new_cert, new_key = self.ours.sign("new", 78)
        # One after the other, as most tools do; what does not fit meanwhile is not taken.
        new_key.replace(self.key)
        new_cert.replace(self.cert)
        wait_until(lambda: self.serial() == b"serial=4E")
        self.ask(self.ours)


class AgentRestarts(unittest.TestCase):
    """An agent with a data directory, killed and started again on the same ports."""

    def setUp(self):
        data = tempfile.TemporaryDirectory(prefix="pharos-data-")
        self.addCleanup(data.cleanup)
        self.agent = lib.Agent({"data_dir": data.name, **PATIENT})
        self.agent.command = lambda: [
            str(self.agent.binary), "agent", "-server", "-bootstrap-expect", "1",
            "-config-file", str(self.agent.folder / "config.json")]
        self.agent.__enter__()
        self.addCleanup(self.agent.__exit__)

    def restart(self, how):
        self.agent.process.send_signal(how)
        self.agent.process.wait()
        self.agent.__enter__()

    def test_dns_names_what_is_held_as_soon_as_the_agent_is_back(self):
        for how in (signal.SIGKILL, signal.SIGINT):
            with self.subTest(how), Holder(self.agent.ports["grpc"], "kept:k1:80") as holder:
                _, lease = holder.wait_until_held()
                self.restart(how)
                self.assertEqual(addresses(self.agent, "kept"), ["127.0.0.9"])
                # The holder comes back to the same lease.
                self.assertEqual(holder.wait_until_held()[1], lease)
                self.assertEqual(addresses(self.agent, "kept"), ["127.0.0.9"])
                holder.process.kill()
                wait_until(lambda: addresses(self.agent, "kept") == [])

    def test_what_nobody_comes_back_to_goes_after_its_ttl(self):
        with Holder(self.agent.ports["grpc"], "left:l1:80", options=["--ttl-ms", "5000"]) as holder:
            holder.wait_until_held()
            holder.process.send_signal(signal.SIGSTOP)
            self.restart(signal.SIGKILL)
            self.assertEqual(addresses(self.agent, "left"), ["127.0.0.9"])
            wait_until(lambda: addresses(self.agent, "left") == [])


if __name__ == "__main__":
    lib.main()
