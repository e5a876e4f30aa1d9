"""Names outside our zones: whom the agent asks, for whom, and what it keeps of the answers."""
import json
import pathlib
import signal
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW, CORP = "www.example.com", "db.corp.example"


def a(name, address, ttl=60):
    return wire.record(name, "A", ttl, socket.inet_aton(address))


class RecursionTest(unittest.TestCase):
    maxDiff = None

    def start_upstream(self, address="192.0.2.1"):
        server = self.enterContext(upstream.Upstream())
        server.add(WWW, "A", a(WWW, address))
        server.add(CORP, "A", a(CORP, address))
        return server

    def start_agent(self, *servers, zones=None, definitions=None, **config):
        return self.enterContext(lib.Agent(self.config(*servers, zones=zones, **config),
                                           definitions))

    @staticmethod
    def config(*servers, zones=None, **config):
        return {"recursors": [each.address for each in servers],
                "forward_zones": zones or {},
                "dns_config": {"threads": 1, "recursor_timeout": "300ms",
                               "recursor_deadline": "1s", **config}}

    def reload(self, agent, config, done):
        agent.write("config.json", {"node_name": "agent-1", "bind_addr": "127.0.0.1",
                                    "ports": agent.ports, **config})
        agent.process.send_signal(signal.SIGHUP)
        wire.until("the reload has taken effect", done)


class ForwardZones(RecursionTest):
    def test_names_below_go_to_their_servers_and_do_not_leak(self):
        recursor, corp = self.start_upstream("192.0.2.1"), self.start_upstream("10.0.0.7")
        agent = self.start_agent(recursor, zones={"corp.example": [corp.address],
                                                  "10.in-addr.arpa": [corp.address]})
        self.assertEqual(agent.dig(CORP).rdata(), ["10.0.0.7"])
        self.assertEqual(agent.dig(WWW).rdata(), ["192.0.2.1"])
        ptr = "7.0.0.10.in-addr.arpa"
        corp.add(ptr, "PTR", wire.record(ptr, "PTR", 60, wire.name(CORP)))
        self.assertEqual(agent.dig(ptr, "PTR").rdata(), [CORP + "."])
        corp.stop()
        self.assertEqual(agent.dig("new.corp.example", seconds=5).status, "SERVFAIL")
        self.assertEqual((recursor.asked(CORP), recursor.asked("new.corp.example"),
                          recursor.asked(ptr)), (0, 0, 0))

    def test_alone_they_are_all_that_is_forwarded(self):
        corp = self.start_upstream("10.0.0.7")
        agent = self.start_agent(zones={"corp.example": [corp.address]})
        reply = agent.dig(CORP)
        self.assertEqual((reply.rdata(), "ra" in reply.flags), (["10.0.0.7"], True), reply)
        self.assertEqual(agent.dig(WWW).status, "REFUSED")
        self.assertEqual(agent.dig("1.2.0.192.in-addr.arpa", "PTR").status, "NXDOMAIN")
        self.assertIn("ra", agent.dig("consul", "SOA").flags)

    def test_what_is_registered_here_is_answered_here(self):
        corp = self.start_upstream()
        agent = self.start_agent(
            zones={"10.in-addr.arpa": [corp.address]},
            definitions={"web.hcl": 'service { name = "web" port = 80 address = "10.0.0.9" }'})
        self.assertEqual(agent.dig("9.0.0.10.in-addr.arpa", "PTR").rdata(),
                         ["web.service.dc1.consul."])
        self.assertEqual(corp.asked(), 0)

    def test_a_reload_adds_and_removes_them(self):
        corp = self.start_upstream("10.0.0.7")
        agent = self.start_agent()
        self.assertEqual(agent.dig(CORP).status, "REFUSED")
        self.reload(agent, self.config(zones={"corp.example": [corp.address]}),
                    lambda: agent.dig(CORP).rdata() == ["10.0.0.7"])
        self.reload(agent, self.config(), lambda: agent.dig(CORP).status == "REFUSED")


class AllowRecursion(RecursionTest):
    services = {"s.hcl": f'service {{ name = "ext" port = 80 address = "{WWW}" }}'}

    def test_others_are_refused_but_for_our_own_names(self):
        server = self.start_upstream()
        agent = self.start_agent(server, definitions=self.services,
                                 allow_recursion=["127.0.0.2", "192.0.2.0/24"])
        refused = agent.dig(WWW)
        self.assertEqual((refused.status, "ra" in refused.flags, "aa" in refused.flags),
                         ("REFUSED", False, False), refused)
        self.assertIn("EDE: 18", refused.text)
        self.assertEqual(agent.dig(WWW, "A", "+tcp").status, "REFUSED")
        self.assertEqual(server.asked(), 0)
        self.assertEqual(agent.dig(WWW, "A", "-b", "127.0.0.2").rdata(), ["192.0.2.1"])
        self.assertEqual(agent.dig("agent-1.node.consul").status, "NOERROR")
        self.assertEqual(agent.dig("ext.service.consul").types("answer"), ["CNAME", "A"])

    def test_a_reload_changes_who_may(self):
        server = self.start_upstream()
        agent = self.start_agent(server)
        self.assertEqual(agent.dig(WWW).status, "NOERROR")
        self.reload(agent, self.config(server, allow_recursion=[]),
                    lambda: agent.dig(WWW).status == "REFUSED")


class Rebinding(RecursionTest):
    def test_private_addresses_of_outside_names_are_withheld(self):
        server = self.start_upstream("10.0.0.1")
        agent = self.start_agent(
            server, zones={"corp.example": [server.address]}, rebind_protection=True,
            rebind_allow=["lab.example.com"],
            definitions={"s.hcl": f'service {{ name = "ext" port = 80 address = "{WWW}" }}'})
        for _ in range(2):
            reply = agent.dig(WWW)
            self.assertEqual((reply.status, reply.answer, reply.authority),
                             ("NOERROR", [], []), reply)
            self.assertIn("EDE: 15", reply.text)
        self.assertEqual(agent.dig(CORP).rdata(), ["10.0.0.1"])
        server.add("a.lab.example.com", "A", a("a.lab.example.com", "10.0.0.2"))
        self.assertEqual(agent.dig("a.lab.example.com").rdata(), ["10.0.0.2"])
        server.add("pub.example.com", "A", a("pub.example.com", "198.51.100.1"))
        self.assertEqual(agent.dig("pub.example.com").rdata(), ["198.51.100.1"])
        # The operator has chosen where a service is.
        self.assertEqual(agent.dig("ext.service.consul").types("answer"), ["CNAME", "A"])

    def test_is_off_unless_asked_for(self):
        agent = self.start_agent(self.start_upstream("10.0.0.1"))
        self.assertEqual(agent.dig(WWW).rdata(), ["10.0.0.1"])


class Cache(RecursionTest):
    def api(self, agent, method="GET", query=""):
        request = urllib.request.Request(
            f"http://127.0.0.1:{agent.ports['http']}/v1/dns/cache{query}", method=method)
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.load(reply)

    def pharos(self, agent, *arguments):
        return subprocess.run(
            [lib.PHAROS, "cache", arguments[0], f"-http-addr=127.0.0.1:{agent.ports['http']}",
             *arguments[1:]], capture_output=True, text=True, timeout=10, check=False)

    def test_figures(self):
        server = self.start_upstream()
        agent = self.start_agent(server)
        agent.dig(WWW)
        agent.dig(WWW)
        stats = self.api(agent)
        self.assertEqual((stats["Entries"], stats["Hits"], stats["Misses"]), (1, 1, 1), stats)
        self.assertTrue(0 < stats["Bytes"] < stats["BytesMax"], stats)
        self.assertEqual([(each["Address"], each["State"], each["Queries"], each["Replies"])
                          for each in stats["Upstreams"]], [(server.address, "up", 1, 1)])
        shown = self.pharos(agent, "stats")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertIn(f"{server.address}  up", shown.stdout)
        self.assertRegex(shown.stdout, r"Hits: +1 \(50\.0 %\)")

    def test_flush_of_a_name_and_of_all(self):
        server = self.start_upstream()
        agent = self.start_agent(server)
        for name in WWW, CORP, "none.example.com":
            agent.dig(name)
        flushed = self.pharos(agent, "flush", "Example.com")
        self.assertEqual((flushed.returncode, flushed.stdout), (0, "2 answers forgotten\n"),
                         flushed)
        for name in WWW, CORP:
            agent.dig(name)
        self.assertEqual((server.asked(WWW), server.asked(CORP)), (2, 1))
        self.assertEqual(self.api(agent, "DELETE"), {"Flushed": 2})
        agent.dig(CORP)
        self.assertEqual(server.asked(CORP), 2)

    def test_flush_says_what_is_wrong_with_a_name(self):
        agent = self.start_agent()
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.api(agent, "DELETE", "?name=a..b")
        self.assertEqual(caught.exception.code, 400)
        self.assertIn("a..b", caught.exception.read().decode())
        self.assertEqual(self.pharos(agent, "flush", "a..b").returncode, 1)

    def test_its_bound_changes_on_reload(self):
        server = self.start_upstream()
        agent = self.start_agent(server)
        agent.dig(WWW)
        self.reload(agent, self.config(server, cache_octets=0),
                    lambda: self.api(agent)["Entries"] == 0)


class Circles(RecursionTest):
    def looping(self, agent):
        url = f"http://127.0.0.1:{agent.ports['http']}/v1/dns/cache"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return [each["State"] for each in json.load(reply)["Upstreams"]]

    def start_circle(self, count, *more):
        """Agents of which each asks the next, and the first `more` besides."""
        agents = [lib.Agent() for _ in range(count)]
        for one, other in zip(agents, agents[1:] + agents[:1]):
            extra = [each.address for each in more] if one is agents[0] else []
            one.write("conf.d/recursors.json", {
                "recursors": [f"127.0.0.1:{other.dns_port}", *extra],
                "dns_config": {"threads": 1}})
        for agent in agents:
            self.enterContext(agent)
        return agents

    def test_is_found_out_and_broken(self):
        for count in 2, 3:
            with self.subTest(agents=count):
                agents = self.start_circle(count)
                self.assertEqual(agents[0].dig(WWW, seconds=6).status, "SERVFAIL")
                wire.until("the circle is found out",
                           lambda: any("looping" in self.looping(each) for each in agents))
                looping = next(each for each in agents if "looping" in self.looping(each))
                self.assertEqual(looping.dig("other.example.com").status, "SERVFAIL")
                self.assertIn("passes our questions back to us", looping.log(500))

    def test_another_recursor_answers_in_spite_of_it(self):
        server = self.start_upstream()
        agents = self.start_circle(2, server)
        self.assertEqual(agents[0].dig(WWW, seconds=6).rdata(), ["192.0.2.1"])
        self.assertEqual(agents[0].dig("agent-1.node.consul").status, "NOERROR")


lib.main()
