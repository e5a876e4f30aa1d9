"""RRsets (RFC 2181): whole or truncated, of one TTL, and CNAME alone at its name."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, ask, opt, query

MANY = "many.service.consul"


class Rrsets(catalog.CatalogTest):
    config = {"dns_config": {"node_ttl": "11s", "service_ttl": {"*": "7s", "web": "3s"}}}
    commands = catalog.instances("many", 300)

    def test_5_2_records_of_an_rrset_have_one_ttl(self):
        for qname, qtype in (("web.service.consul", "A"), ("web.service.consul", "SRV"),
                             ("web.service.consul", "ANY"), ("alpha.node.consul", "ANY"),
                             ("inner.service.consul", "A"), ("hosted.node.consul", "ANY"),
                             ("consul", "NS"), ("consul", "SOA"), ("nosuch.consul", "A"),
                             ("_web._tcp.service.consul", "SRV")):
            reply = self.dig(qname, qtype)
            for section in reply.answer, reply.authority, reply.additional:
                ttls = {}
                for each in section:
                    ttls.setdefault((each.owner.lower(), each.type), set()).add(each.ttl)
                for key, seen in ttls.items():
                    self.assertEqual(len(seen), 1, f"{key}\n{reply}")

    def test_5_5_no_record_is_there_twice(self):
        for qname, qtype in (("web.service.consul", "SRV"), (MANY, "SRV"), (MANY, "A"),
                             ("consul", "NS"), ("alpha.node.consul", "ANY")):
            reply = self.dig(qname, qtype, "+tcp")
            for section in reply.answer, reply.authority, reply.additional:
                self.assertEqual(len(section), len(set(section)), reply)

    def test_10_1_a_name_with_a_cname_has_nothing_else(self):
        for qtype in "A", "AAAA", "MX", "TYPE65":
            for qname in "hostsvc.service.consul", "inner.service.consul", "mixed.service.consul":
                reply = self.dig(qname, qtype)
                owners = {}
                for each in reply.answer:
                    owners.setdefault(each.owner, []).append(each.type)
                for types in owners.values():
                    self.assertTrue("CNAME" not in types or types == ["CNAME"], reply)

    def test_10_3_name_servers_are_no_aliases_and_have_addresses(self):
        for server in self.dig("consul", "NS").rdata():
            self.assertEqual(self.dig(server, "A").types("answer"), ["A"])

    def test_7_2_soa_of_negative_answers_is_the_zones(self):
        reply = self.dig("nosuch.service.consul")
        self.assertEqual([(each.owner, each.type) for each in reply.authority],
                         [("consul.", "SOA")])

    def test_11_any_octet_may_be_in_a_name(self):
        for qname in (r"\000.service.consul", r"a\.b.service.consul", r"\255.node.consul",
                      r"sp\032ace.node.consul"):
            self.assertEqual(self.dig(qname).status, "NXDOMAIN")


class TtlRange(catalog.CatalogTest):
    config = {"dns_config": {"node_ttl": "900000h", "service_ttl": {"*": "900000h"}}}

    def test_8_ttls_are_at_most_2_to_the_31_less_1(self):
        for qname, qtype in (("alpha.node.consul", "A"), ("web.service.consul", "SRV")):
            for each in self.dig(qname, qtype).answer:
                self.assertEqual(each.ttl, 2 ** 31 - 1)


class Truncation(catalog.CatalogTest):
    config = {"dns_config": {"enable_truncate": True}}
    commands = catalog.instances("many", 300) + catalog.instances("three", 3, "10.3")

    def test_9_tc_says_that_something_was_cut(self):
        for options in ["+noedns"], ["+bufsize=1232"]:
            self.assertIn("tc", self.dig(MANY, "A", "+ignore", *options).flags)
            self.assertIn("tc", self.dig(MANY, "SRV", "+ignore", *options).flags)

    def test_9_no_tc_when_nothing_was_cut(self):
        self.assertNotIn("tc", self.dig("three.service.consul", "A", "+ignore", "+noedns").flags)
        self.assertNotIn("tc", self.dig("alpha.node.consul", "A", "+ignore", "+noedns").flags)
        self.assertNotIn("tc", self.dig(MANY, "A", "+tcp").flags)

    def test_9_dig_gets_the_rest_over_tcp(self):
        self.assertEqual(len(self.dig(MANY, "A", "+noedns").answer), 300)

    def test_9_additional_records_are_whole_or_not_there(self):
        for octets in range(512, 900, 13):
            reply = self.dig(MANY, "SRV", "+ignore", f"+bufsize={octets}")
            targets = {each.rdata.split()[3] for each in reply.answer}
            owners = {each.owner for each in reply.additional if each.type == "A"}
            self.assertEqual(owners, targets, reply)


class NodeMeta(catalog.CatalogTest):
    commands = ('commands { register { node { name: "meta" address: "10.4.0.1" ' +
                " ".join(f'meta {{ key: "k{i}" value: "{"v" * 100}" }}' for i in range(20)) +
                ' } services { name: "onmeta" port: 1 } } }\n')

    def test_9_texts_that_do_not_fit_in_an_answer_set_tc(self):
        reply = self.dig("meta.node.consul", "TXT", "+noedns", "+ignore")
        self.assertIn("tc", reply.flags)
        self.assertEqual(len(self.dig("meta.node.consul", "TXT", "+noedns").answer), 20)

    def test_9_texts_that_do_not_fit_in_additional_are_left_out_without_tc(self):
        for qname, qtype in (("meta.node.consul", "A"), ("onmeta.service.consul", "SRV")):
            reply = self.dig(qname, qtype, "+noedns", "+ignore")
            self.assertEqual((len(reply.answer), reply.rdata("additional", "TXT")), (1, []), reply)
            self.assertNotIn("tc", reply.flags)

    def test_replies_stay_in_512_octets(self):
        for qtype in "A", "TXT", "ANY":
            self.assertLessEqual(len(ask(self.server.dns_port, query("meta.node.consul", qtype))),
                                 512)


lib.main()
