"""A DNS server with a catalog of the test's choice: tests/conformance/catalog_server.cc."""
import json
import pathlib
import select
import subprocess
import tempfile
import unittest

import lib

CATALOG = lib.ROOT / "tests" / "conformance" / "catalog.txtpb"


def instances(service, count, network="10.2"):
    """Commands for a service with so many instances, each with an address and port of its own."""
    services = " ".join(
        f'services {{ id: "{service}-{i}" name: "{service}" port: {20000 + i}'
        f' address: "{network}.{i // 256}.{i % 256}" }}' for i in range(count))
    return (f'commands {{ register {{ node {{ name: "many-{service}" address: "10.1.0.1" }}'
            f' {services} }} }}\n')


class CatalogServer:
    """For use in `with`. `config` is laid over a configuration that has nothing but free ports;
    `commands` is added to catalog.txtpb."""

    def __init__(self, config=None, commands=""):
        self.config = {"node_name": "agent-1", "bind_addr": "127.0.0.1", **(config or {})}
        self.commands = commands

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="pharos-test-")
        folder = pathlib.Path(self._folder.name)
        self.dns_port, = lib.free_ports(1)
        (folder / "config.json").write_text(
            json.dumps({**self.config, "ports": {"dns": self.dns_port, **dict.fromkeys(
                ("http", "grpc", "serf_lan", "serf_wan", "server"), -1)}}))
        (folder / "commands.txtpb").write_text(CATALOG.read_text() + self.commands)
        self.process = subprocess.Popen(
            [lib.CATALOG_SERVER, folder / "config.json", folder / "commands.txtpb"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said = ""
            while not said.endswith(f"ready 127.0.0.1:{self.dns_port}\n"):
                if not select.select([self.process.stdout], [], [], lib.READY_SECONDS)[0]:
                    raise AssertionError(f"not ready in {lib.READY_SECONDS} s: {said}")
                line = self.process.stdout.readline()
                said += line
                if not line or line.startswith("refused"):
                    raise AssertionError(f"the catalog server did not start: {said}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        try:
            self.process.wait(lib.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self._folder.cleanup()

    def dig(self, name, type="A", *options):
        return lib.dig(self.dns_port, name, type, *options)


def shown(records):
    """Records as `OWNER TTL TYPE RDATA`, sorted."""
    return sorted(f"{each.owner} {each.ttl} {each.type} {each.rdata}" for each in records)


class CatalogTest(unittest.TestCase):
    """Tests that share one server."""

    maxDiff = None
    config = {}
    commands = ""

    @classmethod
    def setUpClass(cls):
        cls.server = CatalogServer(cls.config, cls.commands)
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def dig(self, name, type="A", *options):
        return self.server.dig(name, type, *options)

    def check(self, name, type, *answer, options=()):
        """That the answer is these records of the name asked, in any order: `TYPE RDATA` with TTL
        0, or a whole record as shown() writes it."""
        with self.subTest(name=name, type=type):
            reply = self.dig(name, type, *options)
            owner = name.rstrip(".") + "."
            want = sorted(each if " " in each and each.split()[1].isdigit()
                          and each.split()[0].endswith(".") else f"{owner} 0 {each}"
                          for each in answer)
            self.assertEqual((reply.status, shown(reply.answer)), ("NOERROR", want), reply)
            self.assertIn("aa", reply.flags, reply)
            return reply
