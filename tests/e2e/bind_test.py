"""Debian's BIND, which validates, in front of the agent."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib


class Bind(lib.Resolver):
    """Forwards the zone `consul.` as `zone` says; for all else it is sent where nobody answers, so
    it asks nothing outside this machine."""

    program = "named"

    def __init__(self, zone):
        super().__init__()
        self.zone = zone
        self.nobody, = lib.free_ports(1)

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
  forwarders {{ 127.0.0.1 port {self.nobody}; }};
  validate-except {{ "consul"; }};
}};
controls {{ }};
{self.zone}
"""


class Recipe(lib.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port):
        return Bind(lib.recipe("BIND", agent_port))


lib.main()
