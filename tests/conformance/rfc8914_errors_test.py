"""Why an answer is as it is: extended DNS errors (RFC 8914)."""
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import upstream
import wire
from wire import ask, header, name, opt, options, query

(STALE_ANSWER, CACHED_ERROR, STALE_NXDOMAIN, NOT_AUTHORITATIVE, NOT_SUPPORTED,
 NO_REACHABLE_AUTHORITY) = 3, 13, 19, 20, 21, 22


def error_of(reply):
    """INFO-CODE and EXTRA-TEXT (section 2), or None."""
    data = options(reply).get(wire.EXTENDED_ERROR)
    if data is None:
        return None
    text = data[2:].decode()  # UTF-8, and not ended by a zero octet.
    assert not text.endswith("\0")
    return struct.unpack_from("!H", data)[0], text


class OwnAnswers(catalog.CatalogTest):
    @property
    def port(self):
        return self.server.dns_port

    def test_2_only_with_edns(self):
        for qname in "example.com", "web.service.consul":
            self.assertIsNone(options(ask(self.port, query(qname))))

    def test_answers_as_they_should_be_have_none(self):
        for qname in "web.service.consul", "nosuch.service.consul", "service.consul":
            self.assertIsNone(error_of(ask(self.port, query(qname, edns=opt()))))

    def test_4_21_not_authoritative(self):
        for qname in "example.com", "consul2", "1.example.arpa":
            reply = ask(self.port, query(qname, edns=opt()))
            self.assertEqual((wire.rcode(reply), error_of(reply)[0]),
                             (wire.REFUSED, NOT_AUTHORITATIVE), qname)

    def test_4_22_not_supported(self):
        for qtype, qclass in ((252, 1), (251, 1), (1, 3), (1, 255)):
            message = header(additional=1) + name("consul") + struct.pack("!HH", qtype, qclass)
            reply = ask(self.port, message + opt())
            self.assertEqual((wire.rcode(reply), error_of(reply)[0]),
                             (wire.REFUSED, NOT_SUPPORTED), (qtype, qclass))

    def test_dig_and_kdig_show_it(self):
        self.assertIn("EDE: 20 (Not Authoritative)", str(self.dig("example.com")))
        run = subprocess.run(["kdig", "@127.0.0.1", "-p", str(self.port), "+edns", "example.com"],
                             capture_output=True, text=True, check=True)
        self.assertIn("Not Authoritative", run.stdout)


class Recursors(catalog.CatalogTest):
    @classmethod
    def setUpClass(cls):
        cls.upstream = cls.enterClassContext(upstream.Upstream())
        cls.config = {"recursors": [cls.upstream.address],
                      # One thread, and so one cache, whatever port a question comes from.
                      "dns_config": {"recursor_timeout": "200ms", "threads": 1}}
        super().setUpClass()

    def tearDown(self):
        self.upstream.rcode = None

    def ask(self, qname):
        # With an option of its own, as dig has.
        edns = opt(options=wire.option(wire.COOKIE, bytes(8)))
        return ask(self.server.dns_port, query(qname, edns=edns))

    def test_failures_are_explained_to_whom_uses_options(self):
        """By default an empty OPT record is answered SERVFAIL with an empty one, as by Consul."""
        self.upstream.rcode = wire.SERVFAIL
        reply = ask(self.server.dns_port, query("plain.example.com", edns=opt()))
        self.assertEqual((wire.rcode(reply), options(reply)), (wire.SERVFAIL, {}))
        self.assertIn("EDE: ", str(self.dig("plain.example.com")))
        config = {**self.config, "dns_config": {"profile": "standard"}}
        with catalog.CatalogServer(config) as server:
            reply = ask(server.dns_port, query("plain.example.com", edns=opt()))
            self.assertEqual(error_of(reply)[0], NO_REACHABLE_AUTHORITY)

    def test_fresh_answers_have_none(self):
        self.upstream.add("fresh.example.com", "A",
                          wire.record("fresh.example.com", "A", 60, bytes(4)))
        for _ in range(2):
            self.assertIsNone(error_of(self.ask("fresh.example.com")))

    def test_4_23_no_reachable_authority_and_then_4_14_cached_error(self):
        self.upstream.rcode = wire.SERVFAIL
        reply = self.ask("failing.example.com")
        self.assertEqual((wire.rcode(reply), error_of(reply)[0]),
                         (wire.SERVFAIL, NO_REACHABLE_AUTHORITY))
        reply = self.ask("failing.example.com")
        self.assertEqual((wire.rcode(reply), error_of(reply)[0]), (wire.SERVFAIL, CACHED_ERROR))

    def test_4_4_stale_answer(self):
        self.upstream.add("stale.example.com", "A",
                          wire.record("stale.example.com", "A", 1, bytes([192, 0, 2, 7])))
        self.assertIsNone(error_of(self.ask("stale.example.com")))
        self.upstream.rcode = wire.SERVFAIL
        reply = wire.until("the answer is stale",
                           lambda: self.if_error(self.ask("stale.example.com")))
        self.assertEqual((wire.Head(reply).answers, error_of(reply)[0]), (1, STALE_ANSWER))

    def test_4_20_stale_nxdomain(self):
        self.upstream.negative_ttl = 1
        self.assertEqual(wire.rcode(self.ask("none.example.com")), wire.NXDOMAIN)
        self.upstream.rcode = wire.SERVFAIL
        reply = wire.until("the answer is stale",
                           lambda: self.if_error(self.ask("none.example.com")))
        self.assertEqual((wire.rcode(reply), error_of(reply)[0]), (wire.NXDOMAIN, STALE_NXDOMAIN))

    def test_a_host_name_that_cannot_be_resolved_says_so_beside_its_cname(self):
        self.upstream.rcode = wire.SERVFAIL
        reply = self.ask("hostsvc.service.consul")
        self.assertEqual((wire.rcode(reply), wire.Head(reply).answers), (wire.NOERROR, 1))
        self.assertIn(error_of(reply)[0], (NO_REACHABLE_AUTHORITY, CACHED_ERROR))

    @staticmethod
    def if_error(reply):
        return reply if error_of(reply) else None


lib.main()
