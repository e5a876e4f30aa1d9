"""Messages as such: UDP and TCP (RFC 1035 section 4.2, RFC 7766), EDNS (RFC 6891), sizes, and what
is no proper query."""
import pathlib
import random
import socket
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, Tcp, ask, header, name, opt, query

MANY = "many.service.consul"
QUESTION = name("consul") + struct.pack("!HH", wire.TYPES["SOA"], 1)


class Messages(catalog.CatalogTest):
    commands = catalog.instances("many", 300) + catalog.instances("ten", 10, "10.3")

    @property
    def port(self):
        return self.server.dns_port

    def test_what_is_no_query_is_not_answered(self):
        whole = query("consul", "SOA")
        for what, message in (("empty", b""), ("one octet", b"\0"),
                              ("a header cut short", whole[:11]),
                              ("a reply", query("consul", "SOA", flags=wire.QR | wire.RD)),
                              ("a reply with another opcode",
                               query("consul", "SOA", flags=wire.QR | 0x2000))):
            with self.subTest(what):
                self.assertTrue(wire.is_ignored(self.port, message))

    def test_malformed_is_formerr(self):
        cases = {
            "no question": header(7, questions=0),
            "no question but one that follows": header(7, questions=0) + QUESTION,
            "two questions": header(7, questions=2) + QUESTION * 2,
            "a question cut in its name": header(7) + QUESTION[:4],
            "a question cut in its type": header(7) + QUESTION[:-3],
            "no root label": header(7) + b"\x06consul",
            "a label of 64 octets": header(7) + b"\x40" + b"a" * 64 + QUESTION,
            "a label of an unknown kind": header(7) + b"\x80" + QUESTION,
            "a name of 256 octets": header(7) + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
            "a pointer to itself": header(7) + b"\xc0\x0c\0\1\0\1",
            "a pointer forwards": header(7) + b"\xc0\x20\0\1\0\1" + bytes(32),
            "a pointer past the end": header(7) + b"\xff\xff\0\1\0\1",
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
                # The question is repeated where it could be read, and OPT answered by OPT.
                self.assertEqual(head.questions, 1 if QUESTION in reply else 0)
                self.assertEqual(head.flags & ~0xF, wire.QR | wire.RD)
                # The server is as good as before.
                self.assertEqual(Head(ask(self.port, query("consul", "SOA"))).answers, 1)

    def test_damaged_messages_are_survived(self):
        chosen = random.Random(1)
        whole = [query(MANY, "SRV", edns=opt(4096)), query("alpha.node.consul", "ANY"),
                 query("1.0.0.10.in-addr.arpa", "PTR", edns=opt(options=b"\0\x08\0\x04\0\1\0\0"))]
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

    def test_other_opcodes_are_not_implemented(self):
        for opcode in (*range(1, 4), *range(5, 16)):
            with self.subTest(opcode=opcode):
                reply = ask(self.port, query("consul", "SOA", 9, opcode << 11 | wire.RD))
                head = Head(reply)
                self.assertEqual((head.ident, head.opcode, head.rcode, head.answers),
                                 (9, opcode, wire.NOTIMP, 0))
                self.assertEqual(head.flags & 0x07F0, wire.RD)

    def test_flags_of_the_question(self):
        for given, kept in ((0, 0), (wire.RD, wire.RD), (wire.CD, wire.CD),
                            (wire.RD | wire.CD, wire.RD | wire.CD),
                            (wire.AA | wire.TC | wire.RA | 0x0040 | wire.AD | 3, 0)):
            with self.subTest(given=hex(given)):
                head = Head(ask(self.port, query("consul", "SOA", flags=given)))
                self.assertEqual(head.flags, wire.QR | wire.AA | kept)

    def test_question_is_repeated_octet_by_octet(self):
        for qname in "CoNsUl", "wEB.sErvice.CONSUL", "nosuch.SERVICE.consul", "OTHER.example":
            with self.subTest(qname):
                message = query(qname)
                self.assertEqual(ask(self.port, message)[12:len(message)], message[12:])

    def test_other_classes_are_refused(self):
        for qclass in "CH", "HS":
            self.assertIn(self.dig("consul", "SOA", "-c", qclass).status, ("REFUSED", "NOTIMP"))

    # EDNS

    def test_edns_is_answered_with_edns_and_only_then(self):
        for qname in "web.service.consul", "nosuch.service.consul", "example.com":
            with self.subTest(qname):
                self.assertIsNone(self.dig(qname, "A", "+noedns").edns)
                edns = self.dig(qname, "A", "+edns=0", "+bufsize=4096").edns
                self.assertEqual(edns["version"], 0)
                self.assertGreaterEqual(edns["udp"], 512)

    def test_unknown_version_is_badvers(self):
        for qname in "web.service.consul", "example.com":
            reply = self.dig(qname, "A", "+edns=1", "+noednsnegotiation")
            self.assertEqual((reply.status, reply.edns["version"]), ("BADVERS", 0))
            self.assertEqual(reply.answer, [])

    def test_dnssec_ok_is_copied(self):
        self.assertEqual(self.dig("consul", "SOA", "+dnssec").edns["flags"], ["do"])
        self.assertEqual(self.dig("consul", "SOA", "+nodnssec").edns["flags"], [])

    def test_unknown_options_and_flags_are_ignored(self):
        for options in (["+ednsopt=65001:c0ffee"], ["+nsid"], ["+cookie"], ["+ednsflags=0x1234"],
                        ["+padding=128"], ["+nsid", "+cookie", "+ednsopt=65535"]):
            reply = self.dig("web.service.consul", "A", *options)
            self.assertEqual((reply.status, len(reply.answer)), ("NOERROR", 2))
            self.assertNotIn("c0ffee", str(reply))

    def test_client_subnet_is_repeated_with_scope_0(self):
        reply = self.dig("web.service.consul", "A", "+subnet=192.0.2.0/24")
        self.assertIn("CLIENT-SUBNET: 192.0.2.0/24/0", str(reply))

    def test_two_opt_records_are_malformed(self):
        message = header(1, additional=2) + QUESTION + opt() + opt()
        self.assertEqual(Head(ask(self.port, message)).rcode, wire.FORMERR)

    # Sizes

    def test_replies_are_never_larger_than_the_limit_asked(self):
        for qtype in "A", "SRV", "ANY":
            for octets in (0, 511, 512, 513, 600, 1232, 1452, 4096, 9000):
                with self.subTest(qtype=qtype, octets=octets):
                    reply = ask(self.port, query(MANY, qtype, edns=opt(octets)))
                    self.assertLessEqual(len(reply), max(512, octets))
                    self.assertGreater(Head(reply).answers, 0)
            self.assertLessEqual(len(ask(self.port, query(MANY, qtype))), 512)

    def test_a_larger_limit_brings_more_answers(self):
        counts = [Head(ask(self.port, query(MANY, "A", edns=opt(octets)))).answers
                  for octets in (512, 600, 1232, 4096)]
        self.assertEqual(counts, sorted(set(counts)))

    def test_without_edns_there_are_three_answers(self):
        for qtype in "A", "SRV":
            self.assertEqual(Head(ask(self.port, query(MANY, qtype))).answers, 3)
            self.assertEqual(Head(ask(self.port, query(MANY, qtype, edns=opt(512)))).answers, 3)

    def test_what_was_cut_is_not_said_unless_asked_to(self):
        for edns in None, opt(1232):
            self.assertFalse(Head(ask(self.port, query(MANY, "A", edns=edns))).has(wire.TC))

    def test_subsets_differ(self):
        seen = set()
        for _ in range(50):
            seen |= set(self.dig("ten.service.consul", "A", "+noedns").rdata())
        self.assertEqual(len(seen), 10)

    def test_tcp_gives_everything(self):
        for qtype in "A", "SRV":
            self.assertEqual(len(self.dig(MANY, qtype, "+tcp").answer), 300)

    def test_srv_additional_is_there_or_left_out_but_never_in_part(self):
        reply = self.dig("ten.service.consul", "SRV", "+bufsize=4096")
        targets = {each.rdata.split()[3] for each in reply.answer}
        glue = {each.owner for each in reply.additional if each.type == "A"}
        self.assertEqual((len(targets), glue), (10, targets))

    # TCP

    def test_tcp_answers_like_udp(self):
        for qname, qtype in (("web.service.consul", "A"), ("nosuch.service.consul", "A"),
                             ("consul", "NS"), ("example.com", "A")):
            with self.subTest(qname):
                udp, tcp = self.dig(qname, qtype), self.dig(qname, qtype, "+tcp")
                self.assertEqual((udp.status, udp.flags, udp.rdata()),
                                 (tcp.status, tcp.flags, tcp.rdata()))

    def test_several_questions_in_turn_on_one_connection(self):
        with Tcp(self.port) as tcp:
            for ident in range(5):
                tcp.send(query("consul", "SOA", ident))
                self.assertEqual(Head(tcp.receive()).ident, ident)

    def test_pipelined_questions_are_answered_in_order(self):
        with Tcp(self.port) as tcp:
            names = ["consul", "web.service.consul", MANY, "nosuch.service.consul"] * 10
            tcp.send(*(query(qname, "SRV", ident) for ident, qname in enumerate(names)))
            self.assertEqual([Head(tcp.receive()).ident for _ in names], list(range(len(names))))

    def test_dig_keeps_a_connection_open(self):
        run = subprocess.run(
            ["dig", "-r", "@127.0.0.1", "-p", str(self.port), "+tcp", "+keepopen", "+short",
             "alpha.node.consul", "A", "single.service.consul", "A"],
            capture_output=True, text=True, check=True)
        self.assertEqual(run.stdout.split(), ["10.0.0.1", "10.9.0.1"])

    def test_messages_in_pieces(self):
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

    def test_half_closed_connection_still_gets_its_answers(self):
        with Tcp(self.port) as tcp:
            tcp.send(query("consul", "SOA", 1), query(MANY, "SRV", 2))
            tcp.socket.shutdown(socket.SHUT_WR)
            self.assertEqual([Head(tcp.receive()).ident for _ in range(2)], [1, 2])
            self.assertTrue(tcp.is_closed())

    def test_malformed_over_tcp(self):
        with Tcp(self.port) as tcp:
            tcp.send(header(5, questions=0))
            self.assertEqual(Head(tcp.receive()).rcode, wire.FORMERR)
            tcp.send(query("consul", "SOA", 6, 0x2000))
            self.assertEqual(Head(tcp.receive()).rcode, wire.NOTIMP)

    def test_reply_over_tcp_is_not_answered(self):
        with Tcp(self.port) as tcp:
            tcp.send(query("consul", "SOA", 1, wire.QR), query("consul", "SOA", 2))
            try:
                self.assertEqual(Head(tcp.receive()).ident, 2)
            except EOFError:
                pass  # Closing the connection on such a client is as good.
        self.assertEqual(self.dig("consul", "SOA", "+tcp").status, "NOERROR")


class Truncation(catalog.CatalogTest):
    config = {"dns_config": {"enable_truncate": True}}
    commands = catalog.instances("many", 300) + catalog.instances("three", 3, "10.3")

    def test_tc_says_that_something_was_cut(self):
        for options in ["+noedns"], ["+bufsize=1232"]:
            self.assertIn("tc", self.dig(MANY, "A", "+ignore", *options).flags)
            self.assertIn("tc", self.dig(MANY, "SRV", "+ignore", *options).flags)

    def test_no_tc_when_nothing_was_cut(self):
        self.assertNotIn("tc", self.dig("three.service.consul", "A", "+ignore", "+noedns").flags)
        self.assertNotIn("tc", self.dig("alpha.node.consul", "A", "+ignore", "+noedns").flags)
        self.assertNotIn("tc", self.dig(MANY, "A", "+tcp").flags)

    def test_dig_gets_the_rest_over_tcp(self):
        self.assertEqual(len(self.dig(MANY, "A", "+noedns").answer), 300)


class Limits(catalog.CatalogTest):
    config = {"dns_config": {"udp_answer_limit": 4, "a_record_limit": 2}}
    commands = catalog.instances("many", 300)

    def test_the_lower_one_counts(self):
        self.assertEqual(len(self.dig(MANY, "A", "+noedns").answer), 2)
        self.assertEqual(len(self.dig(MANY, "SRV", "+noedns").answer), 4)

    def test_address_limit_holds_everywhere_but_not_for_srv(self):
        for options in ["+bufsize=4096"], ["+tcp"]:
            self.assertEqual(len(self.dig(MANY, "A", *options).answer), 2)
            self.assertEqual(len(self.dig(MANY, "ANY", *options).answer), 2)
            self.assertGreater(len(self.dig(MANY, "SRV", *options).answer), 2)

    def test_nodes_are_not_limited(self):
        self.assertEqual(self.dig("alpha.node.consul", "A", "+noedns").rdata(), ["10.0.0.1"])


class NoCompression(catalog.CatalogTest):
    config = {"dns_config": {"disable_compression": True}}

    def test_no_name_is_a_pointer(self):
        plain = query("web.service.consul", "A")
        reply = ask(self.server.dns_port, plain)
        answer = name("web.service.consul") + struct.pack("!HHIH", 1, 1, 0, 4)
        self.assertEqual(reply[len(plain):].count(answer), 2)


lib.main()
