"""The rate limit of replies: what it lets through, cuts and drops, and whom it leaves alone."""
import pathlib
import re
import signal
import socket
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

DEFINITIONS = {"web.json": {"service": {"name": "web", "address": "10.0.0.1", "port": 80}}}


def limits(**limit):
    return {"threads": 1, "rate_limit": limit}


def flood(port, message, count):
    """Asks `count` times at once, and once more over TCP, which is answered when all others have
    been dealt with; returns the replies by UDP."""
    replies = []
    with wire.udp(port) as asker:
        for _ in range(count):
            asker.send(message)
        lib.dig(port, "consul", "SOA", "+tcp")
        asker.settimeout(0.05)
        while True:
            try:
                replies.append(asker.recv(65535))
            except socket.timeout:
                return replies


class RateLimit(unittest.TestCase):
    maxDiff = None

    def start(self, dns_config, **config):
        return self.enterContext(lib.Agent({"dns_config": dns_config, **config}, DEFINITIONS))

    def split(self, replies):
        """How many replies are whole and how many are truncated and empty."""
        cut = 0
        for reply in replies:
            head = wire.Head(reply)
            if head.has(wire.TC):
                cut += 1
                self.assertEqual((head.answers, head.authority), (0, 0))
        return len(replies) - cut, cut

    def test_is_off_unless_asked_for(self):
        agent = self.start({"threads": 1})
        replies = flood(agent.dns_port, wire.query("web.service.consul"), 200)
        self.assertEqual(self.split(replies), (200, 0))

    def test_answers_beyond_the_rate_are_cut_or_dropped(self):
        agent = self.start(limits(responses_per_second=5, window=5))
        replies = flood(agent.dns_port, wire.query("web.service.consul", edns=wire.opt()), 100)
        whole, cut = self.split(replies)
        # However long the flood took, a second brings back no more than five.
        self.assertGreaterEqual(whole, 5)
        self.assertLess(whole, 40)
        # Every second of those beyond.
        self.assertIn(cut, ((100 - whole) // 2, (100 - whole + 1) // 2))
        self.assertEqual(agent.metric('pharos_dns_rate_limited_total{verdict="slipped"}'), cut)
        self.assertEqual(agent.metric('pharos_dns_rate_limited_total{verdict="dropped"}'),
                         100 - whole - cut)
        # A reply that was cut keeps the question and its OPT record.
        first = next(each for each in replies if wire.Head(each).has(wire.TC))
        self.assertEqual((wire.Head(first).questions, wire.Head(first).additional), (1, 1))
        wire.until("a line in the log", lambda: re.search(
            r"\[WARN\].*rate limit: limiting replies: network=127\.0\.0\.0/24", agent.log(200)))
        self.assertEqual(agent.log(1000).count("limiting replies"), 1)

    def test_a_client_that_means_it_comes_back_over_tcp(self):
        agent = self.start(limits(responses_per_second=1, slip=1))
        flood(agent.dns_port, wire.query("web.service.consul"), 50)
        for _ in range(20):
            # dig asks again over TCP when a reply is truncated.
            self.assertEqual(agent.dig("web.service.consul").rdata(), ["10.0.0.1"])
            self.assertEqual(agent.dig("web.service.consul", "A", "+tcp").rdata(), ["10.0.0.1"])

    def test_other_questions_are_not_held_back(self):
        agent = self.start(limits(responses_per_second=5))
        flood(agent.dns_port, wire.query("web.service.consul"), 100)
        self.assertEqual(agent.dig("agent-1.node.consul").rdata(), ["127.0.0.1"])

    def test_random_names_of_one_zone_count_together(self):
        agent = self.start(limits(nxdomains_per_second=3, slip=0))
        with wire.udp(agent.dns_port) as asker:
            for i in range(60):
                asker.send(wire.query(f"none-{i}.service.consul", ident=i))
            asker.send(wire.query("consul", "SOA", ident=0xBEEF))
            idents = []
            while not idents or idents[-1] != 0xBEEF:
                idents.append(wire.Head(asker.recv(65535)).ident)
        self.assertGreaterEqual(len(idents), 3 + 1)
        self.assertLess(len(idents), 40)

    def test_names_of_recursors_are_limited_too(self):
        server = self.enterContext(upstream.Upstream())
        agent = self.start(limits(nxdomains_per_second=3, slip=0), recursors=[server.address])
        self.assertEqual(agent.dig("a.example.com").status, "NXDOMAIN")
        replies = flood(agent.dns_port, wire.query("a.example.com"), 60)
        self.assertLess(len(replies), 40)

    def test_exempt_networks_are_left_alone(self):
        agent = self.start(limits(responses_per_second=1, exempt=["127.0.0.0/8"]))
        replies = flood(agent.dns_port, wire.query("web.service.consul"), 200)
        self.assertEqual(self.split(replies), (200, 0))

    def test_a_client_with_a_cookie_is_where_it_says(self):
        """RFC 7873 section 4: a server cookie of ours shows that the client gets our replies."""
        agent = self.start(limits(responses_per_second=1, slip=1))
        flood(agent.dns_port, wire.query("web.service.consul"), 50)
        client = b"\1\2\3\4\5\6\7\x08"
        with wire.udp(agent.dns_port) as asker:
            def ask(cookie):
                option = struct.pack("!HH", 10, len(cookie)) + cookie
                asker.send(wire.query("web.service.consul", edns=wire.opt(options=option)))
                return asker.recv(65535)
            # A reply that was cut brings the cookie, so nobody is shut out.
            cut = ask(client)
            self.assertTrue(wire.Head(cut).has(wire.TC))
            cookie = cut[cut.index(client):][:24]
            for _ in range(50):
                self.assertFalse(wire.Head(ask(cookie)).has(wire.TC))
            # One that was made up is worth nothing.
            self.assertTrue(wire.Head(ask(client + bytes(16))).has(wire.TC))

    def test_changes_on_reload(self):
        agent = self.start({"threads": 1})
        config = agent.folder / "config.json"
        config.write_text(config.read_text().replace(
            '"threads": 1', '"threads": 1, "rate_limit": {"responses_per_second": 2}'))
        agent.process.send_signal(signal.SIGHUP)
        wire.until("the reload", lambda: "Configuration reloaded" in agent.log(100))
        replies = flood(agent.dns_port, wire.query("web.service.consul"), 60)
        self.assertLess(self.split(replies)[0], 40)


if __name__ == "__main__":
    lib.main()
