"""How the zone says no (RFC 2308): NODATA and NXDOMAIN, each with the SOA record. What comes from
recursors is in a file of its own."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire


class Negative(catalog.CatalogTest):
    def say_no(self, name, type, status, *options):
        with self.subTest(name=name, type=type):
            reply = self.dig(name, type, *options)
            self.assertEqual(reply.status, status, reply)
            self.assertEqual(reply.answer, [], reply)
            self.assertEqual([(each.owner, each.type) for each in reply.authority],
                             [("consul.", "SOA")], reply)
            self.assertIn("aa", reply.flags, reply)
            return reply

    def test_2_1_what_does_not_exist_is_nxdomain_for_every_type(self):
        for name in ("nosuch.service.consul", "nosuch.web.service.consul",
                     "_nosuch._tcp.service.consul", "_web._nosuch.service.consul",
                     "nosuch.node.consul", "web.consul", "foo.bar.consul", "a.b.c.d.consul",
                     "nosuch.service.dc1.consul", "nosuch.query.consul"):
            for type in "A", "AAAA", "SRV", "TXT", "MX", "ANY", "TYPE65":
                self.say_no(name, type, "NXDOMAIN")

    def test_2_1_no_healthy_instance_is_nxdomain_for_every_type(self):
        for type in "A", "AAAA", "SRV", "TXT", "ANY":
            self.say_no("sick.service.consul", type, "NXDOMAIN")

    def test_2_1_unknown_datacenter_is_nxdomain(self):
        for name in ("web.service.dc9.consul", "alpha.node.dc9.consul", "_web._tcp.dc9.consul",
                     "web.service.dc9.dc.consul", "web.service.a.b.consul", "service.dc9.consul"):
            self.say_no(name, "SRV", "NXDOMAIN")

    def test_2_1_spelled_address_that_is_none_is_nxdomain(self):
        for name in ("0a0000f.addr.consul", "0a0000fff.addr.consul", "0a0000fg.addr.consul",
                     "a.0a0000ff.addr.consul"):
            self.say_no(name, "A", "NXDOMAIN")

    def test_2_2_what_exists_without_a_record_of_the_type_is_nodata(self):
        for name, type in (("web.service.consul", "AAAA"), ("web.service.consul", "TXT"),
                           ("web.service.consul", "MX"), ("on6.service.consul", "A"),
                           ("alpha.node.consul", "AAAA"), ("alpha.node.consul", "SRV"),
                           ("alpha.node.consul", "MX"), ("agent-1.node.consul", "TXT"),
                           ("0a0000ff.addr.consul", "AAAA"), ("0a0000ff.addr.consul", "TXT"),
                           ("consul", "A"), ("consul", "TXT"), ("consul", "MX")):
            self.say_no(name, type, "NOERROR")

    def test_3_soa_comes_with_and_without_edns_and_over_tcp(self):
        for options in ["+noedns"], ["+edns=0"], ["+tcp"]:
            self.say_no("nosuch.service.consul", "A", "NXDOMAIN", *options)
            self.say_no("web.service.consul", "AAAA", "NOERROR", *options)

    def test_soa_of_the_zone(self):
        for reply in (self.dig("consul", "SOA"), self.dig("CONSUL", "SOA", "+tcp")):
            self.assertEqual(reply.types("answer"), ["SOA"], reply)
            mname, rname, serial, *timers = reply.answer[0].rdata.split()
            self.assertEqual((mname, rname), ("ns.consul.", "hostmaster.consul."))
            self.assertGreater(int(serial), 1_600_000_000)
            self.assertEqual(timers, ["3600", "600", "86400", "0"])

    def test_3_negative_reverse_answers_have_an_soa_above_the_name(self):
        for name in "1.2.0.192.in-addr.arpa", "1.0.0.0.ip6.arpa", "300.1.in-addr.arpa":
            with self.subTest(name=name):
                reply = self.dig(name, "PTR")
                self.assertEqual(reply.types("authority"), ["SOA"], reply)
                self.assertTrue(("." + name + ".").endswith("." + reply.authority[0].owner), reply)

    def test_zone_transfers_are_refused(self):
        soa = wire.record("consul", "SOA", 0, bytes(22))
        axfr = wire.header() + wire.name("consul") + struct.pack("!HH", 252, 1)
        ixfr = (wire.header(authority=1) + wire.name("consul") + struct.pack("!HH", 251, 1) + soa)
        for message in axfr, ixfr:
            reply = wire.ask(self.server.dns_port, message)
            with wire.Tcp(self.server.dns_port) as tcp:
                tcp.send(message)
                for each in wire.Head(reply), wire.Head(tcp.receive()):
                    self.assertIn(each.rcode, (wire.REFUSED, wire.NOTIMP))
                    self.assertEqual(each.answers, 0)


class NegativeTtl(catalog.CatalogTest):
    config = {"dns_config": {"soa": {"refresh": 1, "retry": 2, "expire": 3, "min_ttl": 7}}}

    def test_5_is_min_ttl_in_record_and_minimum(self):
        for name in "nosuch.service.consul", "service.consul", "consul":
            soa = self.dig(name).authority[0]
            self.assertEqual(soa.ttl, 7)
            self.assertEqual(soa.rdata.split()[3:], ["1", "2", "3", "7"])


lib.main()
