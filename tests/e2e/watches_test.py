"""What the configuration's watches call when something that is registered changes."""
import http.server
import json
import pathlib
import queue
import signal
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire

# Appends a line to the file $0 for each call: the index, and what came on the standard input.
SCRIPT = 'line="$CONSUL_INDEX $(tr -d "\\n")"; echo "$line" >>"$0"'


class Endpoint:
    """Keeps what was sent to it, as (headers, JSON)."""

    def __init__(self):
        self.taken = taken = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.put((dict(self.headers), json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/told"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class WatchesTest(unittest.TestCase):
    def start(self, **config):
        agent = self.enterContext(lib.Agent(config))
        self.client = http_client.Client(agent.ports["http"])
        return agent

    def register(self, name, status="passing"):
        self.client.put("agent/service/register",
                        {"Name": name, "Check": {"TTL": "1h", "Status": status}})

    def calls(self, file):
        """[(index, JSON)] of a script's calls."""
        if not file.exists():
            return []
        return [(int(index), json.loads(body)) for index, body in
                (line.split(" ", 1) for line in file.read_text().splitlines())]

    def test_commands_are_called_at_each_change(self):
        agent = lib.Agent()
        file = agent.folder / "calls"
        agent.write("conf.d/watches.json", {"watches": [
            {"type": "service", "service": "web", "passingonly": True,
             "args": ["sh", "-c", SCRIPT, str(file)]}]})
        self.enterContext(agent)
        self.client = http_client.Client(agent.ports["http"])
        wire.until("it was called at the start", lambda: len(self.calls(file)) == 1)
        self.assertEqual(self.calls(file)[0][1], [])
        self.register("other")
        self.register("web")
        wire.until("it was called for web", lambda: len(self.calls(file)) == 2)
        self.client.put("agent/check/fail/service:web")
        wire.until("it was called again", lambda: len(self.calls(file)) == 3)
        indexes, results = zip(*self.calls(file))
        self.assertEqual([len(result) for result in results], [0, 1, 0])
        self.assertEqual(list(indexes), sorted(indexes))
        self.assertEqual(results[1][0]["Service"]["ID"], "web")

    def test_endpoints_are_told_and_a_reload_changes_who_is(self):
        first, second = Endpoint(), Endpoint()
        for each in first, second:
            self.addCleanup(each.close)
        watch = lambda endpoint: {"type": "checks", "state": "critical", "handler_type": "http",
                                  "http_handler_config": {"path": endpoint.url,
                                                          "header": {"X-Key": ["k"]}}}
        agent = self.start(watches=[watch(first)])
        headers, result = first.taken.get(timeout=10)
        self.assertEqual((result, headers["X-Key"]), ([], "k"))
        critical = lambda name: self.client.put("catalog/register", {
            "Node": "ext", "Address": "10.0.0.1", "Check": {"Name": name, "Status": "critical"}})
        critical("a")
        headers, result = first.taken.get(timeout=10)
        self.assertEqual([check["CheckID"] for check in result], ["a"])
        self.assertGreater(int(headers["X-Consul-Index"]), 1)

        config = json.loads((agent.folder / "config.json").read_text())
        config["watches"] = [watch(second)]
        agent.write("config.json", config)
        agent.process.send_signal(signal.SIGHUP)
        second.taken.get(timeout=10)
        critical("b")
        headers, result = second.taken.get(timeout=10)
        self.assertEqual([check["CheckID"] for check in result], ["a", "b"])
        self.assertTrue(first.taken.empty())

    def test_a_command_that_fails_or_hangs_does_no_harm(self):
        agent = self.start(watches=[
            {"type": "nodes", "args": ["/nonexistent"]},
            {"type": "nodes", "handler": "exit 3"},
            {"type": "services", "args": ["sleep", "600"]}])
        for why in "cannot run", "status 3":
            wire.until(f"the log says {why}", lambda why=why: why in agent.log(200))
        self.register("web")
        self.assertEqual(agent.stop(), 1)

    def test_what_is_not_there_yet_is_said(self):
        agent = self.start(watches=[{"type": "key", "key": "k", "args": ["true"]}])
        wire.until("it is", lambda: "watches[0] (type key)" in agent.log(200))


if __name__ == "__main__":
    lib.main()
