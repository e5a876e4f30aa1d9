"""RFC 8767, Serving Stale Data to Improve DNS Resiliency: names outside our zones, whose recursors
answer no more."""
import json
import pathlib
import socket
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW = "www.example.com"
STALE_TTL = 30


def a(name, address, ttl):
    return wire.record(name, "A", ttl, socket.inet_aton(address))


class ServeStale(unittest.TestCase):
    def setUp(self):
        self.start()

    def start(self, **config):
        self.server = self.enterContext(upstream.Upstream())
        self.server.negative_ttl = 1
        self.server.add(WWW, "A", a(WWW, "192.0.2.1", 1))
        self.agent = self.enterContext(lib.Agent(
            {"recursors": [self.server.address],
             "dns_config": {"threads": 1, "recursor_timeout": "500ms", **config}}))

    def fill(self):
        reply = self.agent.dig(WWW)
        self.assertEqual((reply.rdata(), reply.answer[0].ttl), (["192.0.2.1"], 1), reply)

    def until_stale(self):
        """Asks until the answer has expired, which its TTL of one second says when."""
        def stale():
            reply = self.agent.dig(WWW, seconds=5)
            return reply if [each.ttl for each in reply.answer] == [STALE_TTL] else None
        return wire.until("a stale answer", stale)

    def test_section_4_expired_data_is_given_when_nobody_answers(self):
        self.fill()
        self.server.stop()
        reply = self.until_stale()
        self.assertEqual((reply.status, reply.rdata()), ("NOERROR", ["192.0.2.1"]), reply)

    def test_section_4_refusals_and_failures_count_as_no_answer(self):
        for rcode in wire.SERVFAIL, wire.REFUSED:
            with self.subTest(rcode=rcode):
                self.start()
                self.fill()
                self.server.rcode = rcode
                self.assertEqual(self.until_stale().rdata(), ["192.0.2.1"])

    def test_section_4_the_ttl_is_thirty_seconds(self):
        self.fill()
        self.server.stop()
        self.assertEqual(self.until_stale().answer[0].ttl, STALE_TTL)

    def test_section_4_a_new_answer_takes_the_place_of_the_old_one(self):
        self.fill()
        del self.server.zone[WWW, wire.TYPES["A"]]
        wire.until("NXDOMAIN", lambda: self.agent.dig(WWW).status == "NXDOMAIN")
        self.server.stop()
        # It expires in turn, and then it is what is given: not the address from before it.

        def stale():
            reply = self.agent.dig(WWW, seconds=5)
            self.assertEqual((reply.status, reply.rdata()), ("NXDOMAIN", []), reply)
            return self.count("Stale") > 0
        wire.until("a stale answer", stale)

    def count(self, what):
        url = f"http://127.0.0.1:{self.agent.ports['http']}/v1/dns/cache"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return json.load(reply)[what]

    def test_section_5_fresh_data_is_asked_for_first(self):
        self.fill()
        self.server.add(WWW, "A", a(WWW, "192.0.2.2", 300))
        wire.until("the new address",
                   lambda: self.agent.dig(WWW).rdata() == ["192.0.2.2"])
        self.assertEqual(self.count("Stale"), 0)

    def test_section_5_a_client_gets_it_before_it_gives_up(self):
        # The recursor would be waited for longer than dig waits below.
        self.start(recursor_timeout="20s", recursor_deadline="20s")
        self.fill()
        self.server.silent = True
        self.assertEqual(self.until_stale().rdata(), ["192.0.2.1"])

    def test_section_5_the_recursors_are_not_asked_again_at_once(self):
        self.fill()
        self.server.rcode = wire.SERVFAIL
        self.until_stale()
        asked = self.server.asked(WWW)
        for _ in range(10):
            self.assertEqual(self.agent.dig(WWW).answer[0].ttl, STALE_TTL)
        self.assertEqual(self.server.asked(WWW), asked)

    def test_section_6_only_names_that_were_asked_have_stale_data(self):
        self.fill()
        self.server.stop()
        self.assertEqual(self.agent.dig("never.example.com", seconds=5).status, "SERVFAIL")


lib.main()
