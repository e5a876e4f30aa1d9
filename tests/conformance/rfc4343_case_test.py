"""Letter case means nothing and is kept (RFC 4343; RFC 1035 section 2.3.3)."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import ask, opt, query

NAMES = (("web.service.consul", "A"), ("web.service.consul", "SRV"), ("alpha.node.dc1.consul", "A"),
         ("a.b.c.web.service.consul", "A"), ("_web._tcp.service.consul", "SRV"),
         ("_web._primary.dc1.consul", "SRV"), ("0a0000ff.addr.consul", "A"),
         ("1.0.0.10.in-addr.arpa", "PTR"), ("6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
                                            "0.0.0.d.f.ip6.arpa", "PTR"),
         ("inner.service.consul", "A"), ("alpha.node.consul", "TXT"))


class Case(catalog.CatalogTest):
    def test_3_answers_are_the_same_in_any_case(self):
        for qname, qtype in NAMES:
            want = self.dig(qname, qtype)
            self.assertEqual(want.status, "NOERROR")
            for spelled in qname.upper(), qname.title(), qname.swapcase():
                with self.subTest(spelled, type=qtype):
                    reply = self.dig(spelled, qtype)
                    self.assertEqual((reply.status, reply.rdata()), (want.status, want.rdata()))

    def test_4_1_case_of_the_question_is_the_answers(self):
        for qname, qtype in NAMES:
            spelled = qname.swapcase()
            with self.subTest(spelled, type=qtype):
                reply = self.dig(spelled, qtype)
                self.assertEqual(reply.question[0].owner, spelled + ".")
                self.assertIn(spelled + ".", {each.owner for each in reply.answer})

    def test_4_2_case_of_what_was_registered_is_kept_where_it_is_data(self):
        self.assertIn("Beta.node.dc1.consul.", str(self.dig("web.service.consul", "SRV")))
        self.assertEqual(self.dig("2.0.0.10.in-addr.arpa", "PTR").rdata(), ["Beta.node.dc1.consul."])
        self.assertEqual(self.dig("hostsvc.service.consul").rdata(), ["WWW.example.net."])

    def test_random_case_of_resolvers_comes_back(self):
        """Resolvers mix the case of their questions and drop replies that do not repeat it."""
        chosen = random.Random(1)
        for qname in ("web.service.consul", "nosuch.service.consul", "service.consul", "example.com",
                      "1.0.0.10.in-addr.arpa"):
            for _ in range(10):
                spelled = "".join(chosen.choice((str.upper, str.lower))(c) for c in qname)
                message = query(spelled, edns=opt())
                end = 12 + len(wire.name(spelled)) + 4
                self.assertEqual(ask(self.server.dns_port, message)[12:end], message[12:end])

    def test_only_ascii_letters_have_case(self):
        # 0xC9 and 0xE9 are one letter in Latin-1, and two octets here.
        message = query("web.service.consul").replace(b"\3web", b"\3w\xc9b")
        self.assertEqual(wire.Head(ask(self.server.dns_port, message)).rcode, wire.NXDOMAIN)


lib.main()
