"""How a server answers what it does not know: the tests that RFC 8906 section 8 asks of everybody,
each with its own command, and more of the same kind."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, Tcp, ask, header, name, opt, query


class Basic(catalog.CatalogTest):
    """Section 8.1: without EDNS."""

    def soa(self, *options, rd=False):
        reply = self.dig("consul", "SOA", "+noedns", "+rec" if rd else "+norec", *options)
        self.assertEqual((reply.status, reply.types("answer"), reply.edns),
                         ("NOERROR", ["SOA"], None), reply)
        self.assertIn("aa", reply.flags)
        self.assertNotIn("MBZ", str(reply))
        return reply

    def test_8_1_1_zone_is_served(self):
        self.assertEqual(self.soa("+noad").flags, ["qr", "aa"])

    def test_8_1_2_unknown_types(self):
        for rtype in "TYPE1000", "TYPE65279", "TYPE65535", "TYPE0":
            reply = self.dig("consul", rtype, "+noedns", "+noad", "+norec")
            self.assertEqual((reply.status, reply.answer, reply.types("authority")),
                             ("NOERROR", [], ["SOA"]), reply)
            self.assertEqual(reply.flags, ["qr", "aa"])
            reply = self.dig("web.service.consul", rtype, "+noedns")
            self.assertEqual((reply.status, reply.answer), ("NOERROR", []), reply)

    def test_8_1_2_types_that_are_no_data(self):
        for rtype in ("TYPE41", "TYPE128", "TYPE249", "TYPE250", "TYPE253", "TYPE254"):
            with self.subTest(rtype):
                reply = self.dig("web.service.consul", rtype, "+noedns")
                self.assertIn(reply.status, ("NOERROR", "FORMERR", "NOTIMP", "REFUSED"))
                self.assertEqual(reply.answer, [])

    def test_8_1_3_1_checking_disabled(self):
        self.assertNotIn("ad", self.soa("+noad", "+cd").flags)

    def test_8_1_3_2_authentic_data(self):
        self.assertNotIn("ad", self.soa("+ad").flags)

    def test_8_1_3_3_reserved_bit(self):
        self.soa("+noad", "+zflag")

    def test_8_1_3_4_recursion_desired(self):
        self.assertIn("rd", self.soa("+noad", rd=True).flags)

    def test_8_1_4_unknown_opcodes(self):
        for opcode in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15):
            with self.subTest(opcode=opcode):
                reply = self.dig("consul", "SOA", "+noedns", "+noad", "+norec", "+header-only",
                                 f"+opcode={opcode}")
                self.assertEqual((reply.status, reply.answer, reply.authority),
                                 ("NOTIMP", [], []), reply)
                self.assertEqual(reply.flags, ["qr"])
                # With more than a header, too, whatever it is.
                for body in (query("consul", "SOA", 9, opcode << 11 | wire.RD, opt())[12:],
                             b"\xff" * 40):
                    message = header(9, opcode << 11 | wire.RD, additional=1) + body
                    head = Head(ask(self.server.dns_port, message))
                    self.assertEqual((head.ident, head.opcode, head.rcode, head.answers),
                                     (9, opcode, wire.NOTIMP, 0))
                    self.assertEqual(head.flags & 0x07F0, wire.RD)

    def test_8_1_5_tcp(self):
        self.soa("+noad", "+tcp")

    def test_unknown_classes_are_refused(self):
        for rclass in 0, 2, 3, 4, 254, 255, 1000, 65535:
            message = header() + name("web.service.consul") + struct.pack("!HH", 1, rclass)
            head = Head(ask(self.server.dns_port, message))
            self.assertEqual((head.rcode, head.answers), (wire.REFUSED, 0), rclass)


class Extended(catalog.CatalogTest):
    """Section 8.2: with EDNS."""

    commands = catalog.instances("many", 300)

    def ask(self, *options, status="NOERROR"):
        reply = self.dig("consul", "SOA", "+noednsneg", "+nocookie", "+noad", "+norec", *options)
        self.assertEqual((reply.status, reply.types("answer")),
                         (status, ["SOA"] if status == "NOERROR" else []), reply)
        self.assertEqual(reply.edns["version"], 0, reply)
        self.assertNotIn("MBZ", str(reply))
        self.assertNotIn("OPT=100", str(reply))
        if status == "NOERROR":
            self.assertIn("aa", reply.flags)
        return reply

    def test_8_2_1_minimal(self):
        self.ask("+edns=0")

    def test_8_2_2_version_negotiation(self):
        self.ask("+edns=1", status="BADVERS")

    def test_8_2_3_unknown_options(self):
        self.ask("+edns=0", "+ednsopt=100")

    def test_8_2_4_unknown_flags(self):
        self.ask("+edns=0", "+ednsflags=0x40")

    def test_8_2_5_version_negotiation_with_unknown_flags(self):
        self.ask("+edns=1", "+ednsflags=0x40", status="BADVERS")

    def test_8_2_6_version_negotiation_with_unknown_options(self):
        self.ask("+edns=1", "+ednsopt=100", status="BADVERS")

    def test_8_2_7_truncated_responses(self):
        for name_asked, rtype in ("consul", "DNSKEY"), ("many.service.consul", "A"):
            reply = self.dig(name_asked, rtype, "+norec", "+dnssec", "+bufsize=512", "+ignore")
            self.assertEqual(reply.edns["version"], 0)

    def test_8_2_8_dnssec_ok(self):
        self.assertEqual(self.ask("+edns=0", "+dnssec").edns["flags"], ["do"])

    def test_8_2_9_version_negotiation_with_dnssec_ok(self):
        self.assertEqual(self.ask("+edns=1", "+dnssec", status="BADVERS").edns["flags"], ["do"])

    def test_8_2_10_several_known_options(self):
        reply = self.dig("consul", "SOA", "+edns=0", "+noednsneg", "+cookie", "+nsid", "+expire",
                         "+subnet=0.0.0.0/0", "+noad", "+norec")
        self.assertEqual((reply.status, reply.types("answer")), ("NOERROR", ["SOA"]), reply)

    def test_the_same_over_tcp(self):
        self.ask("+edns=0", "+ednsopt=100", "+tcp")
        self.ask("+edns=1", "+ednsopt=100", "+tcp", status="BADVERS")
        with Tcp(self.server.dns_port) as tcp:
            tcp.send(header(3, 15 << 11))
            self.assertEqual(Head(tcp.receive()).rcode, wire.NOTIMP)


lib.main()
