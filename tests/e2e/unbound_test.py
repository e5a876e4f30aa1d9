"""Debian's unbound, with QNAME minimisation, in front of the agent."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import behind
import lib


class Unbound(behind.Resolver):
    """Knows the root's keys and cannot fetch the root's signatures, so that every name it is not
    told to trust is SERVFAIL. `server` is more for its server clause."""

    program = "unbound"

    def __init__(self, zone, outside, server=""):
        super().__init__(zone, outside)
        self.server = server

    def arguments(self, config_path):
        return ["-d", "-p", "-c", config_path]

    def config(self):
        return f"""
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
  trust-anchor-file: "/usr/share/dns/root.key"
  domain-insecure: "example.com."
  qname-minimisation: yes
  {self.server}
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{self.outside}
{self.zone}
"""


# Strict minimisation takes NXDOMAIN at a name for all below it (RFC 8020), and 0x20 asks in mixed
# case.
STRICT = """
  qname-minimisation-strict: yes
  harden-below-nxdomain: yes
  use-caps-for-id: yes
"""


class Recipe(behind.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Unbound(behind.recipe("unbound", agent_port)[0], outside_port)


class RecipeWithoutRecursors(Recipe):
    """The agent knows its own names only, and unbound follows them out of the zone."""

    agent_recurses = False


class Strict(behind.BehindResolver, unittest.TestCase):
    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Unbound(behind.recipe("unbound", agent_port)[0], outside_port, STRICT)


class StrictStub(behind.BehindResolver, unittest.TestCase):
    """Asks the agent as it would an authoritative server, with stub-zone in place of
    forward-zone."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        zone = behind.recipe("unbound", agent_port)[0]
        return Unbound(zone.replace("forward-", "stub-"), outside_port, STRICT)

    def test_host_names_as_addresses(self):
        # Unbound hides the type asked behind A first, and takes the CNAME it gets for all types.
        self.check("inside.service.consul", "A", "127.0.0.1")
        self.check("outside.service.consul", "AAAA", "2001:db8::1")


lib.main()
