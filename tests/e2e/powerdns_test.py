"""Debian's PowerDNS Recursor, which validates, in front of the agent."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import behind
import lib


class Recursor(behind.Resolver):
    """`zone` is the text of the recipe's files: settings, then Lua."""

    program = "pdns_recursor"

    def arguments(self, config_path):
        config_path.rename(self.folder / "recursor.conf")
        return [f"--config-dir={self.folder}"]

    def config(self):
        settings, lua = self.zone
        lua_path = self.folder / "consul.lua"
        # The world outside is not signed either.
        lua_path.write_text(lua + 'addNTA("example.com", "outside")\n')
        named = settings.replace("/etc/powerdns/consul.lua", str(lua_path))
        assert named != settings, settings
        return f"""
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.folder}
config-dir={self.folder}
daemon=no
disable-syslog=yes
write-pid=no
loglevel=6
threads=1
hint-file=no
security-poll-suffix=
dnssec=validate
forward-zones-recurse=.=127.0.0.1:{self.outside}
{named}
"""


class Recipe(behind.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Recursor(behind.recipe("PowerDNS Recursor", agent_port), outside_port)


class RecipeWithoutRecursors(Recipe):
    """The agent knows its own names only, and the Recursor follows them out of the zone."""

    agent_recurses = False


lib.main()
