"""Debian's dnsmasq in front of the agent."""
import getpass
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import behind
import lib


class Dnsmasq(behind.Resolver):
    program = "dnsmasq"

    def arguments(self, config_path):
        return ["--keep-in-foreground", f"--conf-file={config_path}"]

    def config(self):
        return f"""
listen-address=127.0.0.1
bind-interfaces
port={self.port}
user={getpass.getuser()}
pid-file=
log-facility=-
log-queries
no-hosts
no-resolv
server=127.0.0.1#{self.outside}
{self.zone}
"""


class Recipe(behind.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Dnsmasq(behind.recipe("dnsmasq", agent_port)[0], outside_port)


class RecipeAgainstRebinding(behind.BehindResolver, unittest.TestCase):
    """Private addresses, which are most of what the agent answers with, get through."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Dnsmasq("stop-dns-rebind\n" + behind.recipe("dnsmasq", agent_port)[0], outside_port)


lib.main()
