"""Debian's BIND, which validates, in front of the agent."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import behind
import lib
import namespace

namespace.enter()  # A static-stub's servers have port 53.


class Bind(behind.Resolver):
    """Knows the root's keys and cannot fetch the root's signatures, so that every name it is not
    told to trust is SERVFAIL. `options` is more for its options."""

    program = "named"

    def __init__(self, zone, outside, options=""):
        super().__init__(zone, outside)
        self.options = options

    def arguments(self, config_path):
        return ["-g", "-n", "1", "-c", config_path]

    def config(self):
        return f"""
options {{
  directory "{self.folder}";
  listen-on port {self.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  lock-file none;
  session-keyfile none;
  dnssec-validation auto;
  forward only;
  forwarders {{ 127.0.0.1 port {self.outside}; }};
  validate-except {{ "consul"; "10.in-addr.arpa"; "example.com"; }};
  {self.options}
}};
controls {{ }};
{self.zone}
"""


class Recipe(behind.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    repeats_denials = True

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Bind(behind.recipe("BIND", agent_port)[0], outside_port)


class StrictStaticStub(behind.BehindResolver, unittest.TestCase):
    """Asks the agent as it would an authoritative server, with minimised names, and takes NXDOMAIN
    at a name for all below it (RFC 9156, RFC 8020)."""

    repeats_denials = True
    agent_config = {"ports": {"dns": 53}}

    @staticmethod
    def resolver_for(agent_port, outside_port):
        zones = "".join(f"""
zone "{name}" {{
  type static-stub;
  server-addresses {{ 127.0.0.1; }};
  forwarders {{ }};
}};
""" for name in ("consul", "10.in-addr.arpa"))
        return Bind(zones, outside_port, "qname-minimization strict;")


class StrictStaticStubWithoutRecursors(StrictStaticStub):
    """The agent knows its own names only, and BIND follows them out of the zone."""

    agent_recurses = False


lib.main()
