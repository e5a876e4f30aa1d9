"""Debian's systemd-resolved, through the stub of its own that a host's programs ask, in front of the
agent, in namespaces of its own."""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import behind
import lib
import namespace

namespace.enter()
namespace.add_link()

# Installed it would be this host's resolver; so scripts/setup only unpacks it where it is not.
UNPACKED = lib.ROOT / "build-packages" / "systemd-resolved"
STUB = "127.0.0.53"


class Resolved(behind.Resolver):
    """`zone` is a file of resolved.conf.d. It runs as the root of its namespace, as no other user
    may exist there, and without D-Bus."""

    program = "systemd-resolved"

    def program_path(self):
        installed = pathlib.Path("/lib/systemd/systemd-resolved")
        return installed if installed.exists() else UNPACKED / "lib/systemd/systemd-resolved"

    def environment(self):
        libraries = UNPACKED / "usr/lib/x86_64-linux-gnu/systemd"
        return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "SYSTEMD_LOG_LEVEL": "debug",
                "SYSTEMD_LOG_TARGET": "console"}

    def arguments(self, config_path):
        return []

    def config(self):
        etc = self.folder / "systemd"
        (etc / "resolved.conf.d").mkdir(parents=True)
        (etc / "resolved.conf.d" / "consul.conf").write_text(self.zone)
        (etc / "resolved.conf").write_text(f"[Resolve]\nDNSStubListenerExtra=127.0.0.1:{self.port}\n")
        namespace.put_over("/etc/systemd", etc)
        (namespace.put_empty_over("/run") / "systemd").mkdir()
        for name, line in ("passwd", "systemd-resolve:x:0:0::/:/usr/sbin/nologin\n"), (
                "group", "systemd-resolve:x:0:\n"):
            theirs = "".join(
                each for each in pathlib.Path("/etc", name).read_text().splitlines(True)
                if not each.startswith("systemd-resolve:"))
            (self.folder / name).write_text(theirs + line)
            namespace.put_over(f"/etc/{name}", self.folder / name)
        (self.folder / "resolv.conf").write_text(f"nameserver {STUB}\noptions edns0 trust-ad\n")
        namespace.put_over("/etc/resolv.conf", self.folder / "resolv.conf")
        (self.folder / "nsswitch.conf").write_text("hosts: files dns\n")
        namespace.put_over("/etc/nsswitch.conf", self.folder / "nsswitch.conf")
        return ""


class Recipe(behind.BehindResolver, unittest.TestCase):
    """As docs/operating.md has it."""

    @staticmethod
    def resolver_for(agent_port, outside_port):
        return Resolved(behind.recipe("systemd-resolved", agent_port)[0], outside_port)

    def test_programs_find_services(self):
        for name, address in (("web.service.consul", "10.0.0."), ("six.service.consul", "fd00::1"),
                              ("inside.service.consul", "127.0.0.1"),
                              ("outside.service.consul", "192.0.2.1")):
            with self.subTest(name):
                run = subprocess.run(["getent", "ahosts", name], capture_output=True, text=True,
                                     check=False, timeout=20)
                self.assertIn(address, run.stdout, f"{run}\n{self.resolver.log()}")
        run = subprocess.run(["getent", "hosts", "10.0.0.1"], capture_output=True, text=True,
                             check=False, timeout=20)
        self.assertEqual(run.stdout.split(), ["10.0.0.1", "web.service.dc1.consul"], run)


lib.main()
