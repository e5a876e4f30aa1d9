"""The agent as the host's resolver: glibc, through /etc/resolv.conf, in a network of its own."""
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import wire

CONFIG = """
node_name = "host-1"
bind_addr = "127.0.0.1"
ports { dns = 53 }
service { name = "web" port = 8080 address = "127.0.0.1" tags = ["blue"] }
"""
PAGE = "hello from web\n"


@contextlib.contextmanager
def process(command, **options):
    """Runs while in `with`."""
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(lib.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class HostResolver(unittest.TestCase):
    """Needs the right to make namespaces; without it these tests fail, as there is no other way to
    see that a host can use the agent."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        (cls.folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2\n")
        (cls.folder / "nsswitch.conf").write_text("hosts: files dns\n")
        (cls.folder / "agent.hcl").write_text(CONFIG)
        (cls.folder / "www").mkdir()
        (cls.folder / "www" / "index.html").write_text(PAGE)
        # The namespaces live as long as the process in them, which waits for its end.
        script = (f"ip link set lo up && mount --bind {cls.folder}/resolv.conf /etc/resolv.conf && "
                  f"mount --bind {cls.folder}/nsswitch.conf /etc/nsswitch.conf && "
                  "echo ready && exec sleep infinity")
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        cls.holder = cls.enterClassContext(
            process(["unshare", "--net", "--mount", *user, "sh", "-c", script],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        cls.addClassCleanup(cls.holder.stdout.close)
        said = cls.holder.stdout.readline()
        if said != "ready\n":
            raise AssertionError("cannot make a network and mount namespace here, so whether a "
                                 f"host can use the agent is NOT TESTED: {said}")
        cls.log = cls.folder / "agent.log"
        with open(cls.log, "wb") as log:
            cls.enterClassContext(process(cls.inside(
                lib.PHAROS, "agent", "-dev", "-config-file", cls.folder / "agent.hcl"),
                stdout=log, stderr=subprocess.STDOUT))
        cls.enterClassContext(process(cls.inside(
            sys.executable, "-m", "http.server", "8080", "--bind", "127.0.0.1", "--directory",
            cls.folder / "www"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wire.until("the agent runs", lambda: "agent running!" in cls.log.read_text())
        wire.until("the HTTP server answers",
                   lambda: cls.run_inside("curl", "-sf", "http://127.0.0.1:8080/").stdout == PAGE)

    @classmethod
    def inside(cls, *command):
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={cls.holder.pid}", "--net", "--mount", *user, "--",
                *map(str, command)]

    @classmethod
    def run_inside(cls, *command):
        return subprocess.run(cls.inside(*command), capture_output=True, text=True, check=False,
                              timeout=20)

    def test_curl_finds_a_service(self):
        for name in "web.service.consul", "blue.web.service.consul", "WEB.service.dc1.consul":
            with self.subTest(name):
                run = self.run_inside("curl", "-sS", "--noproxy", "*", f"http://{name}:8080/")
                self.assertEqual(run.stdout, PAGE, run)

    def test_getent(self):
        for database in "hosts", "ahosts":
            with self.subTest(database):
                run = self.run_inside("getent", database, "web.service.consul")
                self.assertEqual(run.returncode, 0, run)
                self.assertIn("127.0.0.1", run.stdout)
        run = self.run_inside("getent", "hosts", "host-1.node.consul")
        self.assertEqual(run.stdout.split(), ["127.0.0.1", "host-1.node.consul"])

    def test_name_that_is_not_there(self):
        run = self.run_inside("getent", "hosts", "nosuch.service.consul")
        self.assertEqual((run.returncode, run.stdout), (2, ""))
        run = self.run_inside("curl", "-sS", "--noproxy", "*", "http://nosuch.service.consul:8080/")
        self.assertEqual(run.returncode, 6, run)  # Could not resolve host.

    def test_this_host_outside_is_as_it_was(self):
        self.assertNotEqual(pathlib.Path("/etc/resolv.conf").read_text(),
                            (self.folder / "resolv.conf").read_text())


lib.main()
