"""Debian's Knot Resolver in front of the agent."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import behind
import lib


class KnotResolver(behind.Resolver):
    program = "kresd"

    def arguments(self, config_path):
        return ["-n", "-c", config_path, self.folder]

    def config(self):
        # What asks the world on its own is switched off: nobody there would answer.
        return f"""
net.listen('127.0.0.1', {self.port}, {{ kind = 'dns' }})
net.ipv6 = false
cache.open(10 * MB, 'lmdb://{self.folder}')
log_level('info')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('priming')
modules.unload('detect_time_skew')
{self.zone}
policy.add(policy.all(policy.STUB({{ '127.0.0.1@{self.outside}' }})))
"""


class Recipe(behind.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return KnotResolver(behind.recipe("Knot Resolver", agent_port)[0], outside_port)


lib.main()
