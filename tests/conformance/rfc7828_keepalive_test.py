"""How long a connection may be idle: edns-tcp-keepalive (RFC 7828)."""
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, Tcp, ask, opt, option, options, query

NAME = "web.service.consul"
WANTED = opt(options=option(wire.KEEPALIVE))


class Keepalive(catalog.CatalogTest):
    @property
    def port(self):
        return self.server.dns_port

    def idle_seconds(self, tcp):
        tcp.send(query(NAME, edns=WANTED))
        timeout, = struct.unpack("!H", options(tcp.receive())[wire.KEEPALIVE])
        return timeout / 10  # Section 3.1: units of 100 ms.

    def test_3_3_2_told_over_tcp_when_asked(self):
        with Tcp(self.port) as tcp:
            self.assertGreaterEqual(self.idle_seconds(tcp), 1)
            tcp.send(query(NAME, edns=opt()))
            self.assertEqual(options(tcp.receive()), {})
            tcp.send(query(NAME))
            self.assertIsNone(options(tcp.receive()))

    def test_3_3_1_ignored_over_udp(self):
        reply = ask(self.port, query(NAME, edns=WANTED))
        self.assertEqual((Head(reply).answers, options(reply)), (2, {}))

    def test_a_time_in_the_question_changes_nothing(self):
        with Tcp(self.port) as tcp:
            seconds = self.idle_seconds(tcp)
            tcp.send(query(NAME, edns=opt(options=option(wire.KEEPALIVE, b"\0\1"))))
            tcp.receive()
            self.assertEqual(self.idle_seconds(tcp), seconds)

    def test_3_4_connection_stays_open_for_as_long_as_told_and_is_then_closed(self):
        with Tcp(self.port) as tcp:
            seconds = self.idle_seconds(tcp)
            asked = time.monotonic()
            tcp.socket.settimeout(seconds + 30)
            self.assertTrue(tcp.is_closed())
            self.assertGreaterEqual(time.monotonic() - asked, seconds - 0.1)

    def test_dig_shows_it(self):
        self.assertIn("TCP KEEPALIVE: ", str(self.dig(NAME, "A", "+tcp", "+keepalive")))


lib.main()
