"""Client agents that keep only the parts of the catalog that they are asked for."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers
import wire

ON_DEMAND = {"catalog_replica": "on-demand", "prefetch_services": ["always"],
             "on_demand": {"max_topics": 8}}


def register(agent, service, address, check=None):
    body = {"Name": service, "ID": f"{service}-{address}", "Address": address, "Port": 80}
    if check:
        body["Check"] = check
    status, _, said = agent.ask("PUT", "/v1/agent/service/register", body)
    assert status == 200, (status, said)


def addresses(agent, name):
    return set(wire.addresses(agent.ports["dns"], name, seconds=3))


class OnDemand(unittest.TestCase):
    def test_what_is_asked_for_is_there_at_once_afterwards_and_follows_changes(self):
        with servers.Datacenter(client_config=ON_DEMAND) as dc:
            one, two = dc.clients
            register(one, "web", "10.1.1.1")
            register(two, "web", "10.1.1.2")
            right = {"10.1.1.1", "10.1.1.2"}
            dc.wait(lambda: all(addresses(agent, "web.service.consul") == right
                                for agent in dc.servers + dc.clients), "web everywhere")
            waited = one.metric("pharos_dns_remote_total")
            self.assertEqual(addresses(one, "web.service.consul"), right)
            self.assertEqual(one.metric("pharos_dns_remote_total"), waited,
                             "a second question waits for nobody")
            self.assertEqual(addresses(one, f"{two.name}.node.consul"), {"127.0.0.1"})
            self.assertEqual(lib.dig(one.ports["dns"], "none.service.consul").status, "NXDOMAIN")
            # Changes of others arrive, and nothing but what was asked for is there.
            register(two, "web", "10.1.1.3")
            right.add("10.1.1.3")
            dc.wait(lambda: addresses(one, "web.service.consul") == right, "a third instance")
            for i in range(20):
                self.assertEqual(two.register(f"other-{i}", 1), 200)
            self.assertLess(one.metric("pharos_catalog_services"), 4)
            # A prepared query, and the API by way of a server.
            status, _, said = one.ask("POST", "/v1/query", {
                "Name": "find-web", "Service": {"Service": "web"}})
            self.assertEqual(status, 200, said)
            dc.wait(lambda: addresses(one, "find-web.query.consul") == right, "the query")
            # Ingress gateways, that come and go.
            status, _, said = one.ask("PUT", "/v1/config", {
                "Kind": "ingress-gateway", "Name": "gate",
                "Listeners": [{"Port": 8443, "Services": [{"Name": "web"}]}]})
            self.assertEqual(status, 200, said)
            one.ask("PUT", "/v1/catalog/register", {
                "Node": "edge", "Address": "10.1.9.1",
                "Service": {"Service": "gate", "Port": 8443, "Kind": "ingress-gateway"}})
            dc.wait(lambda: addresses(one, "web.ingress.consul") == {"10.1.9.1"}, "the gateway")
            self.assertEqual(one.ask("DELETE", "/v1/config/ingress-gateway/gate")[0], 200)
            dc.wait(lambda: addresses(one, "web.ingress.consul") == set(), "it lets web in no more")
            self.assertIn("other-7", one.get("/v1/catalog/services"))
            self.assertEqual(one.port_of("other-7"), 1)
            # Beyond the bound, what was used longest ago goes.
            for i in range(20):
                self.assertEqual(addresses(one, f"other-{i}.service.consul"), {"10.0.0.1"})
            self.assertLessEqual(one.metric("pharos_parts"), 8)
            self.assertGreater(one.metric("pharos_parts_evicted_total"), 0)
            self.assertEqual(addresses(one, "web.service.consul"), right)
            self.assertEqual(one.ask("PUT", "/v1/agent/service/deregister/web-10.1.1.1")[0], 200)
            dc.wait(lambda: "10.1.1.1" not in addresses(two, "web.service.consul"), "one less")

    def test_without_servers_what_is_there_is_answered_as_stale_also_after_a_restart(self):
        with servers.Datacenter(server_count=1, client_config=ON_DEMAND) as dc:
            one, two = dc.clients
            register(one, "web", "10.1.1.1", check={"TTL": "1h", "Status": "passing"})
            register(two, "web", "10.1.1.2")
            register(two, "always", "10.1.1.9")
            both = {"10.1.1.1", "10.1.1.2"}
            dc.wait(lambda: addresses(one, "web.service.consul") == both, "web")
            dc.wait(lambda: one.metric("pharos_catalog_services") == 2, "what is prefetched")
            dc.servers[0].kill()
            dc.wait(lambda: "EDE: 3" in one.dig("web.service.consul").text, "a stale answer")
            self.assertEqual(addresses(one, "web.service.consul"), both)
            # Its own instance that fails is taken out all the same.
            self.assertEqual(
                one.ask("PUT", "/v1/agent/check/fail/service:web-10.1.1.1")[0], 200)
            dc.wait(lambda: addresses(one, "web.service.consul") == {"10.1.1.2"}, "its own failed")
            self.assertEqual(one.dig("unheard.service.consul", seconds=4).status, "SERVFAIL")
            one.stop()
            one.start()
            dc.wait(lambda: addresses(one, "always.service.consul") == {"10.1.1.9"},
                    "what was never asked for, but prefetched")
            self.assertIn("EDE: 3", one.dig("web.service.consul").text)
            dc.servers[0].start()
            dc.wait(lambda: dc.follows(one), "the server is followed again")
            dc.wait(lambda: "EDE" not in one.dig("web.service.consul").text, "a fresh answer")
            dc.wait(lambda: addresses(one, "unheard.service.consul") == set(), "and others")


if __name__ == "__main__":
    lib.main()
