"""DNS over TCP (RFC 7766; RFC 1035 section 4.2.2; the operational advice of RFC 9210)."""
import pathlib
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import upstream
import wire
from wire import Head, Tcp, header, query

MANY = "many.service.consul"


class TcpTest(catalog.CatalogTest):
    commands = catalog.instances("many", 300)

    @property
    def port(self):
        return self.server.dns_port

    def test_5_answers_like_udp(self):
        for qname, qtype in (("web.service.consul", "A"), ("nosuch.service.consul", "A"),
                             ("consul", "NS"), ("example.com", "A")):
            with self.subTest(qname):
                udp, tcp = self.dig(qname, qtype), self.dig(qname, qtype, "+tcp")
                self.assertEqual((udp.status, udp.flags, udp.rdata()),
                                 (tcp.status, tcp.flags, tcp.rdata()))

    def test_5_gives_what_does_not_fit_udp(self):
        for qtype in "A", "SRV":
            self.assertEqual(len(self.dig(MANY, qtype, "+tcp").answer), 300)

    def test_6_2_1_connections_are_used_again(self):
        with Tcp(self.port) as tcp:
            for ident in range(200):
                tcp.send(query("consul", "SOA", ident))
                self.assertEqual(Head(tcp.receive()).ident, ident)

    def test_6_2_1_1_questions_may_be_pipelined(self):
        with Tcp(self.port) as tcp:
            names = ["consul", "web.service.consul", MANY, "nosuch.service.consul"] * 100
            tcp.send(*(query(qname, "SRV", ident) for ident, qname in enumerate(names)))
            self.assertEqual({Head(tcp.receive()).ident for _ in names}, set(range(len(names))))

    def test_6_2_2_many_connections_at_once(self):
        held = [Tcp(self.port) for _ in range(100)]
        try:
            for ident, tcp in enumerate(held):
                tcp.send(query("consul", "SOA", ident))
            self.assertEqual([Head(tcp.receive()).ident for tcp in held], list(range(100)))
        finally:
            for tcp in held:
                tcp.socket.close()

    def test_6_2_4_a_client_that_said_it_all_gets_its_answers(self):
        with Tcp(self.port) as tcp:
            tcp.send(query("consul", "SOA", 1), query(MANY, "SRV", 2))
            tcp.socket.shutdown(socket.SHUT_WR)
            self.assertEqual([Head(tcp.receive()).ident for _ in range(2)], [1, 2])
            self.assertTrue(tcp.is_closed())

    def test_8_length_and_message_may_come_in_pieces(self):
        message = wire.framed(query("consul", "SOA", 3))
        with Tcp(self.port) as tcp:
            for octet in message:
                tcp.socket.sendall(bytes([octet]))
            self.assertEqual(Head(tcp.receive()).ident, 3)
            # The end of one message together with the start of the next.
            tcp.socket.sendall(message + message[:1])
            tcp.receive()
            tcp.socket.sendall(message[1:7])
            tcp.socket.sendall(message[7:])
            self.assertEqual(Head(tcp.receive()).ident, 3)

    def test_a_length_that_no_message_has_ends_the_connection_after_what_is_owed(self):
        for length in 0, 1, 11:
            with self.subTest(length=length), Tcp(self.port) as tcp:
                tcp.send(query("consul", "SOA", 1))
                tcp.socket.sendall(struct.pack("!H", length) + bytes(length))
                self.assertEqual(Head(tcp.receive()).ident, 1)
                self.assertTrue(tcp.is_closed())

    def test_malformed_messages_are_answered_and_the_next_one_is_read(self):
        with Tcp(self.port) as tcp:
            tcp.send(header(5, questions=0), query("consul", "SOA", 6, 0x2000),
                     query("consul", "SOA", 7))
            replies = [Head(tcp.receive()) for _ in range(3)]
            self.assertEqual([(each.ident, each.rcode) for each in replies],
                             [(5, wire.FORMERR), (6, wire.NOTIMP), (7, wire.NOERROR)])

    def test_what_is_due_no_answer_holds_nothing_up(self):
        with Tcp(self.port) as tcp:
            for ident in range(500):
                tcp.send(query("consul", "SOA", ident, wire.QR))
            tcp.send(query("consul", "SOA", 1000))
            self.assertEqual(Head(tcp.receive()).ident, 1000)
            tcp.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(tcp.is_closed())

    def test_dig_and_kdig_keep_a_connection_open(self):
        for command in (["dig", "-r", "@127.0.0.1", "-p", str(self.port), "+tcp", "+keepopen",
                         "+short", "alpha.node.consul", "A", "single.service.consul", "A"],
                        ["kdig", "@127.0.0.1", "-p", str(self.port), "+tcp", "+keepopen", "+short",
                         "alpha.node.consul", "A", "single.service.consul", "A"]):
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            self.assertEqual(run.stdout.split(), ["10.0.0.1", "10.9.0.1"], command)

    def test_drill_asks_over_tcp(self):
        run = subprocess.run(["drill", "-t", "-p", str(self.port), "alpha.node.consul",
                              "@127.0.0.1"], capture_output=True, text=True, check=True)
        self.assertIn("10.0.0.1", run.stdout)


class OutOfOrder(catalog.CatalogTest):
    """Section 6.2.1.1: an answer that is slow in coming holds back no other."""

    @classmethod
    def setUpClass(cls):
        cls.upstream = cls.enterClassContext(upstream.Upstream())
        cls.upstream.add("slow.example.com", "A",
                         wire.record("slow.example.com", "A", 60, bytes([192, 0, 2, 1])))
        cls.config = {"recursors": [cls.upstream.address]}
        super().setUpClass()

    def test_own_names_do_not_wait_for_forwarded_ones(self):
        hold = self.upstream.hold = threading.Event()
        with Tcp(self.server.dns_port) as tcp:
            tcp.send(query("slow.example.com", "A", 1), query("web.service.consul", "A", 2),
                     query("alpha.node.consul", "A", 3))
            self.assertEqual([Head(tcp.receive()).ident for _ in range(2)], [2, 3])
            hold.set()
            reply = tcp.receive()
            self.assertEqual((Head(reply).ident, Head(reply).answers), (1, 1))

    def test_what_is_awaited_still_comes_after_the_client_said_it_all(self):
        hold = self.upstream.hold = threading.Event()
        with Tcp(self.server.dns_port) as tcp:
            tcp.send(query("other.example.com", "A", 1), query("web.service.consul", "A", 2))
            tcp.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(Head(tcp.receive()).ident, 2)
            hold.set()
            self.assertEqual(Head(tcp.receive()).ident, 1)
            self.assertTrue(tcp.is_closed())


lib.main()
