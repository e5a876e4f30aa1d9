"""RFC 9520, Negative Caching of DNS Resolution Failures, for names outside our zones."""
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW = "www.example.com"


class FailureCaching(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(upstream.Upstream())
        self.server.add(WWW, "A", wire.record(WWW, "A", 60, socket.inet_aton("192.0.2.1")))
        self.agent = self.enterContext(lib.Agent(
            {"recursors": [self.server.address],
             "dns_config": {"threads": 1, "recursor_timeout": "300ms",
                            "recursor_deadline": "1s"}}))

    def ask(self, name=WWW, rtype="A", *options):
        return self.agent.dig(name, rtype, *options, seconds=5).status

    def test_section_3_1_a_query_is_sent_again_once_at_most(self):
        self.server.silent = True
        self.assertEqual(self.ask(), "SERVFAIL")
        self.assertLessEqual(self.server.asked(WWW), 2)

    def test_section_3_2_every_kind_of_failure_is_remembered(self):
        def silent():
            self.server.silent = True

        def servfail():
            self.server.rcode = wire.SERVFAIL

        def refused():
            self.server.rcode = wire.REFUSED

        for what, fail in (("no answer (2.3)", silent), ("SERVFAIL (2.1)", servfail),
                           ("REFUSED (2.2)", refused)):
            with self.subTest(what):
                self.setUp()
                fail()
                self.assertEqual(self.ask(), "SERVFAIL")
                asked = self.server.asked(WWW)
                self.assertGreaterEqual(asked, 1)
                for _ in range(5):
                    self.assertEqual(self.ask(), "SERVFAIL")
                self.assertEqual(self.server.asked(WWW), asked)

    def test_section_3_2_many_clients_cause_one_query(self):
        self.server.rcode = wire.SERVFAIL
        with wire.udp(self.agent.dns_port) as asker:
            for ident in range(100):
                asker.send(wire.query(WWW, ident=ident))
            for _ in range(100):
                self.assertEqual(wire.Head(asker.recv(512)).rcode, wire.SERVFAIL)
        # One with EDNS, which a server that fails is asked without, too, by none but FORMERR.
        self.assertEqual(self.server.asked(WWW), 1)

    def test_section_3_2_a_failure_is_of_its_own_name_and_type_only(self):
        self.server.rcode = wire.SERVFAIL
        self.assertEqual(self.ask(), "SERVFAIL")
        self.server.rcode = None
        self.assertEqual(self.ask(WWW, "MX"), "NOERROR")
        self.assertEqual(self.ask("other.example.com"), "NXDOMAIN")
        self.assertEqual(self.ask(), "SERVFAIL")

    def test_section_3_2_it_is_forgotten_after_seconds(self):
        self.server.rcode = wire.SERVFAIL
        self.assertEqual(self.ask(), "SERVFAIL")
        self.server.rcode = None
        # Remembered for a second at least and five minutes at most; ours is five seconds.
        wire.until("the name resolves again", lambda: self.ask() == "NOERROR", seconds=20)
        self.assertEqual(self.server.asked(WWW), 2)

    def test_section_3_2_remembered_failures_push_out_no_answers(self):
        self.assertEqual(self.ask(), "NOERROR")
        self.server.rcode = wire.SERVFAIL
        with wire.udp(self.agent.dns_port) as asker:
            for number in range(5000):
                asker.send(wire.query(f"n{number}.example.com", ident=number))
                asker.recv(512)
        self.assertEqual(self.ask(), "NOERROR")
        self.assertEqual(self.server.asked(WWW), 1)


lib.main()
