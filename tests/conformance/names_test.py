"""Every form of name that the zone has, asked with dig."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib

NODE = "node.dc1.consul."
ADDR = "addr.dc1.consul."


def reverse_v6(*last):
    """The reverse name of an address fd00::LAST, LAST in nibbles."""
    nibbles = ["f", "d"] + ["0"] * (30 - len(last)) + list(last)
    return ".".join(reversed(nibbles)) + ".ip6.arpa"


class Names(catalog.CatalogTest):
    def test_node(self):
        self.check("alpha.node.consul", "A", "A 10.0.0.1")
        self.check("six.node.consul", "AAAA", "AAAA fd00::6")
        self.check("alpha.node.dc1.consul", "A", "A 10.0.0.1")
        self.check("alpha.node.dc1.dc.consul", "A", "A 10.0.0.1")
        self.check("agent-1.node.consul", "A", "A 127.0.0.1")

    def test_node_names_are_found_in_any_case_and_with_dots(self):
        self.check("BETA.node.consul", "A", "A 10.0.0.2")
        self.check("zeta.dots.example.node.consul", "A", "A 10.0.0.6")

    def test_ipv4_mapped_address_is_ipv4(self):
        self.check("mapped.node.consul", "A", "A 10.0.0.9")

    def test_service(self):
        self.check("web.service.consul", "A", "A 10.0.0.1", "A 10.0.0.2")
        self.check("on6.service.consul", "AAAA", "AAAA fd00::6")
        self.check("single.service.consul", "A", "A 10.9.0.1")
        self.check("under_score.service.consul", "A", "A 10.0.0.1")

    def test_service_and_tag_in_any_case(self):
        self.check("wEb.SERVICE.consul", "A", "A 10.0.0.1", "A 10.0.0.2")
        self.check("PRIMARY.web.service.consul", "A", "A 10.0.0.1")
        self.check("v1.web.service.consul", "A", "A 10.0.0.1", "A 10.0.0.2")

    def test_what_is_before_the_service_is_one_tag(self):
        self.check("a.b.c.web.service.consul", "A", "A 10.0.0.1")
        self.assertEqual(self.dig("primary.v1.web.service.consul").status, "NXDOMAIN")

    def test_srv(self):
        self.check("web.service.consul", "SRV", f"SRV 1 1 80 alpha.{NODE}",
                   f"SRV 1 1 81 alpha.{NODE}", f"SRV 1 1 8080 Beta.{NODE}")
        self.check("admin.web.service.consul", "SRV", f"SRV 1 1 81 alpha.{NODE}")
        self.check("noport.service.consul", "SRV", f"SRV 1 1 0 alpha.{NODE}")

    def test_srv_target_spells_an_own_address(self):
        self.check("single.service.consul", "SRV", f"SRV 1 1 9000 0a090001.{ADDR}")
        self.check("svc6.service.consul", "SRV",
                   f"SRV 1 1 9001 fd000000000000000000000000000051.{ADDR}")

    def test_srv_target_resolves_to_its_additional_record(self):
        for service in "web", "single", "svc6", "on6":
            for target in {each.rdata.split()[3]
                           for each in self.dig(f"{service}.service.consul", "SRV").answer}:
                with self.subTest(target=target):
                    reply = self.dig(f"{service}.service.consul", "SRV")
                    glue = [(each.type, each.rdata) for each in reply.additional
                            if each.owner == target and each.type in ("A", "AAAA")]
                    self.assertEqual(len(glue), 1, reply)
                    kind, address = glue[0]
                    self.assertEqual(self.dig(target, kind).rdata(), [address])

    def test_rfc_2782(self):
        everything = [f"SRV 1 1 80 alpha.{NODE}", f"SRV 1 1 81 alpha.{NODE}",
                      f"SRV 1 1 8080 Beta.{NODE}"]
        for name in ("_web._tcp.service.consul", "_web._TCP.service.consul", "_web._tcp.consul",
                     "_web._tcp.dc1.consul", "_web._tcp.service.dc1.consul"):
            self.check(name, "SRV", *everything)
        self.check("_web._primary.service.consul", "SRV", f"SRV 1 1 80 alpha.{NODE}")
        self.check("_web._primary.consul", "SRV", f"SRV 1 1 80 alpha.{NODE}")
        self.check("_web._tcp.service.consul", "A", "A 10.0.0.1", "A 10.0.0.2")

    def test_the_standard_form_filters_on_the_tag_tcp(self):
        self.check("tcp.single.service.consul", "A", "A 10.9.0.1")
        self.assertEqual(self.dig("tcp.web.service.consul").status, "NXDOMAIN")

    def test_keywords_may_be_names(self):
        self.check("node.node.consul", "A", "A 10.0.0.7")
        self.check("service.service.consul", "A", "A 10.0.0.1")
        self.check("node.service.service.consul", "A", "A 10.0.0.1")

    def test_datacenter_forms(self):
        for suffix in "dc1", "DC1", "dc1.dc":
            self.check(f"single.service.{suffix}.consul", "A", "A 10.9.0.1")
            self.check(f"primary.web.service.{suffix}.consul", "A", "A 10.0.0.1")
            self.check(f"alpha.node.{suffix}.consul", "A", "A 10.0.0.1")

    def test_spelled_address(self):
        self.check("0a0000ff.addr.consul", "A", "A 10.0.0.255")
        self.check("0A0000FF.addr.dc1.consul", "A", "A 10.0.0.255")
        self.check("fd000000000000000000000000000051.addr.dc1.consul", "AAAA", "AAAA fd00::51")
        self.check("7f000001.addr.any.thing.consul", "A", "A 127.0.0.1")

    def test_tagged_addresses(self):
        self.check("dual.node.consul", "A", "A 10.0.0.8")
        self.check("dual.node.consul", "AAAA", "AAAA fd00::8")
        self.check("ondual.service.consul", "ANY", "AAAA fd00::8")
        self.check("tagged.service.consul", "A", "A 10.8.0.1")
        self.check("tagged.service.consul", "AAAA", "AAAA fd00::81")
        self.check("tagged.service.consul", "SRV",
                   f"SRV 1 1 9009 fd000000000000000000000000000081.{ADDR}")

    def test_reverse(self):
        self.check("1.0.0.10.in-addr.arpa", "PTR", f"PTR alpha.{NODE}")
        self.check("2.0.0.10.IN-ADDR.ARPA", "PTR", f"PTR Beta.{NODE}")
        self.check("9.0.0.10.in-addr.arpa", "PTR", f"PTR mapped.{NODE}")
        self.check("1.0.9.10.in-addr.arpa", "PTR", "PTR single.service.dc1.consul.")
        self.check(reverse_v6("6"), "PTR", f"PTR six.{NODE}")
        self.check(reverse_v6("5", "1"), "PTR", "PTR svc6.service.dc1.consul.")

    def test_reverse_is_not_hidden_by_health(self):
        self.check("3.1.0.10.in-addr.arpa", "PTR", f"PTR h3.{NODE}")

    def test_reverse_of_nothing(self):
        reply = self.dig("1.2.0.192.in-addr.arpa", "PTR")
        self.assertEqual(reply.status, "NXDOMAIN", reply)
        self.assertEqual(reply.types("authority"), ["SOA"], reply)
        # A tagged address does not name its node.
        self.assertEqual(self.dig("8.2.0.192.in-addr.arpa", "PTR").status, "NXDOMAIN")

    def test_case_is_kept(self):
        for name in ("WeB.sErViCe.CoNsUl", "ALPHA.nOdE.cOnSuL", "0a0000FF.ADDR.Consul",
                     "1.0.0.10.In-Addr.ARPA"):
            with self.subTest(name=name):
                reply = self.dig(name, "PTR" if name.endswith("ARPA") else "A")
                self.assertEqual(reply.question[0].owner, name + ".")
                self.assertEqual({each.owner for each in reply.answer}, {name + "."}, reply)

    def test_gone_is_gone(self):
        for name in "gone.node.consul", "past.service.consul":
            self.assertEqual(self.dig(name).status, "NXDOMAIN")
        self.check("left.node.consul", "A", "A 10.0.2.2")

    def test_mname_of_the_soa_resolves(self):
        mname = self.dig("consul", "SOA").answer[0].rdata.split()[0]
        self.check(mname, "A", "A 127.0.0.1")

    def test_outside_is_refused(self):
        for name in "example.com", "web.service.consul2", "xconsul", "consul.example", ".":
            with self.subTest(name=name):
                reply = self.dig(name)
                self.assertEqual(reply.status, "REFUSED", reply)
                self.assertNotIn("aa", reply.flags)
                self.assertNotIn("ra", reply.flags)


class AlternativeDomain(catalog.CatalogTest):
    config = {"alt_domain": "Pharos.Example", "datacenter": "dc1"}

    def test_has_the_same_content(self):
        self.check("web.service.pharos.example", "A", "A 10.0.0.1", "A 10.0.0.2")
        self.check("alpha.node.dc1.pharos.example", "A", "A 10.0.0.1")
        self.check("web.service.consul", "A", "A 10.0.0.1", "A 10.0.0.2")

    def test_answers_in_the_domain_asked(self):
        self.check("_single._tcp.pharos.example", "SRV",
                   "SRV 1 1 9000 0a090001.addr.dc1.pharos.example.")
        self.check("admin.web.service.pharos.example", "SRV",
                   "SRV 1 1 81 alpha.node.dc1.pharos.example.")
        self.check("pharos.example", "NS", "NS agent-1.node.dc1.pharos.example.")
        soa = self.dig("nosuch.service.pharos.example").authority[0]
        self.assertEqual((soa.owner, soa.rdata.split()[0]),
                         ("pharos.example.", "ns.pharos.example."))

    def test_its_parent_is_outside(self):
        self.assertEqual(self.dig("service.example").status, "REFUSED")


class OwnDomainAndDatacenter(catalog.CatalogTest):
    config = {"domain": "svc.lan", "datacenter": "East-1"}

    def test_names_are_in_them(self):
        self.check("web.service.svc.lan", "A", "A 10.0.0.1", "A 10.0.0.2")
        self.check("admin.web.service.east-1.svc.lan", "SRV",
                   "SRV 1 1 81 alpha.node.east-1.svc.lan.")
        self.check("1.0.0.10.in-addr.arpa", "PTR", "PTR alpha.node.east-1.svc.lan.")

    def test_the_usual_domain_is_outside(self):
        self.assertEqual(self.dig("web.service.consul").status, "REFUSED")


lib.main()
