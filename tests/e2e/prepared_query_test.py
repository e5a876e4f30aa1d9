"""Prepared queries, the mesh and its gateways: written over HTTP, asked over HTTP and DNS."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire

SERVICES = [
    {"Node": "n%d" % i, "Address": "10.0.0.%d" % i, "NodeMeta": {"slot": str(i)},
     "Service": {"Service": "web", "Port": 8000 + i, "Tags": ["odd" if i % 2 else "even"]}}
    for i in range(1, 6)
] + [
    {"Node": "n1", "Address": "10.0.0.1", "NodeMeta": {"slot": "1"},
     "Service": {"Service": "web-proxy", "ID": "web-proxy", "Port": 21000, "Kind": "connect-proxy",
                 "Proxy": {"DestinationServiceName": "web"}}},
    {"Node": "n2", "Address": "10.0.0.2", "NodeMeta": {"slot": "2"},
     "Service": {"Service": "native", "Port": 21001, "Connect": {"Native": True}}},
    {"Node": "n3", "Address": "10.0.0.3", "NodeMeta": {"slot": "3"},
     "Service": {"Service": "gate", "Port": 8443, "Kind": "ingress-gateway"}},
]

# What is created, and then given back with everything it did not say.
MADE = {"Name": "test", "Service": {"Service": "web", "NodeMeta": {"slot": "1"},
                                    "ServiceMeta": {"v": "2"}}, "DNS": {"TTL": "10s"}}
GIVEN_BACK = {
    "Name": "test", "Session": "", "Token": "",
    "Template": {"Type": "", "Regexp": "", "RemoveEmptyTags": False},
    "Service": {"Service": "web", "Failover": {"NearestN": 0, "Datacenters": None},
                "OnlyPassing": False, "IgnoreCheckIDs": None, "Near": "", "Tags": None,
                "NodeMeta": {"slot": "1"}, "ServiceMeta": {"v": "2"}, "Connect": False},
    "DNS": {"TTL": "10s"}}


class PreparedQueryTest(lib.AgentTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.http = http_client.Client(cls.agent.ports["http"])
        for service in SERVICES:
            assert cls.http.put("catalog/register", service).status == 200

    def create(self, definition):
        reply = self.http.ask("POST", "query", definition)
        self.assertEqual(reply.status, 200, reply)
        self.addCleanup(self.http.ask, "DELETE", "query/" + reply.json["ID"])
        return reply.json["ID"]

    def test_create_read_update_delete(self):
        id = self.create(MADE)
        listed = self.http.get("query")
        self.assertGreater(listed.index, 1)
        for found in (listed.json, self.http.get("query/" + id).json):
            self.assertEqual(len(found), 1)
            self.assertEqual(found[0].pop("ID"), id)
            self.assertEqual(found[0].pop("CreateIndex"), found[0].pop("ModifyIndex"))
            self.assertEqual(found[0], GIVEN_BACK)
        changed = self.http.put("query/" + id, {"Name": "other", "Service": {"Service": "native"}})
        self.assertEqual((changed.status, changed.text), (200, ""))
        self.assertEqual(self.dig("other.query.consul").rdata(), ["10.0.0.2"])
        self.assertEqual(self.dig("test.query.consul").status, "NXDOMAIN")
        gone = self.http.ask("DELETE", "query/" + id)
        self.assertEqual((gone.status, gone.text), (200, ""))
        self.assertEqual(self.dig("other.query.consul").status, "NXDOMAIN")
        self.assertEqual(self.http.get("query").json, [])

    def test_a_list_that_is_waited_for(self):
        index = self.http.get("query").index
        self.create({"Name": "waited", "Service": {"Service": "web"}})
        self.assertGreater(self.http.get("query?index=%d&wait=10s" % index).index, index)

    def test_refusals(self):
        unknown = "0a1b2c3d-0000-0000-0000-000000000000"
        self.create({"Name": "taken", "Service": {"Service": "web"}})
        rows = [
            ("POST", "query", {"Name": "x"}, 500,
             "Invalid prepared query: Must provide a Service name to query"),
            ("POST", "query", {"Name": "TAKEN", "Service": {"Service": "web"}}, 500,
             "name 'TAKEN' aliases an existing query name"),
            ("POST", "query", {"ID": unknown, "Service": {"Service": "web"}}, 500,
             "ID must be empty when creating a new prepared query"),
            ("POST", "query", {"Service": {"Service": "web", "Failover": {"Targets": [{"Peer": "x"}]}}},
             500, "Invalid prepared query: a failover target is a Peer or a Partition; expected a "
             "Datacenter"),
            ("POST", "query", {"Service": {"Service": "web", "Failover": {"NearestN": -1}}}, 500,
             "Invalid prepared query: Bad NearestN '-1', must be >= 0"),
            ("POST", "query", {"Service": {"Service": "web"}, "DNS": {"TTL": "5x"}}, 500,
             "Invalid prepared query: Bad DNS TTL '5x': time: unknown unit \"x\" in duration \"5x\""),
            ("POST", "query", {"Service": {"Service": "web"}, "Bogus": 1}, 400,
             'Request decode failed: json: unknown field "Bogus"'),
            ("POST", "query", {"Template": {"Type": "name_prefix_match", "Regexp": "("},
                               "Service": {"Service": "web"}}, 500,
             "Invalid prepared query: Template.Regexp is \"(\"; expected a regular expression: "
             "missing ): ("),
            ("PUT", "query/" + unknown, {"Service": {"Service": "web"}}, 500,
             "Cannot modify non-existent prepared query: '%s'" % unknown),
            ("DELETE", "query/" + unknown, None, 500,
             "Cannot modify non-existent prepared query: '%s'" % unknown),
            ("GET", "query/" + unknown, None, 404, "Query not found"),
            ("GET", "query/nope/execute", None, 404, "Query not found"),
            ("GET", "query/nope/explain", None, 404, "Query not found"),
            ("GET", "query/taken/execute?limit=x", None, 400, "Bad limit"),
            ("DELETE", "query", None, 405, "method DELETE not allowed"),
        ]
        for method, path, body, status, text in rows:
            with self.subTest(method=method, path=path, body=body):
                reply = self.http.ask(method, path, body)
                self.assertEqual((reply.status, reply.text), (status, text))

    def test_execute(self):
        id = self.create({"Name": "run", "DNS": {"TTL": "7s"},
                          "Service": {"Service": "web", "Tags": ["odd", "!even"]}})
        reply = self.http.get("query/run/execute")
        found = reply.json
        self.assertEqual({node["Node"]["Node"] for node in found["Nodes"]}, {"n1", "n3", "n5"})
        self.assertEqual(found["Nodes"][0]["Service"]["Service"], "web")
        self.assertEqual((found["Service"], found["Datacenter"], found["Failovers"], found["DNS"]),
                         ("web", "dc1", 0, {"TTL": "7s"}))
        self.assertTrue(found["KnownLeader"])
        self.assertEqual(len(self.http.get("query/%s/execute?limit=2" % id).json["Nodes"]), 2)
        near = [self.http.get("query/RUN/execute?near=n5").json["Nodes"][0]["Node"]["Node"]
                for _ in range(10)]
        self.assertEqual(near, ["n5"] * 10)
        mesh = self.http.get("query/run/execute?connect=true").json
        self.assertEqual(mesh["Nodes"], [])

    def test_templates(self):
        self.create({"Name": "geo-",
                     "Template": {"Type": "name_prefix_match", "Regexp": "^geo-([^-]+)-?(.*)$",
                                  "RemoveEmptyTags": True},
                     "Service": {"Service": "${match(1)}", "Tags": ["${match(2)}"]}})
        explained = self.http.get("query/geo-web-even/explain").json["Query"]
        self.assertEqual((explained["Service"]["Service"], explained["Service"]["Tags"]),
                         ("web", ["even"]))
        self.assertEqual(sorted(self.dig("geo-web-even.query.consul").rdata()),
                         ["10.0.0.2", "10.0.0.4"])
        self.assertEqual(len(self.dig("geo-web.query.consul", "A", "+bufsize=1232").rdata()), 5)
        self.assertEqual(self.dig("geo-nosuch.query.consul").status, "NXDOMAIN")
        self.assertEqual(self.dig("elsewhere.query.consul").status, "NXDOMAIN")

    def test_srv_form(self):
        self.create({"Name": "rfc", "Service": {"Service": "native"}, "DNS": {"TTL": "3s"}})
        reply = self.dig("_rfc._tcp.query.consul", "SRV")
        self.assertEqual(reply.rdata(), ["1 1 21001 n2.node.dc1.consul."])
        self.assertIn("\t3\t", str(reply).replace(" ", "\t"))

    def test_health_decides(self):
        self.create({"Name": "sick", "Service": {"Service": "native"}})
        check = {"Node": "n2", "SkipNodeUpdate": True,
                 "Check": {"CheckID": "c", "Name": "c", "Status": "critical", "ServiceID": "native"}}
        self.http.put("catalog/register", check)
        self.addCleanup(self.http.put, "catalog/deregister", {"Node": "n2", "CheckID": "c"})
        self.assertEqual(self.dig("sick.query.consul").status, "NXDOMAIN")
        self.assertEqual(self.http.get("query/sick/execute").json["Nodes"], [])

    def test_mesh_and_gateways(self):
        self.assertEqual(self.dig("web.connect.consul", "SRV").rdata(),
                         ["1 1 21000 n1.node.dc1.consul."])
        self.assertEqual(self.dig("native.connect.consul").rdata(), ["10.0.0.2"])
        self.assertEqual(self.dig("gate.connect.consul").status, "NXDOMAIN")
        found = self.http.get("health/connect/web").json
        self.assertEqual([entry["Service"]["Proxy"]["DestinationServiceName"] for entry in found],
                         ["web"])
        entry = {"Kind": "ingress-gateway", "Name": "gate",
                 "Listeners": [{"Port": 8443, "Protocol": "tcp", "Services": [{"Name": "web"}]}]}
        self.assertEqual(self.dig("web.ingress.consul").status, "NXDOMAIN")
        self.assertEqual(self.http.put("config", entry).text, "true")
        self.assertEqual(self.dig("web.ingress.consul", "SRV").rdata(),
                         ["1 1 8443 n3.node.dc1.consul."])
        self.assertEqual(len(self.http.get("health/ingress/web").json), 1)
        self.assertEqual(self.http.get("config/ingress-gateway/gate").json["Name"], "gate")
        self.assertEqual(len(self.http.get("config/ingress-gateway").json), 1)
        self.assertEqual(self.http.ask("DELETE", "config/ingress-gateway/gate").text, "{}")
        self.assertEqual(self.dig("web.ingress.consul").status, "NXDOMAIN")
        self.assertEqual(self.http.get("config/ingress-gateway/gate").status, 404)
        self.assertEqual(self.http.put("config", {"Kind": "proxy-defaults"}).status, 400)


class NearInAPool(unittest.TestCase):
    def test_dns_shows_the_nearest_first(self):
        port, = lib.free_ports(1)
        with lib.Agent({"ports": {"serf_lan": port}}) as agent:
            http = http_client.Client(agent.ports["http"])
            for i, seconds in ((1, 0.001), (2, 0.05), (3, 0.1)):
                self.assertEqual(http.put("catalog/register", {
                    "Node": f"n{i}", "Address": f"10.0.0.{i}",
                    "Service": {"Service": "web", "Port": 80}}).status, 200)
                self.assertEqual(http.put("coordinate/update", {
                    "Node": f"n{i}", "Coord": {"Vec": [seconds] + [0] * 7, "Error": 0.1,
                                               "Adjustment": 0, "Height": 1e-5}}).status, 200)
            for near, order in (("n1", "123"), ("n3", "321")):
                self.assertEqual(http.ask("POST", "query", {
                    "Name": f"by-{near}", "Service": {"Service": "web", "Near": near}}).status, 200)
                right = [f"10.0.0.{i}" for i in order]
                # Coordinates are published every few seconds.
                wire.until(f"by {near}", lambda near=near, right=right: wire.addresses(
                    agent.dns_port, f"by-{near}.query.consul") == right)


if __name__ == "__main__":
    lib.main()
