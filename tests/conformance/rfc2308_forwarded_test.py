"""RFC 2308, Negative Caching of DNS Queries, of what recursors answer about names outside our
zones."""
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW, NONE = "www.example.com", "none.example.com"


class Forwarded(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(upstream.Upstream())
        self.server.add(WWW, "A", wire.record(WWW, "A", 60, socket.inet_aton("192.0.2.1")))
        self.agent = self.enterContext(lib.Agent(
            {"recursors": [self.server.address], "dns_config": {"threads": 1}}))

    def test_section_2_1_name_error_is_given_on_with_its_soa(self):
        for _ in range(2):
            reply = self.agent.dig(NONE)
            self.assertEqual((reply.status, reply.answer, reply.types("authority")),
                             ("NXDOMAIN", [], ["SOA"]), reply)
        self.assertEqual(self.server.asked(NONE), 1)

    def test_section_2_2_no_data_is_given_on_with_its_soa(self):
        for _ in range(2):
            reply = self.agent.dig(WWW, "MX")
            self.assertEqual((reply.status, reply.answer, reply.types("authority")),
                             ("NOERROR", [], ["SOA"]), reply)
        self.assertEqual(self.server.asked(WWW), 1)

    def test_section_5_a_name_error_is_of_the_name_and_no_data_of_name_and_type(self):
        self.agent.dig(WWW, "MX")
        self.assertEqual(self.agent.dig(WWW, "A").rdata(), ["192.0.2.1"])
        self.assertEqual(self.agent.dig("x." + NONE).status, "NXDOMAIN")

    def test_section_5_it_is_kept_for_the_soas_minimum_and_counts_down(self):
        self.server.negative_ttl = 2
        first = self.agent.dig(NONE)
        self.assertEqual(first.authority[0].ttl, 2)
        wire.until("the TTL counts down", lambda: self.agent.dig(NONE).authority[0].ttl < 2)
        wire.until("it is asked for anew", lambda: self.agent.dig(NONE) and
                   self.server.asked(NONE) == 2)

    def test_section_5_without_soa_it_is_not_kept(self):
        self.server.zone[NONE, wire.TYPES["A"]] = upstream.Answer(wire.NXDOMAIN, (), ())
        for count in range(1, 4):
            reply = self.agent.dig(NONE)
            self.assertEqual((reply.status, reply.authority), ("NXDOMAIN", []), reply)
            self.assertEqual(self.server.asked(NONE), count)

    def test_section_5_a_long_ttl_is_cut_to_three_hours(self):
        self.server.negative_ttl = 7 * 86400
        self.agent.dig(NONE)
        self.assertLessEqual(self.agent.dig(NONE).authority[0].ttl, 3 * 3600)

    def test_section_2_1_1_an_alias_to_nowhere_is_a_name_error(self):
        alias = "alias.example.com"
        soa = wire.name("ns.example") + wire.name("host.example") + b"\0" * 16 + b"\0\0\0\x3c"
        self.server.zone[alias, wire.TYPES["A"]] = upstream.Answer(
            wire.NXDOMAIN, (wire.record(alias, "CNAME", 60, wire.name(NONE)),),
            (wire.record("example.com", "SOA", 60, soa),))
        for _ in range(2):
            reply = self.agent.dig(alias)
            self.assertEqual((reply.status, reply.types("answer"), reply.types("authority")),
                             ("NXDOMAIN", ["CNAME"], ["SOA"]), reply)
        self.assertEqual(self.server.asked(alias), 1)

    def test_section_7_1_server_failure_is_kept_for_seconds(self):
        self.server.rcode = wire.SERVFAIL
        for _ in range(3):
            self.assertEqual(self.agent.dig(WWW).status, "SERVFAIL")
        self.assertEqual(self.server.asked(WWW), 1)


lib.main()
