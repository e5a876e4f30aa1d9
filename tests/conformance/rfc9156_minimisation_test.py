"""A resolver that asks for one label after the other and takes NXDOMAIN at its word (strict QNAME
minimisation, RFC 9156) finds every form of name we have."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib

FORMS = (
    ("alpha.node.consul", "A"), ("alpha.node.dc1.consul", "A"), ("alpha.node.dc1.dc.consul", "A"),
    ("zeta.dots.example.node.consul", "A"), ("alpha.node.consul", "TXT"),
    ("web.service.consul", "A"), ("web.service.consul", "SRV"), ("web.service.dc1.consul", "A"),
    ("web.service.dc1.dc.consul", "SRV"), ("primary.web.service.consul", "A"),
    ("a.b.c.web.service.dc1.consul", "A"), ("node.service.service.consul", "A"),
    ("_web._tcp.service.consul", "SRV"), ("_web._tcp.service.dc1.consul", "SRV"),
    ("_web._tcp.consul", "SRV"), ("_web._tcp.dc1.consul", "SRV"),
    ("_web._primary.service.consul", "SRV"), ("_web._primary.consul", "SRV"),
    ("_web._primary.dc1.consul", "SRV"), ("_under_score._tcp.service.consul", "SRV"),
    ("0a000001.addr.consul", "A"), ("0a000001.addr.dc1.consul", "A"),
    ("fd000000000000000000000000000051.addr.dc1.consul", "AAAA"),
    ("ns.consul", "A"), ("consul", "NS"), ("consul", "SOA"),
    ("hostsvc.service.consul", "A"), ("inner.service.consul", "A"), ("hosted.node.consul", "A"),
    ("1.0.0.10.in-addr.arpa", "PTR"),
    ("6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", "PTR"))


class Walk(catalog.CatalogTest):
    def walk(self, name, type):
        """Section 3: each ancestor with A (which the section recommends) and NS, then the question
        itself. Names end in the zone, or in in-addr.arpa and ip6.arpa, which are asked elsewhere."""
        labels = name.split(".")
        top = 2 if labels[-1] == "arpa" else 1
        for count in range(top, len(labels)):
            ancestor = ".".join(labels[-count:])
            for asked in "A", "NS":
                reply = self.dig(ancestor, asked)
                self.assertEqual(reply.status, "NOERROR", f"on the way to {name}\n{reply}")
        reply = self.dig(name, type)
        self.assertEqual(reply.status, "NOERROR", reply)
        self.assertNotEqual(reply.answer, [], reply)
        return reply

    def test_3_every_form_is_found(self):
        for name, type in FORMS:
            with self.subTest(name=name, type=type):
                self.walk(name, type)

    def test_3_targets_of_srv_records_are_found(self):
        for service in "web", "single", "svc6", "on6":
            for target in {each.rdata.split()[3]
                           for each in self.dig(f"{service}.service.consul", "SRV").answer}:
                with self.subTest(target=target):
                    self.walk(target.rstrip("."), "AAAA" if "6" in service else "A")

    def test_name_servers_are_found(self):
        for server in self.dig("consul", "NS").rdata():
            self.walk(server.rstrip("."), "A")


class AlternativeDomain(Walk):
    config = {"alt_domain": "pharos.example"}

    def test_3_every_form_is_found(self):
        for name, type in FORMS:
            if name.endswith(".consul"):
                with self.subTest(name=name, type=type):
                    labels = name.removesuffix("consul") + "pharos.example"
                    # Above the zone others are asked.
                    reply = self.dig(labels, type)
                    self.assertEqual(reply.status, "NOERROR", reply)
                    parts = labels.split(".")
                    for count in range(2, len(parts)):
                        self.assertEqual(self.dig(".".join(parts[-count:])).status, "NOERROR")


lib.main()
