"""What well-known clients ask one after the other, as they ask it, when the client itself is not at
hand: Prometheus' discovery for Consul, consul-template, Traefik, registrator and Spring Cloud."""
import pathlib
import re
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib


class Sequences(lib.AgentTest):
    config = {"node_meta": {"rack-id": "r1"}}

    def setUp(self):
        self.client = http_client.Client(self.agent.ports["http"])
        for i in (1, 2):
            self.put("agent/service/register", {
                "Name": "web", "ID": f"web-{i}", "Address": f"10.0.0.{i}", "Port": 80,
                "Tags": ["v1", "blue"], "Meta": {"a-b": "c"},
                "Check": {"TTL": "1h", "Status": "passing"}})
        self.put("agent/service/register", {"Name": "bare", "Port": 90})

    def put(self, path, body=None):
        reply = self.client.put(path, body)
        self.assertEqual(reply.status, 200, reply)
        return reply

    def read(self, path):
        """As Go's client does: the headers have to be there and to be numbers."""
        reply = self.client.get(path)
        self.assertEqual(reply.status, 200, reply)
        self.assertGreaterEqual(reply.index, 1)
        self.assertRegex(reply.headers["x-consul-lastcontact"], "^[0-9]+$")
        self.assertEqual(reply.headers["x-consul-knownleader"], "true")
        return reply

    def held(self, path, change):
        """The answer to a request that waits while `change` is made."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.read(path)))
        thread.start()
        change()
        thread.join(10)
        self.assertTrue(answers, f"{path} was not woken")
        return answers[0]

    def prometheus_targets(self):
        """{address: labels} as Prometheus' discovery makes them of its answers."""
        datacenter = self.client.get("agent/self").json["Config"]["Datacenter"]
        services = self.read("catalog/services?stale=&wait=120000ms&node-meta=rack-id:r1").json
        targets = {}
        for name in services:
            entries = self.read(f"health/service/{name}?stale=&wait=120000ms").json
            for entry in entries:
                node, service = entry["Node"], entry["Service"]
                address = f"{service['Address'] or node['Address']}:{service['Port']}"
                label = lambda name: re.sub("[^a-zA-Z0-9_]", "_", name)
                targets[address] = {"__meta_consul_" + name: value for name, value in {
                    "address": node["Address"], "dc": datacenter, "node": node["Node"],
                    "service": name, "service_address": service["Address"],
                    "service_id": service["ID"], "service_port": str(service["Port"]),
                    "tags": "," + ",".join(service["Tags"]) + ",",
                    "health": self.aggregated(entry["Checks"]),
                    **{f"metadata_{label(key)}": value for key, value in node["Meta"].items()},
                    **{f"service_metadata_{label(key)}": value
                       for key, value in (service["Meta"] or {}).items()},
                    **{f"tagged_address_{label(key)}": value
                       for key, value in (node["TaggedAddresses"] or {}).items()}}.items()}
        return targets

    @staticmethod
    def aggregated(checks):
        if any(check["CheckID"] == "_node_maintenance" or
               check["CheckID"].startswith("_service_maintenance:") for check in checks):
            return "maintenance"
        found = {check["Status"] for check in checks}
        return next((word for word in ("critical", "warning") if word in found), "passing")

    def test_prometheus(self):
        self.put("agent/check/warn/service:web-1")
        self.put("agent/service/maintenance/web-2?enable=true")
        found = self.prometheus_targets()
        self.assertEqual({found[f"10.0.0.{i}:80"]["__meta_consul_health"] for i in (1, 2)},
                         {"warning", "maintenance"})
        self.put("agent/service/maintenance/web-2?enable=false")
        found = self.prometheus_targets()
        # What we give Prometheus ourselves is the same.
        ours = {target["targets"][0]: target["labels"]
                for target in self.client.get("prometheus/sd").json}
        self.assertEqual(ours, found)

        index = self.read("catalog/services?stale=").index
        services = self.held(f"catalog/services?stale=&index={index}&wait=30000ms",
                             lambda: self.put("agent/service/register", {"Name": "new"})).json
        self.assertIn("new", services)

    def test_consul_template(self):
        for path in ("health/service/web?stale=&passing=1", "catalog/services?stale=",
                     "catalog/nodes?stale="):
            index = self.read(path).index
            again = self.held(f"{path}&index={index}&wait=60000ms", {
                "health": lambda: self.put("agent/check/fail/service:web-1"),
                "catalog/s": lambda: self.put("agent/service/deregister/bare"),
                "catalog/n": lambda: self.put("catalog/register",
                                              {"Node": "n2", "Address": "10.0.0.9"}),
            }[next(key for key in ("health", "catalog/s", "catalog/n") if path.startswith(key))])
            self.assertGreater(again.index, index, path)
            if path.startswith("health"):
                self.assertEqual([entry["Service"]["ID"] for entry in again.json], ["web-2"])

    def test_traefik(self):
        index = self.read("catalog/services").index
        services = self.held(f"catalog/services?index={index}&wait=60s", lambda: self.put(
            "agent/service/register", {"Name": "app", "Tags": ["traefik.enable=true"], "Port": 7}))
        self.assertEqual(services.json["app"], ["traefik.enable=true"])
        entry, = self.read("health/service/app?passing=1&tag=traefik.enable=true").json
        self.assertEqual((entry["Service"]["Port"], entry["Node"]["Address"]), (7, "127.0.0.1"))
        self.assertEqual(self.read("catalog/service/app").json[0]["ServiceTags"],
                         ["traefik.enable=true"])

    def test_registrator_and_spring_cloud(self):
        self.put("agent/service/register", {
            "ID": "shop-8080", "Name": "shop", "Tags": ["secure=false"], "Port": 8080,
            "Address": "10.1.1.1", "Meta": {"zone": "a"}, "EnableTagOverride": False,
            "Check": {"TTL": "30s", "DeregisterCriticalServiceAfter": "10m"}})
        self.assertEqual(self.read("health/service/shop?passing=true").json, [])
        self.put("agent/check/pass/service:shop-8080")
        entry, = self.read("health/service/shop?passing=true").json
        self.assertEqual(entry["Service"]["Meta"], {"zone": "a"})
        self.assertIn("shop-8080", self.client.get("agent/services").json)
        self.assertEqual(self.client.get("agent/checks").json["service:shop-8080"]["Status"],
                         "passing")
        self.assertEqual(self.client.get("agent/health/service/id/shop-8080").status, 200)
        self.put("agent/service/maintenance/shop-8080?enable=true&reason=going")
        self.put("agent/service/deregister/shop-8080")
        self.assertEqual(self.read("catalog/service/shop").json, [])
        self.assertNotIn("shop", self.read("catalog/services").json)


if __name__ == "__main__":
    lib.main()
