"""Docker checks: an agent with a daemon that does what the test says."""
import http.server
import json
import pathlib
import socketserver
import struct
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire


class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """As much of Docker's daemon as a check asks for, for use in `with`. `containers` are name ->
    what a command in it exits with."""

    daemon_threads = True

    def __init__(self, path):
        self.containers = {}
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *unused):
        self.stop()

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, _, what, name, step = self.path.split("/")
        if what == "containers":
            if name not in self.server.containers:
                return self.reply(404, {"message": f"No such container: {name}"})
            assert body["Cmd"] == ["/bin/alive"], body
            return self.reply(201, {"Id": f"run-in-{name}"})
        assert (what, step) == ("exec", "start"), self.path
        printed = f"{name} ran\n".encode()
        return self.reply(200, struct.pack("!BxxxI", 1, len(printed)) + printed)

    def do_GET(self):
        name = self.path.split("/")[3].removeprefix("run-in-")
        self.reply(200, {"ExitCode": self.server.containers[name], "Running": False})

    def reply(self, status, content):
        octets = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def address_string(self):
        return "a client"

    def log_message(self, *unused):
        pass


class DockerCheck(unittest.TestCase):
    def setUp(self):
        agent = lib.Agent({"enable_script_checks": True}, {"web.json": {"service": {
            "name": "web", "port": 80, "address": "10.0.0.1", "check": {
                "id": "alive", "docker_container_id": "web", "args": ["/bin/alive"],
                "interval": "1s"}}}})
        self.socket = agent.folder / "docker.sock"
        agent.prefix = ["env", f"DOCKER_HOST=unix://{self.socket}"]
        self.agent = self.enterContext(agent)
        self.client = http_client.Client(agent.ports["http"])

    def check(self):
        return self.client.get("agent/checks").json["alive"]

    def is_in_dns(self):
        return self.agent.dig("web.service.consul").status == "NOERROR"

    def wait_for(self, status, *texts):
        def reached():
            check = self.check()
            return check["Status"] == status and all(text in check["Output"] for text in texts)
        try:
            wire.until(f"the check is {status} with {texts}", reached)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.check()}") from None
        wire.until("DNS follows", lambda: self.is_in_dns() == (status != "critical"))

    def test_follows_the_container_and_the_daemon(self):
        self.wait_for("critical", f"Docker at {self.socket}: ", "ouldn't connect")
        with Daemon(self.socket) as daemon:
            self.wait_for("critical", "No such container: web")
            daemon.containers["web"] = 0
            self.wait_for("passing", "run-in-web ran")
            daemon.containers["web"] = 1
            self.wait_for("warning", "run-in-web ran")
            daemon.containers["web"] = 2
            self.wait_for("critical", "run-in-web ran")
            daemon.containers["web"] = 0
            self.wait_for("passing")
        # The daemon has died, and its socket is still there.
        self.wait_for("critical", f"Docker at {self.socket}: ", "ouldn't connect")


lib.main()
