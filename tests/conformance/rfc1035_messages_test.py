"""Messages (RFC 1035 section 4): headers, questions, names and their compression, sizes; and what is
no proper query."""
import pathlib
import random
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, Tcp, ask, header, name, opt, option, query

MANY = "many.service.consul"
QUESTION = name("consul") + struct.pack("!HH", wire.TYPES["SOA"], 1)


class Messages(catalog.CatalogTest):
    commands = catalog.instances("many", 300)

    @property
    def port(self):
        return self.server.dns_port

    def test_4_1_1_what_is_no_query_is_not_answered(self):
        whole = query("consul", "SOA")
        for what, message in (("empty", b""), ("one octet", b"\0"),
                              ("a header cut short", whole[:11]),
                              ("a reply", query("consul", "SOA", flags=wire.QR | wire.RD)),
                              ("a reply with another opcode",
                               query("consul", "SOA", flags=wire.QR | 0x2000))):
            with self.subTest(what):
                self.assertTrue(wire.is_ignored(self.port, message))

    def test_4_1_1_flags_of_the_question(self):
        for given, kept in ((0, 0), (wire.RD, wire.RD), (wire.CD, wire.CD),
                            (wire.RD | wire.CD, wire.RD | wire.CD),
                            (wire.AA | wire.TC | wire.RA | 0x0040 | wire.AD | 3, 0)):
            with self.subTest(given=hex(given)):
                head = Head(ask(self.port, query("consul", "SOA", flags=given)))
                self.assertEqual(head.flags, wire.QR | wire.AA | kept)

    def test_4_1_1_id_is_copied(self):
        for ident in 0, 1, 0x8000, 0xFFFF:
            self.assertEqual(Head(ask(self.port, query("consul", "SOA", ident))).ident, ident)

    def test_4_1_2_question_is_repeated_octet_by_octet(self):
        for qname in "CoNsUl", "wEB.sErvice.CONSUL", "nosuch.SERVICE.consul", "OTHER.example":
            with self.subTest(qname):
                message = query(qname)
                self.assertEqual(ask(self.port, message)[12:len(message)], message[12:])

    def test_malformed_is_formerr(self):
        cases = {
            "no question": header(7, questions=0),
            "no question but one that follows": header(7, questions=0) + QUESTION,
            "a question cut in its name": header(7) + QUESTION[:4],
            "a question cut in its type": header(7) + QUESTION[:-3],
            "no root label": header(7) + b"\x06consul",
            "a label of 64 octets (2.3.4)": header(7) + b"\x40" + b"a" * 64 + QUESTION,
            "a label of an unknown kind": header(7) + b"\x80" + QUESTION,
            "a name of 256 octets (2.3.4)": header(7) + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
            "a pointer to itself (4.1.4)": header(7) + b"\xc0\x0c\0\1\0\1",
            "a pointer forwards (4.1.4)": header(7) + b"\xc0\x20\0\1\0\1" + bytes(32),
            "a pointer past the end (4.1.4)": header(7) + b"\xff\xff\0\1\0\1",
            "a pointer into the header (4.1.4)": header(7) + b"\x06consul\xc0\x07\0\1\0\1",
            "two answers": header(7, answers=2) + QUESTION,
            "half an OPT": header(7, additional=1) + QUESTION + opt()[:5],
            "an option past the end of its OPT":
                header(7, additional=1) + QUESTION + opt(options=b"\0\x0a\0\xff")}
        for what, message in cases.items():
            with self.subTest(what):
                reply = ask(self.port, message)
                head = Head(reply)
                self.assertEqual((head.ident, head.rcode, head.answers, head.authority),
                                 (7, wire.FORMERR, 0, 0))
                # The question is repeated where it could be read.
                self.assertEqual(head.questions, 1 if QUESTION in reply else 0)
                self.assertEqual(head.flags & ~0xF, wire.QR | wire.RD)
                # The server is as good as before.
                self.assertEqual(Head(ask(self.port, query("consul", "SOA"))).answers, 1)

    def test_damaged_messages_are_survived(self):
        chosen = random.Random(1)
        whole = [query(MANY, "SRV", edns=opt(4096)), query("alpha.node.consul", "ANY"),
                 query("1.0.0.10.in-addr.arpa", "PTR", edns=opt(options=b"\0\x08\0\x04\0\1\0\0")),
                 query("web.service.consul", edns=opt(options=option(wire.COOKIE, bytes(24)) +
                                                      option(wire.NSID)))]
        with wire.udp(self.port) as asker:
            for _ in range(5000):
                message = bytearray(chosen.choice(whole))
                for _ in range(chosen.randrange(1, 6)):
                    message[chosen.randrange(len(message))] = chosen.randrange(256)
                asker.send(message[:chosen.randrange(1, len(message) + 1)]
                           if chosen.random() < 0.3 else message)
        with Tcp(self.port) as tcp:
            tcp.send(*(bytes(chosen.randbytes(chosen.randrange(0, 60))) for _ in range(100)))
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.dig("alpha.node.consul").rdata(), ["10.0.0.1"])

    def test_3_2_4_other_classes_are_refused(self):
        for qclass in "CH", "HS":
            self.assertIn(self.dig("consul", "SOA", "-c", qclass).status, ("REFUSED", "NOTIMP"))

    def test_4_1_4_owners_are_pointers_to_the_question(self):
        message = query("web.service.consul")
        reply = ask(self.port, message)
        self.assertEqual(len(reply), len(message) + 2 * (2 + 10 + 4))
        self.assertEqual(reply[len(message):len(message) + 2], b"\xc0\x0c")

    def test_4_1_4_pointers_go_backwards_to_the_start_of_a_label(self):
        for qname, qtype in ((MANY, "SRV"), ("consul", "NS"), ("consul", "SOA"),
                             ("inner.service.consul", "A"), ("nosuch.service.consul", "A"),
                             ("WEB.service.CONSUL", "SRV"), ("1.0.0.10.in-addr.arpa", "PTR")):
            with self.subTest(qname, qtype=qtype), Tcp(self.port) as tcp:
                tcp.send(query(qname, qtype))
                check_pointers(tcp.receive())

    def test_4_1_4_pointers_to_the_question_are_followed(self):
        # In the question itself there can be none: nothing stands before it.
        tsig = b"\xc0\x0c" + struct.pack("!HHIH", 250, 255, 0, 0)
        reply = ask(self.port, header(1, additional=1) + QUESTION + tsig)
        self.assertEqual((Head(reply).rcode, Head(reply).answers), (wire.NOERROR, 1))

    def test_4_2_1_without_edns_512_octets_are_the_limit(self):
        for qtype in "A", "SRV", "ANY", "TXT":
            for qname in MANY, "alpha.node.consul", "consul":
                self.assertLessEqual(len(ask(self.port, query(qname, qtype))), 512)

    def test_tools_find_nothing_to_complain_about(self):
        for command in (["dig", "-r", "@127.0.0.1", "-p", str(self.port), MANY, "SRV"],
                        ["kdig", "@127.0.0.1", "-p", str(self.port), MANY, "SRV"],
                        ["drill", "-p", str(self.port), MANY, "@127.0.0.1", "SRV"]):
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            self.assertNotRegex(run.stdout + run.stderr, r"(?i)malformed|extra bytes|mismatch")
            self.assertIn("NOERROR", run.stdout)


class NoCompression(catalog.CatalogTest):
    config = {"dns_config": {"disable_compression": True}}

    def test_no_name_is_a_pointer(self):
        plain = query("web.service.consul", "A")
        reply = ask(self.server.dns_port, plain)
        answer = name("web.service.consul") + struct.pack("!HHIH", 1, 1, 0, 4)
        self.assertEqual(reply[len(plain):].count(answer), 2)


def check_pointers(message):
    """Walks every name of a message; each pointer must go back to where some label began before."""
    starts = set()
    at = 12

    def walk_name(at):
        while True:
            length = message[at]
            if length >= 0xC0:
                target = (length & 0x3F) << 8 | message[at + 1]
                assert target in starts, f"a pointer at {at} to {target}, where no label begins"
                return at + 2
            if length == 0:
                return at + 1
            starts.add(at)
            at += 1 + length

    head = Head(message)
    for _ in range(head.questions):
        at = walk_name(at) + 4
    for _ in range(head.answers + head.authority + head.additional):
        at = walk_name(at)
        rtype, _, _, length = struct.unpack_from("!HHIH", message, at)
        at += 10
        if rtype in (wire.TYPES["NS"], wire.TYPES["CNAME"], wire.TYPES["PTR"]):
            assert walk_name(at) == at + length
        elif rtype == wire.TYPES["SOA"]:
            assert walk_name(walk_name(at)) == at + length - 20
        elif rtype == wire.TYPES["SRV"]:
            assert walk_name(at + 6) == at + length
        at += length
    assert at == len(message)


lib.main()
