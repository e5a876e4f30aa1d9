"""The agent as its operator sees it: start, files, signals, reload, stop."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
WEB = 'service { name = "web" port = 80 address = "10.0.0.1" }\n'


class PlainAgent(lib.Agent):
    """An agent without -dev, of one file of the test's choice; `{folder}` and `{dns}` in it, and
    the other names of `ports`, are filled in."""

    def __init__(self, text, name="config.hcl", definitions=None):
        super().__init__(definitions=definitions)
        self.file = self.folder / name
        values = {"folder": str(self.folder), **self.ports, "https": lib.free_ports(1)[0]}
        self.file.write_text(re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), text))

    def command(self):
        return [str(self.binary), "agent", "-config-file", str(self.file),
                "-config-dir", str(self.folder / "conf.d")]


def log_of(agent):
    return agent.log_path.read_text(errors="replace")


def log_once_running(agent):
    """With all that it says when it starts, which may come after its first answers."""
    wire.until("the agent is running", lambda: "agent running!" in log_of(agent))
    return log_of(agent)


def reload(agent, outcome="Configuration reloaded"):
    """SIGHUP, until the agent says how it went; returns what it logged meanwhile."""
    before = len(log_of(agent))
    agent.process.send_signal(signal.SIGHUP)
    wire.until(f"the log says {outcome!r}", lambda: outcome in log_of(agent)[before:])
    return log_of(agent)[before:]


def run(*args, **options):
    """Runs pharos to its end, which must come by itself."""
    return subprocess.run([lib.PHAROS, *map(str, args)], capture_output=True, text=True,
                          timeout=lib.READY_SECONDS, check=False, **options)


class Start(unittest.TestCase):
    def test_banner_and_log(self):
        with lib.Agent() as agent:
            dns = agent.dns_port
            log = log_once_running(agent)
            self.assertRegex(log, "^==> Starting Pharos agent...\n")
            for line in (r"Version: '\d+\.\d+\.\d+.*'", f"Node ID: '{UUID}'",
                         r"Node name: 'agent-1'", r"Datacenter: 'dc1' \(Segment: '<all>'\)",
                         r"Server: true \(Bootstrap: \w+\)",
                         rf"Client Addr: \[127\.0\.0\.1\] \(HTTP: -?\d+, HTTPS: -?\d+, "
                         rf"gRPC: -?\d+, DNS: {dns}\)",
                         r"Cluster Addr: 127\.0\.0\.1 \(LAN: -?\d+, WAN: -?\d+\)",
                         r"Encrypt: Gossip: false, .*"):
                self.assertRegex(log, rf"(?m)^ +{line}$")
            self.assertRegex(log, "\n==> Log data will now stream in as it occurs:\n\n"
                             r"    \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[")
            for network in "udp", "tcp":
                self.assertRegex(log, rf"\[INFO\] +agent: Started DNS server: "
                                      rf"address=127\.0\.0\.1:{dns} network={network}\n")
            self.assertIn("==> Pharos agent running!\n", log)

    def test_definitions_of_a_folder(self):
        definitions = {
            "a.hcl": WEB, "b.json": {"services": [
                {"name": "api", "id": "api-1", "port": 1, "address": "10.0.1.1", "tags": ["x"]},
                {"name": "api", "id": "api-2", "port": 2, "address": "10.0.1.2",
                 "weights": {"passing": 7, "warning": 1}}]},
            "c.hcl": 'services = [{ name = "warm" port = 3 check { id = "c" ttl = "1m" '
                     'status = "warning" } }]',
            "d.txt": "not read"}
        with lib.Agent(definitions=definitions) as agent:
            self.assertEqual(agent.dig("web.service.consul").rdata(), ["10.0.0.1"])
            self.assertEqual(agent.dig("api.service.consul").rdata(), ["10.0.1.1", "10.0.1.2"])
            self.assertEqual(agent.dig("x.api.service.consul", "SRV").rdata(),
                             ["1 1 1 0a000101.addr.dc1.consul."])
            self.assertEqual(agent.dig("warm.service.consul", "SRV").rdata(),
                             ["1 1 3 agent-1.node.dc1.consul."])
            self.assertIn("Synced service: service=api-2", log_once_running(agent))

    def test_node_id_is_kept(self):
        config = ('data_dir = "{folder}/data" bind_addr = "127.0.0.1" '
                  'ports { dns = {dns} http = -1 serf_lan = {serf_lan} }')
        agent = PlainAgent(config)
        self.addCleanup(agent.__exit__)
        ids = set()
        for _ in range(2):
            agent.__enter__()
            agent.stop()
            ids.add(re.search(f"Node ID: '({UUID})'", log_of(agent))[1])
        self.assertEqual(ids, {(agent.folder / "data" / "node-id").read_text().strip()})

    def test_pid_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "pid"
            with lib.Agent({"pid_file": str(path)}) as agent:
                deadline = time.monotonic() + 10
                while not path.exists() and time.monotonic() < deadline:
                    time.sleep(0.01)
                self.assertEqual(int(path.read_text()), agent.process.pid)
                # One that cannot start leaves it as it is.
                config = pathlib.Path(folder) / "second.json"
                config.write_text(json.dumps({"pid_file": str(path), "ports": agent.ports}))
                self.assertNotEqual(run("agent", "-dev", "-config-file", str(config)).returncode, 0)
                self.assertEqual(int(path.read_text()), agent.process.pid)
            self.assertFalse(path.exists())

    def test_tutorial_configuration(self):
        key = run("keygen").stdout.strip()
        self.assertEqual(len(key), 44)
        config = f'''
            datacenter = "us-east-1"
            data_dir   = "{{folder}}/data"
            log_level  = "INFO"
            node_name  = "server-1"
            server     = true
            bootstrap_expect = 1
            encrypt    = "{key}"
            bind_addr  = "127.0.0.1"
            ui_config {{ enabled = true }}
            addresses {{ http = "127.0.0.1"  dns = "127.0.0.1" }}
            ports     {{ dns = {{dns}}  http = {{http}}  https = {{https}}  grpc = {{grpc}}
                         serf_lan = {{serf_lan}}  serf_wan = {{serf_wan}} }}
            recursors = ["127.0.0.2"]
            '''
        service = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(service.close)
        redis = f'''service {{
            name = "redis"
            port = 6379
            tags = ["primary"]
            check {{ tcp = "localhost:{service.getsockname()[1]}"  interval = "1s"  timeout = "1s" }}
            }}'''
        with PlainAgent(config, definitions={"redis.hcl": redis}) as agent:
            self.assertEqual(agent.dig("server-1.node.us-east-1.consul").rdata(), ["127.0.0.1"])
            wire.until("the check has passed",
                       lambda: agent.dig("primary.redis.service.consul", "SRV").status == "NOERROR")
            log = log_once_running(agent)
            self.assertIn("Datacenter: 'us-east-1'", log)
            self.assertIn("Gossip: true", log)

    def test_configuration_of_client_libraries_harnesses(self):
        node_id = "6a4e7c3f-9f63-4f9c-8c1b-0d4d6e6b1f11"
        config = (f'{{"node_name":"node-{node_id}","node_id":"{node_id}","performance":'
                  '{"raft_multiplier":1},"bootstrap":true,"server":true,"data_dir":"{folder}/new/'
                  'data","segments":null,"disable_update_check":true,"log_level":"debug",'
                  '"bind_addr":"127.0.0.1","addresses":{},"ports":{"dns":{dns},"http":{http},'
                  '"https":{https},"serf_lan":{serf_lan},"serf_wan":{serf_wan},'
                  '"server":{server}},"acl":{"tokens":{}},"connect":{"ca_config":{"cluster_id":'
                  '"11111111-2222-3333-4444-555555555555"},"enabled":true}}')
        with PlainAgent(config, "config.json", {"empty.json": ""}) as agent:
            reply = agent.dig(f"node-{node_id}.node.consul")
            self.assertEqual(reply.rdata(), ["127.0.0.1"])
            self.assertIn(f"Node ID: '{node_id}'", log_once_running(agent))
            self.assertEqual((agent.folder / "new/data/node-id").read_text().strip(), node_id)


class Log(unittest.TestCase):
    def test_is_put_aside_when_it_is_large(self):
        with tempfile.TemporaryDirectory() as folder:
            with lib.Agent({"log_file": f"{folder}/agent.log", "log_rotate_bytes": 2000,
                            "log_rotate_max_files": 2}) as agent:
                for _ in range(20):
                    agent.process.send_signal(signal.SIGUSR1)  # Some hundred lines each.
                    if len(os.listdir(folder)) == 3:
                        break
                    time.sleep(0.05)
                wire.until("two old ones are kept", lambda: len(os.listdir(folder)) == 3)
            names = sorted(os.listdir(folder))
            self.assertRegex(" ".join(names), r"^agent-\d{19}\.log agent-\d{19}\.log agent\.log$")
            for name in names:
                lines = pathlib.Path(folder, name).read_text().splitlines()
                self.assertLessEqual(sum(map(len, lines)), 2000)
                self.assertTrue(all(re.match(r"    \d{4}-", line) for line in lines), lines)

    def test_as_json(self):
        with lib.Agent({"log_json": True}) as agent:
            wire.until("a line", lambda: '"@level":"info"' in agent.log())
            lines = [json.loads(line) for line in agent.log().splitlines()
                     if line.startswith("{")]
        self.assertTrue(all({"@level", "@message", "@module", "@timestamp"} <= set(line)
                            for line in lines))

    def test_in_a_folder_that_is_missing(self):
        with self.assertRaisesRegex(AssertionError, 'log_file "/nonexistent/x.log" cannot be '
                                                    "opened: No such file or directory"):
            with lib.Agent({"log_file": "/nonexistent/x.log"}):
                pass


class StartThatFails(unittest.TestCase):
    def fails(self, *args, says):
        """One line of error and status 1, without anything else on standard error."""
        result = run("agent", *args)
        self.assertEqual(result.returncode, 1, result)
        self.assertRegex(result.stderr, says)
        self.assertTrue(result.stderr.startswith("==> "), result)
        return result.stderr

    def test_port_in_use(self):
        for kind, network in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")):
            with self.subTest(network), socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1", 0))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                port = taken.getsockname()[1]
                error = self.fails("-dev", f"-dns-port={port}",
                                   says=rf"^==> cannot listen on {network} 127\.0\.0\.1:{port}")
                self.assertEqual(error.count("\n"), 1, error)

    def test_port_of_another_agent(self):
        with lib.Agent() as agent:
            self.fails("-dev", f"-dns-port={agent.dns_port}", says="^==> cannot listen on ")
            self.assertEqual(agent.dig("agent-1.node.consul").status, "NOERROR")

    def test_files_that_cannot_be_read(self):
        with tempfile.TemporaryDirectory() as folder:
            missing = f"{folder}/missing.hcl"
            for option in "-config-file", "-config-dir":
                self.fails("-dev", option, missing, says=re.escape(missing))

    def test_addresses_that_are_none_or_not_ours(self):
        port, = lib.free_ports(1)
        for option, value in (("-bind", "300.1.1.1"), ("-client", "nonsense"),
                              ("-advertise", "1.2.3")):
            with self.subTest(option):
                self.fails("-dev", f"-dns-port={port}", f"{option}={value}",
                           says=re.escape(value))
        self.fails("-dev", "-http-port=-1", "-client=192.0.2.1",
                   says=r"^==> cannot listen on tcp 192\.0\.2\.1:8502 for gRPC: ")
        self.fails("-dev", f"-dns-port={port}", "-http-port=-1", "-grpc-port=-1",
                   "-client=192.0.2.1", says=rf"^==> cannot listen on udp 192\.0\.2\.1:{port}")

    def test_faults_in_files_are_placed(self):
        for name, text, where in (("a.hcl", 'node_name = "x"\nport { dns = 1 }\n', ":2:"),
                                  ("b.hcl", 'node_name = \n\n  = 3', ":"),
                                  ("c.json", '{\n  "server": "true"\n}', ":2:"),
                                  ("d.json", '{"server": tru}', ":1:")):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / name
                path.write_text(text)
                self.fails("-dev", "-config-file", path,
                           says=re.escape(f"{path}{where}") + r"\d+")

    def test_template_that_was_not_filled_in_is_called_so(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "server.hcl"
            path.write_text('server = true\nports { dns = 8600 https = ${HTTPS_PORT} }\n')
            error = self.fails("-dev", "-config-file", path, says=re.escape(str(path)) + ":2:")
            self.assertIn("template", error)
            self.assertIn("HTTPS_PORT", error)

    def test_nothing_is_left(self):
        with tempfile.TemporaryDirectory() as folder:
            pid_file = pathlib.Path(folder) / "pid"
            self.fails("-dev", f"-pid-file={pid_file}", "-dns-port=1", "-client=192.0.2.1",
                       says="cannot listen")
            self.assertFalse(pid_file.exists())


class Reload(unittest.TestCase):
    def test_adds_changes_and_removes(self):
        with lib.Agent(definitions={"web.hcl": WEB, "old.hcl": WEB.replace("web", "old")}) as agent:
            agent.write("conf.d/web.hcl", WEB.replace("10.0.0.1", "10.0.0.2"))
            agent.write("conf.d/new.json", {"service": {"name": "new", "port": 1}})
            (agent.folder / "conf.d/old.hcl").unlink()
            reload(agent)
            self.assertEqual(agent.dig("web.service.consul").rdata(), ["10.0.0.2"])
            self.assertEqual(agent.dig("new.service.consul", "SRV").rdata(),
                             ["1 1 1 agent-1.node.dc1.consul."])
            self.assertEqual(agent.dig("old.service.consul").status, "NXDOMAIN")
            self.assertEqual(agent.dig("1.0.0.10.in-addr.arpa", "PTR").status, "NXDOMAIN")

    def test_renames_a_service_and_drops_its_check(self):
        text = ('service { id = "x" name = "one" port = 1 '
                'check { id = "c" ttl = "1m" status = "critical" } }')
        with lib.Agent(definitions={"x.hcl": text}) as agent:
            self.assertEqual(agent.dig("one.service.consul").status, "NXDOMAIN")
            agent.write("conf.d/x.hcl", 'service { id = "x" name = "two" port = 1 }')
            reload(agent)
            self.assertEqual(agent.dig("two.service.consul").status, "NOERROR")
            self.assertEqual(agent.dig("one.service.consul").status, "NXDOMAIN")

    def test_soa_serial_moves(self):
        with lib.Agent() as agent:
            serial = lambda: int(agent.dig("consul", "SOA").answer[0].rdata.split()[2])
            before = serial()
            wire.until("the clock shows another second", lambda: time.time() >= before + 1)
            reload(agent)  # Nothing to change.
            self.assertEqual(serial(), before)
            agent.write("conf.d/web.hcl", WEB)
            reload(agent)
            self.assertGreater(serial(), before)

    def test_every_question_is_answered_meanwhile(self):
        with lib.Agent(definitions={"web.hcl": WEB}) as agent:
            stop, asked, faults = threading.Event(), [0], []

            def ask_on():
                message = wire.query("web.service.consul")
                with wire.udp(agent.dns_port) as asker:
                    while not stop.is_set():
                        asker.send(message)
                        try:
                            head = wire.Head(asker.recv(65535))
                        except OSError as error:
                            return faults.append(repr(error))
                        if (head.rcode, head.answers) != (wire.NOERROR, 1):
                            return faults.append(f"rcode {head.rcode}, {head.answers} answers")
                        asked[0] += 1

            asker = threading.Thread(target=ask_on)
            asker.start()
            try:
                for turn in range(20):
                    before = asked[0]
                    agent.write("conf.d/web.hcl", WEB.replace("10.0.0.1", f"10.0.0.{turn + 2}"))
                    agent.write("conf.d/new.hcl",
                                "".join(f'service {{ id = "{turn}-{i}" name = "s{i}" }}\n'
                                        for i in range(20)))
                    reload(agent)
                    wire.until("questions go on", lambda: faults or asked[0] > before + 10)
            finally:
                stop.set()
                asker.join()
            self.assertEqual(faults, [])
            self.assertEqual(agent.dig("web.service.consul").rdata(), ["10.0.0.21"])

    def test_bad_file_leaves_what_was(self):
        with lib.Agent(definitions={"web.hcl": WEB}) as agent:
            agent.write("conf.d/bad.hcl", 'service { name = "new" }\n\nservice { nam = "x" }\n')
            agent.write("conf.d/web.hcl", WEB.replace("10.0.0.1", "10.0.0.2"))
            log = reload(agent, "Reload failed")
            self.assertRegex(log, re.escape(str(agent.folder / "conf.d/bad.hcl")) + r":3:\d+")
            self.assertEqual(agent.dig("web.service.consul").rdata(), ["10.0.0.1"])
            self.assertEqual(agent.dig("new.service.consul").status, "NXDOMAIN")
            agent.write("conf.d/bad.hcl", "")
            reload(agent)
            self.assertEqual(agent.dig("web.service.consul").rdata(), ["10.0.0.2"])

    def test_changes_dns_config(self):
        text = 'service { name = "warm" check { id = "c" ttl = "1m" status = "warning" } }'
        with lib.Agent(definitions={"warm.hcl": text}) as agent:
            self.assertEqual(agent.dig("agent-1.node.consul").answer[0].ttl, 0)
            self.assertEqual(agent.dig("warm.service.consul").answer[0].ttl, 0)
            agent.write("conf.d/dns.json", {"dns_config": {
                "node_ttl": "7s", "service_ttl": {"*": "8s"}, "soa": {"min_ttl": 9}}})
            reload(agent)
            self.assertEqual(agent.dig("agent-1.node.consul").answer[0].ttl, 7)
            self.assertEqual(agent.dig("warm.service.consul").answer[0].ttl, 8)
            self.assertEqual(agent.dig("nosuch.service.consul").authority[0].ttl, 9)
            agent.write("conf.d/dns.json", {"dns_config": {"only_passing": True}})
            reload(agent)
            self.assertEqual(agent.dig("warm.service.consul").status, "NXDOMAIN")
            self.assertEqual(agent.dig("agent-1.node.consul").answer[0].ttl, 0)

    def test_changes_recursors(self):
        with lib.Agent() as agent, upstream.Upstream() as first, upstream.Upstream() as second:
            first.add("www.example.com", "A", wire.record("www.example.com", "A", 60, b"\1\1\1\1"))
            second.add("two.example.com", "A", wire.record("two.example.com", "A", 60, b"\2\2\2\2"))
            self.assertEqual(agent.dig("www.example.com").status, "REFUSED")
            for server, name, address in ((first, "www.example.com", "1.1.1.1"),
                                          (second, "two.example.com", "2.2.2.2")):
                agent.write("conf.d/recursors.json", {"recursors": [server.address]})
                reload(agent)
                reply = agent.dig(name)
                self.assertEqual((reply.rdata(), "ra" in reply.flags), ([address], True), reply)
            agent.write("conf.d/recursors.json", {})
            reload(agent)
            self.assertEqual(agent.dig("other.example.com").status, "REFUSED")
            self.assertNotIn("ra", agent.dig("consul", "SOA").flags)

    def test_says_what_needs_a_restart(self):
        with lib.Agent() as agent:
            agent.write("conf.d/more.json", {"domain": "other"})
            self.assertRegex(reload(agent), r"restart: .*\bdomain\b")
            self.assertEqual(agent.dig("agent-1.node.consul").status, "NOERROR")
            self.assertEqual(agent.dig("agent-1.node.other").status, "REFUSED")


class Stop(unittest.TestCase):
    def test_by_signal_within_a_second(self):
        for how in signal.SIGINT, signal.SIGTERM:
            with self.subTest(how), lib.Agent(prefix=["setsid", "--wait"]) as agent:
                pid = self.child_of(agent.process.pid)
                with wire.Tcp(agent.dns_port) as idle:
                    started = time.monotonic()
                    os.kill(pid, how)
                    status = agent.process.wait(lib.STOP_SECONDS)
                    self.assertLess(time.monotonic() - started, 1)
                    self.assertTrue(idle.is_closed())
                self.assertEqual(status, 1, log_of(agent))
                # It was the leader of its own session: no one is left in that.
                with self.assertRaises(ProcessLookupError):
                    os.killpg(pid, 0)
                self.assertFalse(lib.answers(agent.dns_port))

    @staticmethod
    def child_of(pid):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else pid

    def test_under_questions(self):
        with lib.Agent(definitions={"web.hcl": WEB}) as agent:
            agent.write("questions", "web.service.consul A\nnosuch.service.consul A\n" * 10)
            load = subprocess.Popen(["dnsperf", "-s", "127.0.0.1", "-p", str(agent.dns_port), "-d",
                                     agent.folder / "questions", "-l", "60", "-q", "200"], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            try:
                wire.until("the load is there", lambda: self.received(agent) > 1000)
                started = time.monotonic()
                self.assertEqual(agent.stop(signal.SIGTERM), 1)
                self.assertLess(time.monotonic() - started, 1)
            finally:
                load.kill()
                load.wait()

    @staticmethod
    def received(agent):
        agent.process.send_signal(signal.SIGUSR1)
        found = re.findall(r'pharos_dns_queries_total\{transport="udp"\} (\d+)', log_of(agent))
        return int(found[-1]) if found else 0

    def test_port_is_free_again_at_once(self):
        with lib.Agent() as agent:
            with wire.Tcp(agent.dns_port) as tcp:
                tcp.send(wire.query("consul", "SOA"))
                tcp.receive()
                agent.stop()
            agent.__enter__()
            self.assertEqual(agent.dig("agent-1.node.consul", "A", "+tcp").status, "NOERROR")


if __name__ == "__main__":
    lib.main()
