"""Two datacenters: names of one asked in the other, and what is left of them when one is cut off."""
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers
import wire


class Datacenters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.one = servers.Datacenter(1, 1, "dc1", {"dns_config": {"any_datacenter": True}})
        cls.addClassCleanup(cls.one.__exit__, None, None, None)
        cls.one.__enter__()
        cls.two = servers.Datacenter(1, 1, "dc2", join_wan=cls.one.wan)
        cls.addClassCleanup(cls.two.__exit__, None, None, None)
        cls.two.__enter__()
        cls.here = [cls.one.servers[0], cls.one.clients[0]]
        cls.there = cls.two.servers[0]
        for agent, own in ((cls.here[0], "dc1"), (cls.here[1], "dc1"), (cls.there, "dc2"),
                           (cls.two.clients[0], "dc2")):
            cls.one.wait(lambda agent=agent: len(agent.get("/v1/catalog/datacenters")) == 2,
                         f"{agent.name} knows both datacenters")
            assert agent.get("/v1/catalog/datacenters")[0] == own

    def register(self, service, address, node="far", **more):
        body = {"Node": node, "Address": address, **more,
                "Service": {"Service": service, "Port": 80, "Tags": ["v1"]}}
        status, _, said = self.there.ask("PUT", "/v1/catalog/register", body)
        self.assertEqual(status, 200, said)

    def wait_addresses(self, agent, name, right):
        self.one.wait(lambda: set(wire.addresses(agent.ports["dns"], name, seconds=3)) == right,
                      f"{name} is {right} at {agent.name}")

    def test_names_of_the_other_are_answered_and_kept_up_to_date(self):
        self.register("web", "10.2.0.1", NodeMeta={"rack": "7"})
        for agent in self.here:
            for name in ("web.service.dc2.consul", "WEB.service.DC2.consul",
                         "v1.web.service.dc2.consul", "web.service.dc2.dc.consul",
                         "far.node.dc2.consul"):
                self.assertEqual(agent.dig(name, seconds=4).rdata(type="A"), ["10.2.0.1"],
                                 (agent.name, name))
            srv = agent.dig("_web._v1.service.dc2.consul", "SRV")
            self.assertEqual(srv.rdata(), ["1 1 80 far.node.dc2.consul."])
            self.assertEqual(srv.rdata("additional", "A"), ["10.2.0.1"])
            self.assertEqual(agent.dig("far.node.dc2.consul", "TXT").rdata(), ['"rack=7"'])
            for name in ("web.service.dc3.consul", "nothing.service.dc2.consul",
                         "v2.web.service.dc2.consul", "web.service.consul"):
                self.assertEqual(agent.dig(name, seconds=4).status, "NXDOMAIN", (agent.name, name))
        waited = self.here[1].metric("pharos_dns_remote_total")
        for address in ("10.2.0.2", "10.2.0.3"):
            self.register("web", address)
            for agent in self.here:
                self.wait_addresses(agent, "web.service.dc2.consul", {address})
        self.assertEqual(self.here[1].metric("pharos_dns_remote_total"), waited,
                         "what is known is answered without waiting")
        # What goes away there goes away here.
        self.there.ask("PUT", "/v1/catalog/deregister", {"Node": "far"})
        for agent in self.here:
            self.wait_addresses(agent, "web.service.dc2.consul", set())

    def test_requests_say_which_datacenter_answers_them(self):
        self.register("api", "10.2.1.1", node="api-node")
        for agent in self.here:
            found = agent.get("/v1/health/service/api?dc=dc2")
            self.assertEqual([(each["Node"]["Node"], each["Node"]["Datacenter"])
                              for each in found], [("api-node", "dc2")])
            status, _, said = agent.ask("GET", "/v1/catalog/services?dc=dc9")
            self.assertEqual((status, said), (500, b"No path to datacenter"))
            nodes = agent.get("/v1/coordinate/nodes?dc=dc2")
            self.assertIn(self.there.name, [node["Node"] for node in nodes])
            status, _, said = agent.ask("PUT", f"/v1/event/fire/from-{agent.name}?dc=dc2", "x")
            self.assertEqual(status, 200, said)
            self.one.wait(lambda agent=agent: f"from-{agent.name}" in [
                event["Name"] for event in self.there.get("/v1/event/list")], "the event there")
            # Writes as well, and those who wait for a change are told.
            status, headers, _ = agent.ask("GET", "/v1/catalog/service/new?dc=dc2")
            self.assertEqual(status, 200)
            status, _, said = agent.ask("PUT", "/v1/catalog/register?dc=dc2", {
                "Node": "w", "Address": "10.2.9.9", "Service": {"Service": f"w-{agent.name}"}})
            self.assertEqual(status, 200, said)
            self.assertIn(f"w-{agent.name}", self.there.get("/v1/catalog/services"))
            status, _, said = agent.ask("PUT", "/v1/catalog/register", {
                "Node": "w", "Datacenter": "dc2", "Address": "10.2.9.9",
                "Service": {"Service": f"body-{agent.name}"}})
            self.assertEqual(status, 200, said)
            self.assertIn(f"body-{agent.name}", self.there.get("/v1/catalog/services"))
            # Who waits there for a change is told here, and who leaves is not waited for.
            index = int(headers["x-consul-index"])
            woken = []
            waiter = threading.Thread(target=lambda agent=agent, index=index: woken.append(agent.ask(
                "GET", f"/v1/catalog/service/new-{agent.name}?dc=dc2&index={index}&wait=20s",
                seconds=25)))
            waiter.start()
            self.register(f"new-{agent.name}", "10.2.1.7", node="api-node")
            waiter.join()
            self.assertIn(b"10.2.1.7", woken[0][2])
            self.assertNotIn(f"w-{agent.name}", agent.get("/v1/catalog/services"))
        # Of a client agent, what only servers do is answered by a server.
        raft = self.here[1].get("/v1/operator/raft/configuration")
        self.assertEqual([each["Node"] for each in raft["Servers"]], [self.here[0].name])

    def test_prepared_queries_fail_over(self):
        self.register("cache", "10.2.2.1", node="cache-node")
        status, _, said = self.here[0].ask("POST", "/v1/query", {
            "Name": "cache", "Service": {"Service": "cache",
                                         "Failover": {"Datacenters": ["dc9", "dc2"]}}})
        self.assertEqual(status, 200, said)
        for agent in self.here:
            for name in ("cache.query.consul", "cache.query.dc1.consul"):
                self.wait_addresses(agent, name, {"10.2.2.1"})
            srv = agent.dig("cache.query.consul", "SRV")
            self.assertEqual(srv.rdata(), ["1 1 80 cache-node.node.dc2.consul."])
            found = agent.get("/v1/query/cache/execute")
            self.assertEqual((found["Datacenter"], found["Failovers"]), ("dc2", 1))
            self.assertEqual([each["Node"]["Node"] for each in found["Nodes"]], ["cache-node"])
        # An instance here goes first.
        self.here[0].ask("PUT", "/v1/catalog/register", {
            "Node": "near", "Address": "10.1.2.1", "Service": {"Service": "cache"}})
        for agent in self.here:
            self.wait_addresses(agent, "cache.query.consul", {"10.1.2.1"})
        # A query of the other datacenter, asked here.
        status, _, said = self.there.ask("POST", "/v1/query", {
            "Name": "theirs", "Service": {"Service": "cache"}})
        self.assertEqual(status, 200, said)
        for agent in self.here:
            self.wait_addresses(agent, "theirs.query.dc2.consul", {"10.2.2.1"})
        # It fails over from there, and this datacenter is another one then.
        status, _, said = self.there.ask("POST", "/v1/query", {
            "Name": "back", "Service": {"Service": "homely", "Failover": {"Datacenters": ["dc1"]}}})
        self.assertEqual(status, 200, said)
        self.here[0].ask("PUT", "/v1/catalog/register", {
            "Node": "near", "Address": "10.1.2.1", "Service": {"Service": "homely"}})
        for agent in self.here + [self.there]:
            self.wait_addresses(agent, "back.query.dc2.consul", {"10.1.2.1"})

    def test_host_names_lead_to_the_other_and_back(self):
        self.here[0].ask("PUT", "/v1/catalog/register", {
            "Node": "pointer", "Address": "10.1.5.1", "Service": {
                "Service": "alias", "Address": "target.service.dc2.consul", "Port": 80}})
        self.register("target", "home.service.consul", node="pointer")
        self.here[0].ask("PUT", "/v1/catalog/register", {
            "Node": "home", "Address": "10.1.5.2", "Service": {"Service": "home", "Port": 80}})
        chain = ["home.service.consul.", "target.service.dc2.consul."]
        for agent in self.here:
            self.wait_addresses(agent, "alias.service.consul", {"10.1.5.2"})
            reply = agent.dig("alias.service.consul")
            self.assertEqual(sorted(reply.rdata(type="CNAME")), chain)
            self.assertEqual(agent.dig("alias.service.consul", "SRV").rdata("additional", "A"),
                             ["10.1.5.2"])

    def test_ingress_gateways_of_the_other(self):
        status, _, said = self.there.ask("PUT", "/v1/config", {
            "Kind": "ingress-gateway", "Name": "gate",
            "Listeners": [{"Port": 8443, "Protocol": "tcp", "Services": [{"Name": "inner"}]}]})
        self.assertEqual(status, 200, said)
        body = {"Node": "edge", "Address": "10.2.3.1",
                "Service": {"Service": "gate", "Port": 8443, "Kind": "ingress-gateway"}}
        self.assertEqual(self.there.ask("PUT", "/v1/catalog/register", body)[0], 200)
        for agent in self.here:
            self.wait_addresses(agent, "inner.ingress.dc2.consul", {"10.2.3.1"})
            srv = agent.dig("inner.ingress.dc2.consul", "SRV")
            self.assertEqual(srv.rdata(), ["1 1 8443 edge.node.dc2.consul."])
            self.assertEqual(agent.dig("none.ingress.dc2.consul").status, "NXDOMAIN")
        self.there.ask("DELETE", "/v1/config/ingress-gateway/gate")
        for agent in self.here:
            self.wait_addresses(agent, "inner.ingress.dc2.consul", set())

    def test_any_datacenter_is_the_nearest_that_has_instances(self):
        self.register("only-there", "10.2.4.1", node="any-node")
        self.register("everywhere", "10.2.4.2", node="any-node-2")
        self.here[0].ask("PUT", "/v1/catalog/register", {
            "Node": "any-near", "Address": "10.1.4.2", "Service": {"Service": "everywhere"}})
        for agent in self.here:
            self.wait_addresses(agent, "only-there.service.any.consul", {"10.2.4.1"})
            self.wait_addresses(agent, "everywhere.service.any.consul", {"10.1.4.2"})
            self.wait_addresses(agent, "nowhere.service.any.consul", set())
        # It says why, too.
        said = self.here[1].get("/v1/dns/explain?name=only-there.service.any.consul")
        self.assertIn("10.2.4.1", said["Reply"])
        self.assertIn('answered by the nearest that has any, "dc2"',
                      [step["Text"] for step in said["Steps"]])
        self.here[0].ask("PUT", "/v1/catalog/deregister", {"Node": "any-near"})
        for agent in self.here:
            self.wait_addresses(agent, "everywhere.service.any.consul", {"10.2.4.2"})

    def test_z_a_datacenter_that_is_cut_off_is_answered_from_what_is_known(self):
        self.register("kept", "10.2.3.1", node="kept-node")
        for agent in self.here:
            self.wait_addresses(agent, "kept.service.dc2.consul", {"10.2.3.1"})
        self.there.kill()
        for agent in self.here:
            self.one.wait(lambda agent=agent: "EDE: 3" in agent.dig(
                "kept.service.dc2.consul", seconds=4).text, "stale")
            reply = agent.dig("kept.service.dc2.consul")
            self.assertEqual(reply.rdata(), ["10.2.3.1"])
            reply = agent.dig("unknown.service.dc2.consul", seconds=5)
            self.assertEqual(reply.status, "SERVFAIL")
            self.assertIn("EDE: 22", reply.text)
            # The own one is not touched by that.
            self.assertNotIn("EDE", agent.dig(f"{self.here[0].name}.node.consul").text)
        self.there.start()
        self.two.wait_ready()
        self.register("kept", "10.2.3.2", node="kept-node")
        for agent in self.here:
            self.wait_addresses(agent, "kept.service.dc2.consul", {"10.2.3.2"})
            self.assertNotIn("EDE", agent.dig("kept.service.dc2.consul").text)
            self.wait_addresses(agent, "unknown.service.dc2.consul", set())


if __name__ == "__main__":
    lib.main()
