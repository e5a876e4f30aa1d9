"""What the tests that run real binaries share: an agent on free loopback ports, dig, and the count.

A test file is a unittest file that ends with `lib.main()`. Nothing but Python's standard library is
needed, and dig.
"""
import collections
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import wire

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PHAROS_BUILD", ROOT / "build"))
PHAROS = pathlib.Path(os.environ.get("PHAROS", BUILD / "agent" / "pharos"))
CATALOG_SERVER = BUILD / "tests" / "conformance" / "catalog_server"
READY_SECONDS = 10
STOP_SECONDS = 10

Record = collections.namedtuple("Record", "owner ttl rclass type rdata")


class Reply:
    """What dig printed, taken apart. Sections are lists of Record; without OPT `edns` is None."""

    SECTIONS = {"QUESTION": "question", "ANSWER": "answer", "AUTHORITY": "authority",
                "ADDITIONAL": "additional"}

    def __init__(self, text):
        self.text = text
        self.status = _first(r"status: (\w+)", text)
        self.opcode = _first(r"opcode: (\w+)", text)
        self.flags = (_first(r";; flags:([a-z ]*);", text) or "").split()
        self.edns = None
        for name in self.SECTIONS.values():
            setattr(self, name, [])
        edns = re.search(r"EDNS: version: (\d+), flags:([a-z ]*); udp: (\d+)", text)
        if edns:
            self.edns = {"version": int(edns[1]), "flags": edns[2].split(), "udp": int(edns[3])}
        section = None
        for line in text.splitlines():
            heading = re.match(r";; (\w+) SECTION:", line)
            if heading:
                section = getattr(self, self.SECTIONS.get(heading[1], ""), None)
            elif not line.strip():
                section = None
            elif section is not None:
                section.append(_record(line))

    def types(self, section):
        return [record.type for record in getattr(self, section)]

    def rdata(self, section="answer", type=None):
        """RDATA in presentation form, sorted: answers come in random order."""
        return sorted(record.rdata for record in getattr(self, section)
                      if type in (None, record.type))

    def __str__(self):
        return self.text


def _first(pattern, text):
    match = re.search(pattern, text)
    return match[1] if match else None


def _record(line):
    if line.startswith(";"):  # The question: no TTL, no RDATA.
        owner, rclass, rtype = line[1:].split()
        return Record(owner, None, rclass, rtype, "")
    owner, ttl, rclass, rtype, *rdata = line.split(None, 4)
    return Record(owner, int(ttl), rclass, rtype, rdata[0] if rdata else "")


def dig(port, name, type="A", *options, server="127.0.0.1", seconds=3):
    """Asks once. Raises AssertionError when no reply comes.

    dig shares its port with others (SO_REUSEPORT), so that the kernel may give it the server's own;
    it then hears itself, notices that this is no response, and is run again.
    """
    command = ["dig", "-r", f"@{server}", "-p", str(port), f"+time={seconds}", "+tries=1",
               "+noall", "+comments", "+question", "+answer", "+authority", "+additional",
               *options, "-q", name, "-t", type]
    while True:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             check=False)
        if "query response not set" not in run.stdout:
            break
    if "status:" not in run.stdout:
        raise AssertionError(f"no reply to {' '.join(command)}:\n{run.stdout}")
    return Reply(run.stdout)


def free_ports(count):
    """Ports free on loopback for both UDP and TCP; all are held until all are found."""
    held, ports = [], []
    while len(ports) < count:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        tcp.bind(("127.0.0.1", 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            continue
        ports.append(tcp.getsockname()[1])
    for each in held:
        each.close()
    return ports


def answers(port):
    """Whether anything answers DNS there, however it answers."""
    query = b"\0\1\0\0\0\1\0\0\0\0\0\0\x06consul\0\0\6\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.1)
        try:
            asker.connect(("127.0.0.1", port))
            asker.send(query)
            return asker.recv(65535)[:2] == query[:2]
        except OSError:
            return False


class Agent:
    """A running agent in development mode, for use in `with`.

    `config` is laid over a configuration with a port of its own for everything; `definitions` are
    file name -> text (or something to be written as JSON) of its -config-dir.
    """

    def __init__(self, config=None, definitions=None, args=(), binary=PHAROS, prefix=()):
        self.binary, self.args, self.prefix = binary, list(args), list(prefix)
        names = ["dns", "http", "grpc", "serf_lan", "serf_wan", "server"]
        self.ports = dict(zip(names, free_ports(len(names))))
        self._folder = tempfile.TemporaryDirectory(prefix="pharos-test-")
        self.folder = pathlib.Path(self._folder.name)
        self.log_path = self.folder / "log"
        base = {"node_name": "agent-1", "bind_addr": "127.0.0.1", "log_level": "DEBUG",
                "ports": {**self.ports, "grpc_tls": -1}}
        for key, value in (config or {}).items():
            if isinstance(value, dict):
                value = {**base.get(key, {}), **value}
            base[key] = value
        self.dns_port = base["ports"]["dns"]
        self.write("config.json", base)
        (self.folder / "conf.d").mkdir()
        for name, definition in (definitions or {}).items():
            self.write(f"conf.d/{name}", definition)

    def write(self, name, content):
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / name).write_text(text)

    def command(self):
        return [*self.prefix, str(self.binary), "agent", "-dev",
                "-config-file", str(self.folder / "config.json"),
                "-config-dir", str(self.folder / "conf.d"), *self.args]

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not answers(self.dns_port):
                if self.process.poll() is not None:
                    raise AssertionError(f"the agent ended with {self.process.returncode}:\n"
                                         f"{self.log()}")
                if time.monotonic() > deadline:
                    raise AssertionError(f"no DNS answer in {READY_SECONDS} s:\n{self.log()}")
                time.sleep(0.01)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        try:
            self.stop()
        finally:
            self._folder.cleanup()

    def stop(self, how=signal.SIGINT):
        """Ends it and returns its exit status; AssertionError if it has to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {STOP_SECONDS} s after {how!r}:\n"
                                 f"{self.log()}") from None

    def log(self, lines=50):
        text = self.log_path.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def metric(self, name):
        """What the sample of that name, with its labels if any, stands at."""
        url = f"http://127.0.0.1:{self.ports['http']}/v1/agent/metrics?format=prometheus"
        with urllib.request.urlopen(url, timeout=5) as reply:
            text = reply.read().decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def dig(self, name, type="A", *options, seconds=3):
        return dig(self.dns_port, name, type, *options, seconds=seconds)


class AgentTest(unittest.TestCase):
    """Tests that share one agent: `config` and `definitions` are Agent's."""

    maxDiff = None
    config = {}
    definitions = {}

    @classmethod
    def setUpClass(cls):
        cls.agent = Agent(cls.config, cls.definitions)
        cls.agent.__enter__()
        cls.addClassCleanup(cls.agent.__exit__)

    def dig(self, name, type="A", *options):
        return self.agent.dig(name, type, *options)


def main():
    """Runs the calling file's tests; ends with `N passed, N failed` and an exit status to match."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len({test.id() for test, _ in result.failures + result.errors})
    # What could not even start (setUpClass) is not among those that ran.
    passed = max(0, result.testsRun - len(result.skipped) - sum(
        isinstance(test, unittest.TestCase)
        for test in {getattr(test, "test_case", test)
                     for test, _ in result.failures + result.errors}))
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if failed == 0 and passed > 0 else 1)
