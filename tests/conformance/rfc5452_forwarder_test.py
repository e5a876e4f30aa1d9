"""RFC 5452, Measures for Making DNS More Resilient against Forged Answers, as the forwarder takes
them. What it makes of replies that lie is in tests/e2e/forwarding_chaos_test.py, too."""
import concurrent.futures
import pathlib
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire


class Recorder(upstream.Upstream):
    """Keeps what it was asked by UDP, and from where."""

    def __init__(self):
        super().__init__()
        self.datagrams = []
        self.before = None  # Called with (socket, message, client) ahead of the reply.

    def _reply_udp(self, udp, message, client):
        self.datagrams.append((message, client))
        if self.before:
            self.before(udp, message, client)
        super()._reply_udp(udp, message, client)


class Forwarder(unittest.TestCase):
    def setUp(self):
        self.start()

    def start(self, **config):
        self.server = self.enterContext(Recorder())
        self.agent = self.enterContext(lib.Agent(
            {"recursors": [self.server.address],
             "dns_config": {"threads": 1, "recursor_timeout": "400ms",
                            "recursor_deadline": "1s", **config}}))

    def ask_many(self, count):
        with wire.udp(self.agent.dns_port) as asker:
            for number in range(count):
                asker.send(wire.query(f"n{number}.many-letters.example.com", ident=number))
                asker.recv(512)

    def test_section_5_identical_questions_have_one_query_under_way(self):
        self.start(recursor_timeout="5s", recursor_deadline="5s")
        self.server.hold = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(self.agent.dig, "www.example.com", seconds=5)
                     for _ in range(20)]
            wire.until("the query", lambda: self.server.datagrams)
            self.server.hold.set()
            for each in asked:
                each.result()
        # One may be sent again, with the same id.
        ids = {wire.Head(message).ident for message, _ in self.server.datagrams
               if b"example" in message.lower()}
        self.assertEqual(len(ids), 1, "a birthday attack needs several")

    def test_section_9_1_replies_must_match_in_everything(self):
        def forge(udp, message, client):
            end = message.index(b"\0\0\1\0\1", 12) + 5
            evil = (b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) +
                    socket.inet_aton("203.0.113.66"))
            ident = wire.Head(message).ident
            right = message[12:end]
            flags = wire.QR | wire.RA
            for what, header, question in (
                    ("QID", wire.header(ident ^ 1, flags, 1, 1), right),
                    ("QNAME", wire.header(ident, flags, 1, 1), wire.name("www.example.net") +
                     right[-4:]),
                    ("QTYPE", wire.header(ident, flags, 1, 1), right[:-4] + b"\0\x1c\0\1")):
                with self.subTest(what):
                    udp.sendto(header + question + evil, client)
            for source in "127.0.0.2", "127.0.0.1":  # Another address; another port.
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind((source, 0))
                    other.sendto(wire.header(ident, flags, 1, 1) + right + evil, client)
        self.server.before = forge
        self.server.add("www.example.com", "A",
                        wire.record("www.example.com", "A", 60, socket.inet_aton("192.0.2.1")))
        for _ in range(2):
            self.assertEqual(self.agent.dig("www.example.com", seconds=5).rdata(), ["192.0.2.1"])

    def test_section_9_2_each_query_has_a_port_and_an_id_of_its_own(self):
        self.ask_many(200)
        ports = [client[1] for _, client in self.server.datagrams]
        ids = [wire.Head(message).ident for message, _ in self.server.datagrams]
        # Of 200 choices among 28,232 ports or 65,536 ids, a few may agree.
        for what, values in ("port", ports), ("id", ids):
            with self.subTest(what):
                self.assertGreater(len(set(values)), 190)
                steps = {after - before for before, after in zip(values, values[1:])}
                self.assertGreater(len(steps), 150, "no counting up")

    def test_section_9_2_ids_come_from_the_whole_range(self):
        self.ask_many(200)
        ids = [wire.Head(message).ident for message, _ in self.server.datagrams]
        for bit in range(16):
            ones = sum(ident >> bit & 1 for ident in ids)
            self.assertTrue(50 < ones < 150, f"bit {bit} is set in {ones} of {len(ids)}")

    def test_letter_case_is_random_too(self):
        """draft-vixie-dnsext-dns0x20, in which RFC 5452 section 9.3 counts as entropy."""
        self.ask_many(50)
        spelled = {message[14:60] for message, _ in self.server.datagrams}
        self.assertTrue(any(each != each.lower() for each in spelled))
        letters = b"".join(message[12:40] for message, _ in self.server.datagrams)
        upper = sum(65 <= octet <= 90 for octet in letters)
        lower = sum(97 <= octet <= 122 for octet in letters)
        self.assertGreater(upper, lower / 2)
        self.assertGreater(lower, upper / 2)


lib.main()
