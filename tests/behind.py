"""Other resolvers in front of an agent, and what must hold of each of them."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import http_client
import lib
import upstream
import wire


def recipe(heading, port):
    """The configurations that docs/operating.md gives behind **heading**, one for each file, for an
    agent at `port`."""
    text = (lib.ROOT / "docs" / "operating.md").read_text()
    part = re.search(rf"^\*\*{re.escape(heading)}\*\*(.*?)^(?:\*\*|#)", text,
                     re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^```\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    assert "8600" in blocks[0], part
    return [block.replace("8600", str(port)) for block in blocks]


class Resolver:
    """Another resolver, for use in `with`. It sends the agent what `zone`, a piece of its
    configuration, says, and all other names to `outside`, a port of this machine. A subclass says
    how it is run and configured; `port` and `folder`, which is its own, are for its use. What runs
    is a copy of the program: the AppArmor profiles that Debian ties to the paths of its daemons
    would not let them read `folder`."""

    program = ""

    def __init__(self, zone, outside):
        self.zone, self.outside = zone, outside
        self.port, = lib.free_ports(1)
        self._folder = tempfile.TemporaryDirectory(prefix=f"pharos-test-{self.program}-")
        self.folder = pathlib.Path(self._folder.name)

    def arguments(self, config_path):
        """That make it run in the foreground, with its log on standard error."""
        raise NotImplementedError

    def config(self):
        """The text of its configuration file."""
        raise NotImplementedError

    def program_path(self):
        # A user's PATH often has no /usr/sbin.
        return shutil.which(self.program, path=os.environ["PATH"] + ":/usr/sbin") or self.program

    def environment(self):
        return None

    def __enter__(self):
        config_path = self.folder / "config"
        config_path.write_text(self.config())
        program = shutil.copy(self.program_path(), self.folder)
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([program, *self.arguments(config_path)],
                                            stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.folder,
                                            env=self.environment())
        try:
            wire.until(f"{self.program} answers", self.is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.program} ended:\n{self.log()}")
        return lib.answers(self.port)

    def __exit__(self, *unused):
        self.process.terminate()
        try:
            self.process.wait(lib.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._folder.cleanup()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]


class Outside(upstream.Upstream):
    """What the world outside our zone is to the agent and to the resolver."""

    def __init__(self):
        super().__init__()
        self.add("db.example.com", "A", wire.record("db.example.com", "A", 60,
                                                    socket.inet_aton("192.0.2.1")))
        self.add("db.example.com", "AAAA", wire.record(
            "db.example.com", "AAAA", 60, socket.inet_pton(socket.AF_INET6, "2001:db8::1")))


def _instances(name, *addresses, tags=()):
    return [{"id": f"{name}-{i}", "name": name, "port": 80 + i, "address": address,
             "tags": list(tags)} for i, address in enumerate(addresses, 1)]


class BehindResolver:
    """What holds of every resolver that has the zones `consul.` and `10.in-addr.arpa.` from the
    agent. Mixed into a TestCase, whose `resolver_for` makes the Resolver in front of the agent at
    a port, with all else at another."""

    maxDiff = None
    agent_config = {}
    # Whether the resolver gives out a denial with TTL 0 again until the second it came in is over.
    repeats_denials = False
    # Whether the agent asks the world outside itself; else only the resolver can.
    agent_recurses = True
    definitions = {"services.json": {"services": [
        *_instances("web", "10.0.0.1", "10.0.0.2", tags=["primary", "a.b.c"]),
        *_instances("six", "fd00::1"),
        *_instances("inside", "agent-1.node.consul"),
        *_instances("outside", "db.example.com"),
        *_instances("many", *(f"10.1.0.{i}" for i in range(1, 201)))]}}

    @classmethod
    def setUpClass(cls):
        cls.outside = cls.enterClassContext(Outside())
        config = {"node_meta": {"rack": "r1"}, **cls.agent_config}
        if cls.agent_recurses:
            config["recursors"] = [cls.outside.address]
        cls.agent = cls.enterClassContext(lib.Agent(config, cls.definitions))
        cls.resolver = cls.enterClassContext(
            cls.resolver_for(cls.agent.dns_port, cls.outside.port))
        cls.client = http_client.Client(cls.agent.ports["http"])

    def ask(self, name, type="A", *options):
        return lib.dig(self.resolver.port, name, type, *options, seconds=8)

    def check(self, name, type, *rdata):
        """That the answer is this and no more, whatever CNAMEs lead to it."""
        with self.subTest(name=name, type=type):
            reply = self.ask(name, type)
            self.assertEqual((reply.status, reply.rdata(type=type)), ("NOERROR", sorted(rdata)),
                             f"{reply}\n{self.resolver.log()}")
            self.assertLessEqual(set(reply.types("answer")), {type, "CNAME"}, reply)
            return reply

    def check_nothing(self, status, name, type="A"):
        with self.subTest(name=name, type=type):
            reply = self.ask(name, type)
            self.assertEqual((reply.status, reply.answer), (status, []),
                             f"{reply}\n{self.resolver.log()}")

    def test_addresses(self):
        for name in ("web.service.consul", "primary.web.service.consul",
                     "a.b.c.web.service.consul", "web.service.dc1.consul",
                     "web.service.dc1.dc.consul", "WEB.Service.Consul"):
            self.check(name, "A", "10.0.0.1", "10.0.0.2")
        self.check("six.service.consul", "AAAA", "fd00::1")

    def test_srv(self):
        for name in ("web.service.consul", "_web._tcp.service.consul",
                     "_web._primary.service.consul"):
            reply = self.check(name, "SRV", "1 1 81 0a000001.addr.dc1.consul.",
                               "1 1 82 0a000002.addr.dc1.consul.")
            for target in (each.split()[3] for each in reply.rdata()):
                self.assertEqual(len(self.ask(target).answer), 1)
        self.check("six.service.consul", "SRV",
                   "1 1 81 fd000000000000000000000000000001.addr.dc1.consul.")
        self.check("fd000000000000000000000000000001.addr.dc1.consul", "AAAA", "fd00::1")

    def test_host_names_as_addresses(self):
        self.check("inside.service.consul", "SRV", "1 1 81 agent-1.node.consul.")
        self.check("inside.service.consul", "A", "127.0.0.1")
        self.check("inside.service.consul", "AAAA")
        self.check("outside.service.consul", "SRV", "1 1 81 db.example.com.")
        self.check("outside.service.consul", "A", "192.0.2.1")
        self.check("outside.service.consul", "AAAA", "2001:db8::1")

    def test_node(self):
        self.check("agent-1.node.consul", "A", "127.0.0.1")
        self.check("agent-1.node.consul", "TXT", '"rack=r1"')

    def test_reverse(self):
        self.check("1.0.0.10.in-addr.arpa", "PTR", "web.service.dc1.consul.")
        self.check_nothing("NXDOMAIN", "9.9.9.10.in-addr.arpa", "PTR")

    def test_no(self):
        self.check_nothing("NXDOMAIN", "nosuch.service.consul")
        self.check_nothing("NXDOMAIN", "nosuch.service.consul", "SRV")
        self.check_nothing("NXDOMAIN", "nosuch.node.consul")
        for type in "AAAA", "TYPE65", "MX":  # TYPE65, HTTPS, is what browsers ask.
            self.check_nothing("NOERROR", "web.service.consul", type)
        for above in "service.consul", "node.consul", "dc1.consul":
            self.check_nothing("NOERROR", above)
        # What was said about the names around it hides nothing.
        self.check("web.service.consul", "A", "10.0.0.1", "10.0.0.2")
        self.check("1.0.0.10.in-addr.arpa", "PTR", "web.service.dc1.consul.")

    def test_more_instances_than_fit(self):
        everything = {f"10.1.0.{i}" for i in range(1, 201)}
        for options in (), ("+tcp",), ("+noedns",):
            with self.subTest(options):
                reply = self.ask("many.service.consul", "A", *options)
                self.assertGreaterEqual(len(reply.answer), 3, f"{reply}\n{self.resolver.log()}")
                self.assertLessEqual(set(reply.rdata()), everything)

    def test_a_change_shows_at_once(self):
        def register(address):
            reply = self.client.put("catalog/register", {
                "Node": "other", "Address": "10.2.0.9",
                "Service": {"Service": "fresh", "Port": 90, "Address": address}})
            self.assertEqual(reply.status, 200, reply)

        def expect(address, hex_address):
            self.check("fresh.service.consul", "A", address)
            self.check("fresh.service.consul", "SRV", f"1 1 90 {hex_address}.addr.dc1.consul.")

        self.check_nothing("NXDOMAIN", "fresh.service.consul", "SRV")
        self.check_nothing("NXDOMAIN", "fresh.service.consul")
        register("10.2.0.1")
        if self.repeats_denials:
            for type in "A", "SRV":
                wire.until("the denial is over",
                           lambda: self.ask("fresh.service.consul", type).status == "NOERROR")
        expect("10.2.0.1", "0a020001")
        register("10.2.0.2")
        expect("10.2.0.2", "0a020002")
        self.client.put("catalog/deregister", {"Node": "other", "ServiceID": "fresh"})
        self.check_nothing("NXDOMAIN", "fresh.service.consul")
        self.check_nothing("NXDOMAIN", "fresh.service.consul", "SRV")

    def test_zone(self):
        self.assertEqual(self.ask("consul", "SOA").types("answer"), ["SOA"])
        self.check("consul", "NS", "agent-1.node.dc1.consul.")
