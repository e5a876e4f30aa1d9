"""dnstap: what a real collector (fstrm_capture) is told, read by a real decoder (dnstap-ldns)."""
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

DEFINITIONS = {"web.json": {"service": {"name": "web", "address": "10.0.0.1", "port": 80}}}


class Collector:
    """fstrm_capture on a Unix socket, for use in `with`."""

    def __init__(self, folder):
        self.socket = folder / "dnstap.sock"
        self.file = folder / "frames"

    def __enter__(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", str(self.socket),
             "-w", str(self.file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wire.until("the collector's socket", self.socket.exists)
        return self

    def __exit__(self, *unused):
        self.stop()

    def stop(self):
        """Ends it, upon which its file is whole."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def messages(self):
        """Each frame's fields as dnstap-ldns prints them, and all of its text."""
        run = subprocess.run(["dnstap-ldns", "-y", "-r", str(self.file)], stdout=subprocess.PIPE,
                             text=True, check=True)
        return [{"text": text, **dict(re.findall(r"^ *(\w+): (\S.*)$", text, re.MULTILINE))}
                for text in run.stdout.split("---\n") if text.strip()]


class Dnstap(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory(prefix="pharos-test-")))
        self.collector = Collector(self.folder)

    def start(self, dnstap=None, **config):
        return self.enterContext(lib.Agent(
            {"dnstap": {"socket": str(self.collector.socket), **(dnstap or {})},
             "dns_config": {"threads": 2}, **config}, DEFINITIONS))

    def until_connected(self, agent, connected=1):
        wire.until("the connection", lambda: agent.metric("pharos_dnstap_connected") ==
                   connected)

    def collected(self, agent):
        """All that was told, once the agent has ended."""
        agent.stop()
        self.collector.stop()
        return self.collector.messages()

    def about(self, messages, name):
        return [each for each in messages if name in each["text"]]

    def test_tells_of_queries_and_replies(self):
        with self.collector:
            agent = self.start()
            self.until_connected(agent)
            agent.dig("web.service.consul")
            agent.dig("web.service.consul", "SRV", "+tcp")
            messages = self.about(self.collected(agent), "web.service.consul")
        seen = sorted((each["type"], each["socket_protocol"]) for each in messages)
        self.assertEqual(seen, [("CLIENT_QUERY", "TCP"), ("CLIENT_QUERY", "UDP"),
                                ("CLIENT_RESPONSE", "TCP"), ("CLIENT_RESPONSE", "UDP")])
        for each in messages:
            self.assertIn('identity: "agent-1"', each["text"])
            self.assertIn('version: "pharos ', each["text"])
            self.assertEqual(each["socket_family"], "INET")
            self.assertEqual(each["query_address"], '"127.0.0.1"')
            self.assertEqual(each["response_address"], '"127.0.0.1"')
            self.assertEqual(each["response_port"], str(agent.dns_port))
        response, = [each for each in messages
                     if (each["type"], each["socket_protocol"]) == ("CLIENT_RESPONSE", "UDP")]
        self.assertRegex(response["text"], r"web\.service\.consul\.\s+0\s+IN\s+A\s+10\.0\.0\.1")
        self.assertLessEqual(response["query_time"], response["response_time"])

    def test_tells_of_answers_that_come_later_and_of_what_is_malformed(self):
        server = self.enterContext(upstream.Upstream())
        server.add("www.example.com", "A",
                   wire.record("www.example.com", "A", 60, bytes([192, 0, 2, 7])))
        with self.collector:
            agent = self.start(recursors=[server.address])
            self.until_connected(agent)
            self.assertEqual(agent.dig("www.example.com").rdata(), ["192.0.2.7"])
            wire.ask(agent.dns_port, wire.header(questions=3))
            messages = self.collected(agent)
        self.assertEqual([each["type"] for each in self.about(messages, "www.example.com")],
                         ["CLIENT_QUERY", "CLIENT_RESPONSE"])
        self.assertIn("FORMERR", "".join(each["text"] for each in messages))

    def test_tells_only_what_is_wanted(self):
        with self.collector:
            agent = self.start({"queries": False, "identity": "the-one"})
            self.until_connected(agent)
            agent.dig("web.service.consul")
            messages = self.collected(agent)
        self.assertEqual({each["type"] for each in messages}, {"CLIENT_RESPONSE"})
        self.assertIn('identity: "the-one"', messages[0]["text"])

    def test_a_collector_may_come_late_and_come_back(self):
        agent = self.start()
        wire.until("a line in the log", lambda: "dnstap: cannot connect" in agent.log(100))
        agent.dig("web.service.consul")
        unconnected = 'pharos_dnstap_dropped_total{reason="not connected"}'
        wire.until("drops", lambda: agent.metric(unconnected) > 0)
        with self.collector:
            self.until_connected(agent)
            agent.dig("web.service.consul", "SRV")
            wire.until("frames", lambda: agent.metric("pharos_dnstap_sent_total") >= 2)
        self.collector.file = self.folder / "frames-2"
        with self.collector:
            def comes_back():
                # That a collector has gone is seen by the next frame that is written.
                agent.dig("agent-1.node.consul")
                return agent.log(1000).count("can be reached again") == 2
            wire.until("another connection", comes_back)
            self.until_connected(agent)
            agent.dig("web.service.consul", "TXT")
            messages = self.collected(agent)
        self.assertEqual(len(self.about(messages, "web.service.consul")), 2)

    def test_a_collector_that_does_not_read_holds_up_nobody(self):
        with self.collector:
            agent = self.start()
            self.until_connected(agent)
            self.collector.process.send_signal(signal.SIGSTOP)
            try:
                with wire.udp(agent.dns_port) as asker:
                    for i in range(20_000):
                        asker.send(wire.query("web.service.consul", "SRV"))
                        asker.recv(65535)
                dropped = [agent.metric(f'pharos_dnstap_dropped_total{{reason="{reason}"}}')
                           for reason in ("queue full", "not connected")]
                self.assertGreater(sum(dropped), 0)
                agent.stop()  # Within lib.STOP_SECONDS.
            finally:
                self.collector.process.send_signal(signal.SIGCONT)

    def test_is_turned_on_and_off_by_reload(self):
        with self.collector:
            agent = self.enterContext(lib.Agent({}, DEFINITIONS))
            config = agent.folder / "config.json"
            without = config.read_text()
            config.write_text(without[:-1] +
                              f', "dnstap": {{"socket": "{self.collector.socket}"}}}}')
            agent.process.send_signal(signal.SIGHUP)
            self.until_connected(agent)
            agent.dig("web.service.consul")
            config.write_text(without)
            agent.process.send_signal(signal.SIGHUP)
            self.until_connected(agent, 0)
            agent.dig("web.service.consul", "SRV")
            messages = self.about(self.collected(agent), "web.service.consul")
        self.assertEqual([each["type"] for each in messages], ["CLIENT_QUERY", "CLIENT_RESPONSE"])


if __name__ == "__main__":
    lib.main()
