"""Debian's unbound, with QNAME minimisation, in front of the agent."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import wire

DEFINITIONS = {"web.json": {"services": [
    {"id": f"web-{i}", "name": "web", "port": 80 + i, "address": f"10.0.0.{i}",
     "tags": ["primary", "a.b.c"]} for i in (1, 2)]}}


class Unbound:
    """A running unbound, for use in `with`, that sends the zone `consul.` to the agent and knows
    nothing else. `zone` is how: the text of a forward-zone or a stub-zone."""

    def __init__(self, zone, server=""):
        self.port, = lib.free_ports(1)
        self._folder = tempfile.TemporaryDirectory(prefix="pharos-test-unbound-")
        self.folder = pathlib.Path(self._folder.name)
        self.config = f"""
server:
  interface: 127.0.0.1
  port: {self.port}
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 2
  num-threads: 1
  module-config: "validator iterator"
  trust-anchor-file: ""
  domain-insecure: "consul"
  do-not-query-localhost: no
  qname-minimisation: yes
  {server}
remote-control:
  control-enable: no
{zone}
"""

    def __enter__(self):
        (self.folder / "unbound.conf").write_text(self.config)
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["unbound", "-d", "-p", "-c", self.folder / "unbound.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            wire.until("unbound answers", self.is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"unbound ended:\n{self.log()}")
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
        return (self.folder / "log").read_text(errors="replace")


class BehindUnbound:
    """What holds whichever way unbound is told."""

    server = ""

    @classmethod
    def setUpClass(cls):
        cls.agent = cls.enterClassContext(lib.Agent(definitions=DEFINITIONS))
        cls.unbound = cls.enterClassContext(
            Unbound(cls.zone.format(port=cls.agent.dns_port), cls.server))

    def ask(self, name, type="A"):
        return lib.dig(self.unbound.port, name, type, seconds=8)

    def test_addresses(self):
        for name in ("web.service.consul", "primary.web.service.consul",
                     "a.b.c.web.service.consul", "web.service.dc1.consul",
                     "web.service.dc1.dc.consul"):
            with self.subTest(name):
                reply = self.ask(name)
                self.assertEqual((reply.status, reply.rdata()),
                                 ("NOERROR", ["10.0.0.1", "10.0.0.2"]),
                                 f"{reply}\n{self.unbound.log()[-4000:]}")

    def test_srv(self):
        for name in ("web.service.consul", "_web._tcp.service.consul",
                     "_web._primary.service.consul"):
            with self.subTest(name):
                reply = self.ask(name, "SRV")
                self.assertEqual(reply.rdata(), ["1 1 81 0a000001.addr.dc1.consul.",
                                                 "1 1 82 0a000002.addr.dc1.consul."],
                                 f"{reply}\n{self.unbound.log()[-4000:]}")
                for target in (each.split()[3] for each in reply.rdata()):
                    self.assertEqual(len(self.ask(target).answer), 1)

    def test_node(self):
        self.assertEqual(self.ask("agent-1.node.consul").rdata(), ["127.0.0.1"])

    def test_no(self):
        self.assertEqual(self.ask("nosuch.service.consul").status, "NXDOMAIN")
        reply = self.ask("web.service.consul", "AAAA")
        self.assertEqual((reply.status, reply.answer), ("NOERROR", []), reply)
        # What was said about the names around it hides nothing.
        self.assertEqual(self.ask("web.service.consul").status, "NOERROR")

    def test_zone(self):
        self.assertEqual(self.ask("consul", "SOA").types("answer"), ["SOA"])
        self.assertEqual(self.ask("consul", "NS").rdata(), ["agent-1.node.dc1.consul."])


class Forward(BehindUnbound, unittest.TestCase):
    zone = """
forward-zone:
  name: "consul."
  forward-addr: 127.0.0.1@{port}
"""


class Stub(BehindUnbound, unittest.TestCase):
    zone = """
stub-zone:
  name: "consul."
  stub-addr: 127.0.0.1@{port}
"""


class StrictStub(Stub):
    """Strict minimisation takes NXDOMAIN at a name for all below it (RFC 8020), and 0x20 asks in
    mixed case."""

    server = """
  qname-minimisation-strict: yes
  harden-below-nxdomain: yes
  use-caps-for-id: yes
"""


lib.main()
