"""Questions of type ANY get little (RFC 8482)."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, ask, opt, query


class Any(catalog.CatalogTest):
    commands = catalog.instances("many", 300)

    def test_4_1_a_subset_of_what_there_is(self):
        """Of a service its addresses, as Consul gives; neither SRV nor TXT."""
        self.check("web.service.consul", "ANY", "A 10.0.0.1", "A 10.0.0.2")
        self.check("on6.service.consul", "ANY", "AAAA fd00::6")
        self.assertEqual(set(self.dig("many.service.consul", "ANY").types("answer")), {"A"})

    def test_4_1_records_given_are_the_ones_a_question_of_their_type_gets(self):
        for qname in "web.service.consul", "alpha.node.consul", "dual.node.consul":
            by_type = {}
            for each in self.dig(qname, "ANY").answer:
                by_type.setdefault(each.type, set()).add(each.rdata)
            self.assertTrue(by_type)
            for rtype, rdata in by_type.items():
                self.assertEqual(set(self.dig(qname, rtype).rdata()), rdata)

    def test_7_no_amplification(self):
        for qname in "many.service.consul", "alpha.node.consul", "consul":
            message = query(qname, "ANY")
            self.assertLessEqual(len(ask(self.server.dns_port, message)), 512)

    def test_names_without_records_are_nodata_and_others_nxdomain(self):
        for qname, status in (("service.consul", "NOERROR"), ("consul", "NOERROR"),
                              ("nosuch.service.consul", "NXDOMAIN")):
            reply = self.dig(qname, "ANY")
            self.assertEqual((reply.status, reply.answer, reply.types("authority")),
                             (status, [], ["SOA"]), reply)

    def test_a_host_name_is_a_cname(self):
        self.check("hostsvc.service.consul", "ANY", "CNAME WWW.example.net.")

    def test_4_4_no_other_over_tcp(self):
        reply = self.dig("web.service.consul", "ANY", "+tcp")
        self.assertEqual(reply.rdata(), ["10.0.0.1", "10.0.0.2"])


lib.main()
