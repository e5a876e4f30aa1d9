"""Nothing is below NXDOMAIN, so what has names below it is NODATA (RFC 8020; empty non-terminals,
RFC 8499 section 7)."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib


class EmptyNonTerminals(catalog.CatalogTest):
    def say_no(self, name, type, status):
        with self.subTest(name=name, type=type):
            reply = self.dig(name, type)
            self.assertEqual((reply.status, reply.answer), (status, []), reply)
            self.assertEqual([(each.owner, each.type) for each in reply.authority],
                             [("consul.", "SOA")], reply)

    def test_2_empty_non_terminals_are_nodata(self):
        for name in ("service.consul", "node.consul", "addr.consul", "query.consul", "dc1.consul",
                     "connect.consul", "ingress.consul", "service.dc1.consul", "node.dc1.consul",
                     "query.dc1.consul", "connect.dc1.consul", "addr.dc1.consul", "_tcp.consul",
                     "_tcp.service.consul", "_tcp.dc1.consul", "_tcp.service.dc1.consul",
                     "dc.consul", "dc1.dc.consul", "service.dc1.dc.consul", "c.web.service.consul",
                     "b.c.web.service.consul", "_primary.service.consul", "_primary.consul",
                     "_primary.dc1.consul", "example.node.consul", "dots.example.node.consul"):
            for type in "A", "AAAA", "SRV", "NS", "ANY":
                self.say_no(name, type, "NOERROR")

    def test_2_networks_above_reverse_names_are_nodata(self):
        for name in "10.in-addr.arpa", "0.0.10.in-addr.arpa", "d.f.ip6.arpa":
            self.assertEqual(self.dig(name, "PTR").status, "NOERROR")

    def test_2_nxdomain_goes_for_all_below(self):
        for name in ("nosuch.service.consul", "nosuch.node.consul", "foo.consul", "dc9.consul",
                     "service.dc9.consul", "zz.addr.consul", "nosuch.query.consul"):
            for below in name, "a." + name, "a.b." + name, "_web._tcp." + name:
                self.say_no(below, "A", "NXDOMAIN")

    def test_above_what_is_gone_is_nothing(self):
        for name in ("dotted.node.consul", "gone.dotted.node.consul", "past.service.consul",
                     "lost.past.service.consul", "_lost.service.consul", "_lost.consul"):
            self.say_no(name, "A", "NXDOMAIN")


class AlternativeDomain(catalog.CatalogTest):
    config = {"alt_domain": "a.b.example"}

    def test_has_the_same(self):
        for name in "a.b.example", "service.a.b.example", "dc1.a.b.example":
            reply = self.dig(name)
            self.assertEqual((reply.status, reply.authority[0].owner), ("NOERROR", "a.b.example."))


lib.main()
