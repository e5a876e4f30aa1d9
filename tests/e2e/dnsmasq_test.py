"""Debian's dnsmasq in front of the agent."""
import getpass
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib


class Dnsmasq(lib.Resolver):
    """Knows what `zone`, lines of its configuration, says and nothing else."""

    program = "dnsmasq"

    def __init__(self, zone):
        super().__init__()
        self.zone = zone

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
{self.zone}
"""


class Recipe(lib.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port):
        return Dnsmasq(lib.recipe("dnsmasq", agent_port))


class RecipeAgainstRebinding(lib.BehindResolver, unittest.TestCase):
    """Private addresses, which are most of what the agent answers with, get through."""

    @staticmethod
    def resolver_for(agent_port):
        return Dnsmasq("stop-dns-rebind\n" + lib.recipe("dnsmasq", agent_port))


lib.main()
