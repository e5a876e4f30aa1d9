"""EDNS(0) (RFC 6891)."""
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, ask, header, name, opt, option, options, query

MANY = "many.service.consul"
BADVERS = 16
QUESTION = name("consul") + struct.pack("!HH", wire.TYPES["SOA"], 1)
NAMES = "web.service.consul", "nosuch.service.consul", "service.consul", "example.com"


class Edns(catalog.CatalogTest):
    commands = catalog.instances("many", 300)

    @property
    def port(self):
        return self.server.dns_port

    def test_6_1_1_opt_is_answered_by_opt_and_only_then(self):
        for qname in NAMES:
            with self.subTest(qname):
                self.assertIsNone(self.dig(qname, "A", "+noedns").edns)
                edns = self.dig(qname, "A", "+edns=0", "+bufsize=4096").edns
                self.assertEqual(edns["version"], 0)
                self.assertGreaterEqual(edns["udp"], 512)

    def test_6_1_1_two_opt_records_are_malformed(self):
        for additional in opt() + opt(), opt(4096) + opt(512):
            reply = ask(self.port, header(1, additional=2) + QUESTION + additional)
            self.assertEqual(Head(reply).rcode, wire.FORMERR)
            # Section 7: without OPT the client would take us for a server that knows none.
            self.assertEqual(options(reply), {})

    def test_6_1_1_opt_belongs_to_the_root(self):
        misplaced = name("a") + opt()[1:]
        reply = ask(self.port, header(1, additional=1) + QUESTION + misplaced)
        self.assertEqual(Head(reply).rcode, wire.FORMERR)

    def test_6_1_1_opt_belongs_to_the_additional_section(self):
        for counts in {"answers": 1}, {"authority": 1}:
            reply = ask(self.port, header(1, **counts) + QUESTION + opt())
            self.assertEqual(Head(reply).rcode, wire.FORMERR)

    def test_6_1_2_options_that_run_over_the_end_are_malformed(self):
        for octets in b"\0", b"\0\x0a\0", b"\0\x0a\0\xff", option(65001, b"abc")[:-1]:
            with self.subTest(octets=octets):
                reply = ask(self.port, header(1, additional=1) + QUESTION + opt(options=octets))
                self.assertEqual((Head(reply).rcode, options(reply)), (wire.FORMERR, {}))

    def test_6_1_2_options_that_are_unknown_are_ignored(self):
        for given in (["+ednsopt=65001:c0ffee"], ["+padding=128"], ["+expire"],
                      ["+ednsopt=100", "+ednsopt=65535"]):
            reply = self.dig("web.service.consul", "A", *given)
            self.assertEqual((reply.status, len(reply.answer)), ("NOERROR", 2))
            self.assertNotIn("c0ffee", str(reply))
        everything = b"".join(option(code) for code in range(16, 400))
        reply = ask(self.port, query("web.service.consul", edns=opt(options=everything)))
        self.assertEqual((Head(reply).answers, options(reply)), (2, {}))

    def test_6_1_3_versions_above_0_are_badvers(self):
        for qname in NAMES:
            for version in 1, 100, 255:
                with self.subTest(qname, version=version):
                    # What looks like a malformed option may be a good one of that version.
                    edns = opt(version=version, options=option(wire.COOKIE, b"1"))
                    reply = ask(self.port, query(qname, edns=edns))
                    self.assertEqual((wire.rcode(reply), Head(reply).answers), (BADVERS, 0))
                    self.assertEqual(options(reply), {})
                    self.assertEqual(self.dig(qname, "A", f"+edns={version}",
                                              "+noednsnegotiation").edns["version"], 0)

    def test_6_1_4_dnssec_ok_is_copied_and_other_flags_are_zero(self):
        self.assertEqual(self.dig("consul", "SOA", "+dnssec").edns["flags"], ["do"])
        self.assertEqual(self.dig("consul", "SOA", "+nodnssec").edns["flags"], [])
        for flags in 0x7FFF, 0xFFFF:
            reply = ask(self.port, query("consul", "SOA", edns=opt(flags=flags)))
            ttl, = [ttl for _, rtype, _, ttl, _ in wire.records(reply) if rtype == 41]
            self.assertEqual(ttl, flags & 0x8000)

    def test_6_2_3_replies_are_never_larger_than_asked(self):
        for qtype in "A", "SRV", "ANY":
            for octets in (0, 511, 512, 513, 600, 1232, 1452, 4096, 9000, 65535):
                with self.subTest(qtype=qtype, octets=octets):
                    reply = ask(self.port, query(MANY, qtype, edns=opt(octets)))
                    self.assertLessEqual(len(reply), max(512, octets))
                    self.assertGreater(Head(reply).answers, 0)
            self.assertLessEqual(len(ask(self.port, query(MANY, qtype))), 512)

    def test_6_2_3_a_larger_size_brings_more_answers(self):
        counts = [Head(ask(self.port, query(MANY, "A", edns=opt(octets)))).answers
                  for octets in (512, 600, 1232, 4096)]
        self.assertEqual(counts, sorted(set(counts)))

    def test_7_a_cut_reply_keeps_its_opt(self):
        for qtype in "A", "SRV", "ANY":
            for octets in range(512, 700, 7):
                reply = ask(self.port, query(MANY, qtype, edns=opt(octets)))
                self.assertEqual(options(reply), {}, (qtype, octets))

    def test_7_errors_have_opt(self):
        for opcode in 2, 4, 5, 15:
            reply = ask(self.port, query("consul", "SOA", flags=opcode << 11, edns=opt()))
            self.assertEqual((wire.rcode(reply), options(reply)), (wire.NOTIMP, {}))
        reply = ask(self.port, header(1, questions=0, additional=1) + opt())
        self.assertEqual((wire.rcode(reply), options(reply)), (wire.FORMERR, {}))

    def test_kdig_and_drill_read_it(self):
        for command in (["kdig", "@127.0.0.1", "-p", str(self.port), "+edns=0", "+dnssec", MANY],
                        ["drill", "-D", "-p", str(self.port), MANY, "@127.0.0.1"]):
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            self.assertRegex(run.stdout, r"(?i)flags: do", command)


class ClientSubnet(catalog.CatalogTest):
    """The option of RFC 7871, which resolvers in front of many send."""

    @property
    def port(self):
        return self.server.dns_port

    def test_7_2_1_repeated_with_scope_0_as_answers_are_good_for_everybody(self):
        for subnet, shown in (("192.0.2.0/24", "192.0.2.0/24/0"), ("2001:db8::/48", "2001:db8::/48/0"),
                              ("0.0.0.0/0", "0.0.0.0/0/0")):
            for qname in "web.service.consul", "nosuch.service.consul":
                reply = self.dig(qname, "A", f"+subnet={subnet}")
                self.assertIn(f"CLIENT-SUBNET: {shown}", str(reply))

    def test_6_malformed_is_formerr(self):
        for data in ("", "0001", "00011800c000", "00011800c0000201", "00012100c000020100",
                     "00011700c00003", "0002810020010db8" + "00" * 13, "00030000"):
            with self.subTest(data):
                edns = opt(options=option(wire.CLIENT_SUBNET, bytes.fromhex(data)))
                reply = ask(self.port, query("web.service.consul", edns=edns))
                self.assertEqual(Head(reply).rcode, wire.FORMERR)


lib.main()
