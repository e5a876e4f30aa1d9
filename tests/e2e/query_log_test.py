"""The query log: a line for a share of the queries, in a file that may be rotated."""
import json
import pathlib
import re
import signal
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

DEFINITIONS = {"web.json": {"service": {"name": "web", "address": "10.0.0.1", "port": 80}}}


class QueryLog(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="pharos-test-"))
        self.file = pathlib.Path(folder) / "queries.log"

    def start(self, query_log=None, dns_config=None, **config):
        return self.enterContext(lib.Agent(
            {"query_log": {"file": str(self.file), "sample": 1, **(query_log or {})},
             "dns_config": dns_config or {}, **config}, DEFINITIONS))

    def lines(self, count, about="web.service.consul", file=None):
        """Lines about a name, once there are so many."""
        def read():
            found = [each for each in (file or self.file).read_text().splitlines()
                     if about in each]
            return found if len(found) >= count else None
        return wire.until(f"{count} lines about {about}", read)

    def reload(self, agent):
        before = agent.log(1000).count("Configuration reloaded")
        agent.process.send_signal(signal.SIGHUP)
        wire.until("the reload",
                   lambda: agent.log(1000).count("Configuration reloaded") > before)

    def test_tells_all_of_a_query(self):
        agent = self.start()
        size = len(wire.ask(agent.dns_port, wire.query("web.service.consul", "SRV")))
        agent.dig("WEB.service.consul", "A", "+tcp")
        first, = map(json.loads, self.lines(1))
        self.assertEqual(
            {key: first[key] for key in ("client", "transport", "name", "type", "rcode", "size",
                                         "source")},
            {"client": "127.0.0.1", "transport": "udp", "name": "web.service.consul.",
             "type": "SRV", "rcode": "NOERROR", "size": size, "source": "zone"})
        self.assertRegex(first["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertIn(first["latency"], ("1ms", "10ms", "100ms", "1s", "over"))
        self.assertGreater(first["port"], 0)
        second, = map(json.loads, self.lines(1, "WEB.service.consul"))
        self.assertEqual((second["transport"], second["type"]), ("tcp", "A"))

    def test_says_where_the_answer_came_from(self):
        server = self.enterContext(upstream.Upstream())
        server.add("www.example.com", "A",
                   wire.record("www.example.com", "A", 60, bytes([192, 0, 2, 7])))
        agent = self.start(dns_config={"threads": 1, "forwards_per_client_max": 1},
                           recursors=[server.address])
        agent.dig("www.example.com")
        agent.dig("www.example.com")
        agent.dig("nosuch.example.com")
        server.hold = threading.Event()
        with wire.Tcp(agent.dns_port) as connection:
            connection.send(wire.query("slow.example.com"), wire.query("refused.example.com"))
            self.assertEqual(wire.Head(connection.receive()).rcode, wire.SERVFAIL)
            server.hold.set()
            connection.receive()
        found = [json.loads(each) for each in self.lines(5, "example.com")]
        self.assertEqual([(each["name"], each["rcode"], each["source"]) for each in found],
                         [("www.example.com.", "NOERROR", "upstream"),
                          ("www.example.com.", "NOERROR", "cache"),
                          ("nosuch.example.com.", "NXDOMAIN", "upstream"),
                          ("refused.example.com.", "SERVFAIL", "bound"),
                          ("slow.example.com.", "NXDOMAIN", "upstream")])

    def test_says_what_the_rate_limit_did(self):
        agent = self.start(dns_config={"threads": 1, "rate_limit": {"responses_per_second": 1,
                                                                   "slip": 2}})
        with wire.udp(agent.dns_port) as asker:
            for _ in range(10):
                asker.send(wire.query("web.service.consul"))
        found = [json.loads(each) for each in self.lines(10)]
        limited = [each for each in found if each["source"] == "rate_limit"]
        self.assertGreater(len(limited), 4)
        self.assertEqual({(each["rcode"], each["size"] > 0) for each in limited},
                         {("-", False), ("NOERROR", True)})

    def test_may_be_text_and_keeps_a_line_a_line(self):
        agent = self.start({"format": "text"})
        # A label that holds an end of line.
        message = wire.header() + b"\x03a\nb" + wire.name("service.consul") + b"\0\1\0\1"
        wire.ask(agent.dns_port, message)
        line, = self.lines(1, r"a\010b.service.consul.")
        self.assertRegex(line, r"^\S+Z 127\.0\.0\.1:\d+ udp a\\010b\.service\.consul\. A NXDOMAIN "
                               r"\d+ \d+us (1ms|10ms|100ms|1s|over) zone$")

    def test_has_the_whole_rcode(self):
        agent = self.start()
        agent.dig("web.service.consul", "A", "+edns=1", "+noednsneg")
        self.assertEqual(json.loads(self.lines(1)[0])["rcode"], "BADVERS")

    def test_writes_only_a_sample(self):
        agent = self.start({"sample": 0.1})
        with wire.udp(agent.dns_port) as asker:
            for _ in range(2000):
                asker.send(wire.query("web.service.consul"))
                asker.recv(65535)
        agent.stop()  # Writes what waits.
        self.assertIn(len(self.lines(1)), range(100, 300))

    def test_is_opened_anew_by_a_reload(self):
        agent = self.start()
        agent.dig("web.service.consul")
        rotated = self.file.with_suffix(".1")
        self.file.rename(rotated)
        self.reload(agent)
        agent.dig("web.service.consul", "SRV")
        self.assertEqual(json.loads(self.lines(1)[0])["type"], "SRV")
        self.assertEqual([json.loads(each)["type"] for each in self.lines(1, file=rotated)], ["A"])

    def test_a_file_that_cannot_be_had_leaves_what_runs(self):
        agent = self.start()
        config = agent.folder / "config.json"
        config.write_text(config.read_text().replace(str(self.file), "/nowhere/log"))
        agent.process.send_signal(signal.SIGHUP)
        wire.until("an error in the log", lambda: re.search(
            r'Reload failed.*query_log.file "/nowhere/log" cannot be opened', agent.log(100)))
        agent.dig("web.service.consul")
        self.lines(1)

    def test_is_counted(self):
        agent = self.start()
        agent.dig("web.service.consul")
        self.lines(1)
        self.assertGreater(agent.metric("pharos_query_log_lines_total"), 0)
        self.assertEqual(agent.metric("pharos_query_log_dropped_total"), 0)


if __name__ == "__main__":
    lib.main()
