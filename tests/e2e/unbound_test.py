"""Debian's unbound, with QNAME minimisation, in front of the agent."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib


class Unbound(lib.Resolver):
    """Sends the zone `consul.` to the agent and knows nothing else. `zone` is how: the text of a
    forward-zone or a stub-zone."""

    program = "unbound"

    def __init__(self, zone, server=""):
        super().__init__()
        self.zone, self.server = zone, server

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
  trust-anchor-file: ""
  qname-minimisation: yes
  {self.server}
remote-control:
  control-enable: no
{self.zone}
"""


LOCAL_AND_UNSIGNED = """
  do-not-query-localhost: no
  domain-insecure: "consul"
"""


class Recipe(lib.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port):
        return Unbound(lib.recipe("unbound", agent_port))


class Forward(lib.BehindResolver, unittest.TestCase):
    @staticmethod
    def resolver_for(agent_port):
        return Unbound(f"""
forward-zone:
  name: "consul."
  forward-addr: 127.0.0.1@{agent_port}
""", LOCAL_AND_UNSIGNED)


class StrictStub(lib.BehindResolver, unittest.TestCase):
    """Strict minimisation takes NXDOMAIN at a name for all below it (RFC 8020), and 0x20 asks in
    mixed case."""

    @staticmethod
    def resolver_for(agent_port):
        return Unbound(lib.recipe("unbound", agent_port), """
  qname-minimisation-strict: yes
  harden-below-nxdomain: yes
  use-caps-for-id: yes
""")


lib.main()
