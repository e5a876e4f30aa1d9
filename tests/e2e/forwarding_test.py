"""Recursors: names outside the zone are asked of them and remembered."""
import concurrent.futures
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW = "www.example.com"


def a(name, last, ttl=60):
    return wire.record(name, "A", ttl, bytes([192, 0, 2, last]))


class ForwardingTest(unittest.TestCase):
    """Each test has an agent of its own, with `count` upstreams."""

    maxDiff = None

    def start(self, count=1, definitions=None, **config):
        servers = [self.enterContext(upstream.Upstream()) for _ in range(count)]
        for last, server in enumerate(servers, 1):
            server.add(WWW, "A", a(WWW, last))
        agent = self.enterContext(lib.Agent(
            {"recursors": [each.address for each in servers],
             "dns_config": {"threads": 1, **config}}, definitions))
        return (agent, *servers)


class Answers(ForwardingTest):
    def test_come_from_the_recursor(self):
        agent, server = self.start()
        reply = agent.dig(WWW)
        self.assertEqual((reply.status, reply.rdata()), ("NOERROR", ["192.0.2.1"]), reply)
        self.assertIn("ra", reply.flags)
        self.assertNotIn("aa", reply.flags)
        self.assertEqual(server.asked(WWW), 1)

    def test_over_tcp_too(self):
        agent, _ = self.start()
        self.assertEqual(agent.dig(WWW, "A", "+tcp").rdata(), ["192.0.2.1"])

    def test_keep_the_case_asked(self):
        agent, _ = self.start()
        for name in "wWw.eXample.COM", "WWW.example.com":
            reply = agent.dig(name)
            self.assertEqual(reply.question[0].owner, name + ".")
            self.assertEqual({each.owner.lower() for each in reply.answer}, {WWW + "."})

    def test_have_every_type(self):
        agent, server = self.start()
        server.add(WWW, "TXT", wire.record(WWW, "TXT", 5, b"\x02hi"))
        self.assertEqual(agent.dig(WWW, "TXT").rdata(), ['"hi"'])

    def test_nodata_has_its_soa(self):
        agent, _ = self.start()
        reply = agent.dig(WWW, "MX")
        self.assertEqual((reply.status, reply.answer, reply.types("authority")),
                         ("NOERROR", [], ["SOA"]))

    def test_zone_is_answered_here_and_with_ra(self):
        agent, server = self.start()
        reply = agent.dig("agent-1.node.consul")
        self.assertEqual((reply.rdata(), "ra" in reply.flags), (["127.0.0.1"], True))
        self.assertEqual(agent.dig("nosuch.service.consul").status, "NXDOMAIN")
        self.assertEqual(server.asked(), 0)

    def test_unknown_reverse_names_are_asked_of_the_recursor(self):
        agent, server = self.start()
        server.add("9.2.0.192.in-addr.arpa", "PTR",
                   wire.record("9.2.0.192.in-addr.arpa", "PTR", 5, wire.name("nine.example")))
        self.assertEqual(agent.dig("9.2.0.192.in-addr.arpa", "PTR").rdata(), ["nine.example."])
        self.assertEqual(agent.dig("1.0.0.127.in-addr.arpa", "PTR").rdata(),
                         ["agent-1.node.dc1.consul."])

    def test_truncated_reply_is_asked_again_over_tcp(self):
        agent, server = self.start()
        server.truncate = True
        self.assertEqual(agent.dig(WWW).rdata(), ["192.0.2.1"])
        self.assertEqual(server.tcp_count, 1)

    def test_large_reply_is_cut_to_what_the_client_can_take(self):
        agent, server = self.start()
        server.add("big.example.com", "A", *(a("big.example.com", i) for i in range(100)))
        reply = agent.dig("big.example.com", "A", "+noedns", "+ignore")
        self.assertIn("tc", reply.flags)
        self.assertEqual(len(agent.dig("big.example.com", "A", "+noedns").answer), 100)

    def test_without_recursors_are_refused(self):
        agent = self.enterContext(lib.Agent())
        reply = agent.dig(WWW)
        self.assertEqual((reply.status, "ra" in reply.flags), ("REFUSED", False))


class Cache(ForwardingTest):
    def test_answers_the_second_question(self):
        agent, server = self.start()
        for _ in range(3):
            self.assertEqual(agent.dig(WWW).rdata(), ["192.0.2.1"])
        agent.dig(WWW.upper())
        agent.dig(WWW, "A", "+tcp")
        self.assertEqual(server.asked(), 1)

    def test_counts_ttls_down(self):
        agent, server = self.start()
        first = agent.dig(WWW).answer[0].ttl
        self.assertLessEqual(first, 60)
        wire.until("the TTL is lower", lambda: agent.dig(WWW).answer[0].ttl < first)
        self.assertEqual(server.asked(), 1)

    def test_asks_again_after_the_ttl(self):
        agent, server = self.start()
        server.add("short.example.com", "A", a("short.example.com", 7, ttl=1))
        agent.dig("short.example.com")
        server.add("short.example.com", "A", a("short.example.com", 8, ttl=1))
        wire.until("the new answer",
                   lambda: agent.dig("short.example.com").rdata() == ["192.0.2.8"])

    def test_keeps_nxdomain_and_nodata(self):
        agent, server = self.start()
        for name, type, status in (("nosuch.example.com", "A", "NXDOMAIN"), (WWW, "MX", "NOERROR")):
            for _ in range(2):
                reply = agent.dig(name, type)
                self.assertEqual((reply.status, reply.types("authority")), (status, ["SOA"]))
            self.assertEqual(server.asked(name), 1)

    def test_does_not_keep_ttl_0(self):
        agent, server = self.start()
        server.add("zero.example.com", "A", a("zero.example.com", 7, ttl=0))
        for count in 1, 2:
            self.assertEqual(agent.dig("zero.example.com").rdata(), ["192.0.2.7"])
            self.assertEqual(server.asked(), count)

    def test_keeps_types_apart(self):
        agent, server = self.start()
        server.add(WWW, "AAAA", wire.record(WWW, "AAAA", 60, bytes(15) + b"\1"))
        self.assertEqual(agent.dig(WWW, "AAAA").rdata(), ["::1"])
        self.assertEqual(agent.dig(WWW, "A").rdata(), ["192.0.2.1"])

    def test_stale_answer_when_upstream_is_gone(self):
        agent, server = self.start()
        server.add("short.example.com", "A", a("short.example.com", 7, ttl=1))
        agent.dig("short.example.com")
        before = server.asked()
        server.stop()
        # It was gone while its TTL still ran, or after it: the first reply with the TTL of stale
        # answers (RFC 8767 section 4: 30 seconds) shows that the TTL is over.
        reply = wire.until("a stale answer", lambda: next(
            (each for each in [agent.dig("short.example.com", "A", seconds=6)]
             if each.answer and each.answer[0].ttl > 1), None))
        self.assertEqual((reply.rdata(), reply.answer[0].ttl), (["192.0.2.7"], 30))
        self.assertEqual(server.asked(), before)


class Failover(ForwardingTest):
    def test_asks_in_the_order_given(self):
        agent, first, second = self.start(2)
        self.assertEqual(agent.dig(WWW).rdata(), ["192.0.2.1"])
        self.assertEqual((first.asked(), second.asked()), (1, 0))

    def test_next_when_one_refuses_or_fails(self):
        for rcode in wire.REFUSED, wire.SERVFAIL:
            with self.subTest(rcode=rcode):
                agent, first, second, third = self.start(3)
                first.rcode = second.rcode = rcode
                self.assertEqual(agent.dig(WWW).rdata(), ["192.0.2.3"])
                self.assertGreaterEqual(first.asked(), 1)
                self.assertGreaterEqual(second.asked(), 1)

    def test_next_when_one_is_gone(self):
        agent, first, _ = self.start(2)
        first.stop()
        self.assertEqual(agent.dig(WWW).rdata(), ["192.0.2.2"])

    def test_next_when_one_is_silent(self):
        agent, first, _ = self.start(2, recursor_timeout="200ms")
        first.silent = True
        self.assertEqual(agent.dig(WWW, "A", seconds=5).rdata(), ["192.0.2.2"])

    def test_nxdomain_is_final(self):
        agent, _, second = self.start(2)
        second.add("other.example.com", "A", a("other.example.com", 2))
        self.assertEqual(agent.dig("other.example.com").status, "NXDOMAIN")
        self.assertEqual(second.asked(), 0)

    def test_servfail_within_five_seconds_when_nobody_answers(self):
        agent, *servers = self.start(3)
        for server in servers:
            server.silent = True
        started = time.monotonic()
        reply = agent.dig(WWW, "A", seconds=8)
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual((reply.status, "ra" in reply.flags, "aa" in reply.flags),
                         ("SERVFAIL", True, False))

    def test_servfail_at_once_when_everyone_refuses(self):
        agent, *servers = self.start(2)
        for server in servers:
            server.rcode = wire.REFUSED
        started = time.monotonic()
        self.assertEqual(agent.dig(WWW).status, "SERVFAIL")
        self.assertLess(time.monotonic() - started, 1)

    def test_zone_is_answered_while_upstreams_are_silent(self):
        agent, server = self.start()
        server.silent = True
        with wire.udp(agent.dns_port) as asker:
            asker.send(wire.query(WWW, ident=1))
            for ident in range(2, 50):
                asker.send(wire.query("agent-1.node.consul", ident=ident))
                self.assertEqual(wire.Head(asker.recv(512)).ident, ident)


class Coalescing(ForwardingTest):
    def test_many_askers_one_question(self):
        agent, server = self.start()
        server.hold = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            asked = [pool.submit(agent.dig, WWW, "A", seconds=8) for _ in range(30)]
            wire.until("the others wait too",
                       lambda: agent.metric("pharos_forwarder_coalesced_total") >= 29)
            server.hold.set()
            self.assertEqual({tuple(each.result().rdata()) for each in asked}, {("192.0.2.1",)})
        # One query, and perhaps the same once more while the reply was withheld.
        self.assertLessEqual(server.asked(), 2)


class HostNames(ForwardingTest):
    """Services whose address is a host name elsewhere."""

    services = {"s.hcl": f'service {{ name = "ext" port = 80 address = "{WWW}" }}\n'
                         'service { name = "alias" port = 81 address = "alias.example.com" }\n'
                         'service { name = "none" port = 82 address = "nosuch.example.com" }\n'}

    def test_are_followed(self):
        agent, server = self.start(definitions=self.services)
        server.add("alias.example.com", "A",
                   wire.record("alias.example.com", "CNAME", 60, wire.name(WWW)), a(WWW, 1))
        for _ in range(2):
            reply = agent.dig("ext.service.consul")
            self.assertEqual([(each.type, each.rdata) for each in reply.answer],
                             [("CNAME", WWW + "."), ("A", "192.0.2.1")], reply)
            self.assertIn("aa", reply.flags)
        self.assertEqual(server.asked(WWW), 1)
        self.assertEqual(agent.dig("alias.service.consul").types("answer"), ["CNAME", "CNAME", "A"])

    def test_srv_has_the_address_as_additional(self):
        agent, _ = self.start(definitions=self.services)
        reply = agent.dig("ext.service.consul", "SRV")
        self.assertEqual(reply.rdata(), [f"1 1 80 {WWW}."])
        self.assertEqual([(each.owner, each.rdata) for each in reply.additional
                          if each.type == "A"], [(WWW + ".", "192.0.2.1")], reply)

    def test_that_do_not_resolve_are_a_cname_alone(self):
        agent, server = self.start(definitions=self.services)
        self.assertEqual(agent.dig("none.service.consul").rdata(), ["nosuch.example.com."])
        server.rcode = wire.REFUSED
        self.assertEqual(agent.dig("alias.service.consul").rdata(), ["alias.example.com."])


class Loops(unittest.TestCase):
    def test_agent_that_would_ask_itself_does_not_start(self):
        port, = lib.free_ports(1)
        for address in f"127.0.0.1:{port}",:
            with self.subTest(address):
                run = subprocess.run(
                    [lib.PHAROS, "agent", "-dev", f"-dns-port={port}", f"-recursor={address}"],
                    capture_output=True, text=True, timeout=lib.READY_SECONDS, check=False)
                self.assertEqual(run.returncode, 1, run)
                self.assertIn(address, run.stderr)
                self.assertTrue(run.stderr.startswith("==> "), run.stderr)

    def test_two_agents_that_ask_each_other_end(self):
        first, second = lib.Agent(), lib.Agent()
        for one, other in (first, second), (second, first):
            one.write("conf.d/recursors.json",
                      {"recursors": [f"127.0.0.1:{other.dns_port}"]})
        with first, second:
            started = time.monotonic()
            self.assertEqual(first.dig(WWW, "A", seconds=8).status, "SERVFAIL")
            self.assertLess(time.monotonic() - started, 6)
            self.assertEqual(first.dig("agent-1.node.consul").rdata(), ["127.0.0.1"])


lib.main()
