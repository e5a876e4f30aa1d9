"""What the agent counts, as Prometheus, Consul's clients and the operator read it."""
import json
import pathlib
import re
import signal
import socket
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers
import wire

DOCUMENT = lib.ROOT / "docs" / "metrics.md"
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def parse(text):
    """Text format 0.0.4: {family: (type, {(sample name, labels): value})}; fails for what is none."""
    families, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, f"{name} has two types"
            types[name] = kind
            families[name] = (kind, {})
            continue
        found = SAMPLE.fullmatch(line)
        assert found, f"no sample: {line!r}"
        name, labels, value = found.groups()
        family = name if name in types else re.sub("_(bucket|sum|count)$", "", name)
        assert family in types, f"{name} has no type"
        sample = (name, labels or "")
        assert sample not in families[family][1], f"{sample} is given twice"
        families[family][1][sample] = float(value)
    return families


METRICS = "/v1/agent/metrics?format=prometheus"


def answers(client):
    try:
        return client.ask("GET", METRICS)[0] == 200
    except OSError:
        return False


class Metrics(lib.AgentTest):
    # Nobody listens there, and nobody is asked; its metrics are there all the same.
    config = {"forward_zones": {"corp.example": ["127.0.0.1:1"]}}
    definitions = {"web.json": {"service": {
        "name": "web", "id": "web-1", "address": "10.0.0.1", "port": 80, "tags": ["v1"],
        "check": {"ttl": "1h", "status": "passing"}}}}

    def get(self, path):
        url = f"http://127.0.0.1:{self.agent.ports['http']}{path}"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.read().decode()

    def read(self):
        return parse(self.get("/v1/agent/metrics?format=prometheus"))

    def value(self, family, sample=None, labels=""):
        return self.read()[family][1].get((sample or family, labels), 0)

    def test_document_has_every_metric_and_no_other(self):
        rows = re.findall(r"^\| `([a-zA-Z_]+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
        self.assertEqual(sorted(rows), sorted({
            (name, kind) for shown in (self.read(), self.read_client())
            for name, (kind, _) in shown.items()}))

    @staticmethod
    def read_client():
        """The metrics of an agent in client mode, which knows of no server."""
        ports = dict(zip(("dns", "http", "server"), lib.free_ports(3)))
        with tempfile.TemporaryDirectory(prefix="pharos-metrics-") as folder:
            client = servers.Server(folder, 0, ports, [], 0, {"server": False}).start()
            try:
                wire.until("the API", lambda: answers(client))
                return parse(client.ask("GET", METRICS)[2].decode())
            finally:
                client.kill()

    def test_questions_are_counted(self):
        family, srv = "pharos_dns_questions_total", 'type="SRV"'
        before = self.value(family, labels=srv)
        nxdomain = self.value("pharos_dns_replies_total", labels='rcode="NXDOMAIN"')
        for _ in range(3):
            self.dig("nosuch.service.consul", "SRV")
        self.assertEqual(self.value(family, labels=srv), before + 3)
        self.assertEqual(self.value("pharos_dns_replies_total", labels='rcode="NXDOMAIN"'),
                         nxdomain + 3)

    def test_requests_are_counted(self):
        labels = 'endpoint="health",status="2xx"'
        before = self.value("pharos_http_responses_total", labels=labels)
        self.get("/v1/health/service/web")
        self.assertEqual(self.value("pharos_http_responses_total", labels=labels), before + 1)

    def test_catalog_and_checks_are_counted(self):
        self.assertEqual(self.value("pharos_catalog_instances", labels='status="passing"'), 2)
        self.assertEqual(self.value("pharos_checks", labels='type="ttl",status="passing"'), 1)
        self.assertEqual(self.value("pharos_agent_services"), 1)

    def test_histograms_add_up(self):
        for name, (kind, samples) in self.read().items():
            if kind != "histogram":
                continue
            for (sample, labels), count in samples.items():
                if sample == f"{name}_count":
                    prefix = labels + "," if labels else ""
                    self.assertEqual(samples[f"{name}_bucket", f'{prefix}le="+Inf"'], count)

    def test_json_has_consuls_shape(self):
        found = json.loads(self.get("/v1/agent/metrics"))
        self.assertEqual(sorted(found), ["Counters", "Gauges", "Points", "Samples", "Timestamp"])
        gauges = {gauge["Name"]: gauge for gauge in found["Gauges"]}
        self.assertGreater(gauges["pharos.catalog.index"]["Value"], 1)
        self.assertEqual(gauges["consul.autopilot.healthy"]["Value"], 1)

    def test_services_are_counted_by_consuls_names(self):
        for path in ("health/service/web?tag=v1", "health/service/web", "health/service/nosuch",
                     "catalog/service/web"):
            self.get(f"/v1/{path}")
        for name, labels in (("health_service_query", 'service="web"'),
                             ("health_service_query_tag", 'service="web",tag="v1"'),
                             ("health_service_not_found", 'service="nosuch"'),
                             ("catalog_service_query", 'service="web"')):
            self.assertGreaterEqual(self.value(f"consul_{name}", labels=labels), 1, name)
        self.assertEqual(self.value("consul_health_service_not_found", labels='service="web"'), 0)

    def test_questions_are_counted_by_consuls_names(self):
        node = 'node="agent-1"'
        before = {name: self.value(name, f"{name}_count", node)
                  for name in ("consul_dns_domain_query", "consul_dns_ptr_query")}
        reads = self.value("consul_rpc_query")
        for _ in range(3):
            self.dig("web.service.consul")
        self.dig("1.0.0.10.in-addr.arpa", "PTR")
        after = {name: self.value(name, f"{name}_count", node) for name in before}
        self.assertEqual([after[name] - before[name] for name in before], [3, 1])
        self.assertEqual(self.value("consul_rpc_query"), reads + 3)

    def test_intervals_are_streamed(self):
        url = f"http://127.0.0.1:{self.agent.ports['http']}/v1/agent/metrics/stream"
        with urllib.request.urlopen(url, timeout=15) as stream:
            first = json.loads(stream.readline())
            self.get("/v1/health/service/web")
            self.get("/v1/catalog/nodes")
            second = json.loads(stream.readline())
        self.assertNotEqual(first["Timestamp"], second["Timestamp"])
        samples = {(each["Name"], *each["Labels"].values()): each for each in second["Samples"]}
        health = samples["pharos.http.request.seconds", "health"]
        self.assertGreaterEqual(health["Count"], 1)
        self.assertLessEqual(0 < health["Min"] and health["Min"], health["Mean"])
        self.assertLessEqual(health["Mean"], health["Max"])
        self.assertAlmostEqual(health["Sum"], health["Mean"] * health["Count"])

    def test_targets_for_prometheus(self):
        web, = json.loads(self.get("/v1/prometheus/sd?service=web"))
        self.assertEqual(web["targets"], ["10.0.0.1:80"])
        self.assertEqual(web["labels"]["__meta_consul_tags"], ",v1,")
        self.assertEqual(web["labels"]["__meta_consul_health"], "passing")
        self.assertEqual(json.loads(self.get("/v1/prometheus/sd?tag=none")), [])

    def test_are_logged_on_sigusr1(self):
        self.dig("nosuch.service.consul")
        self.agent.process.send_signal(signal.SIGUSR1)
        wire.until("metrics in the log", lambda: re.search(
            r'agent\.metrics: pharos_dns_replies_total\{rcode="NXDOMAIN"\} [1-9]',
            self.agent.log(5000)))


class Telemetry(lib.AgentTest):
    config = {"telemetry": {"metrics_prefix": "mesh", "disable_hostname": False,
                            "prefix_filter": ["-mesh.rpc", "+mesh.rpc.queries", "-pharos"]}}

    def names(self):
        url = f"http://127.0.0.1:{self.agent.ports['http']}/v1/agent/metrics?format=prometheus"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return set(parse(reply.read().decode()))

    def test_is_configured(self):
        names = self.names()
        host = re.sub(r"[.\-]", "_", socket.gethostname())
        self.assertLessEqual({"mesh_dns_domain_query", f"mesh_{host}_autopilot_healthy"}, names)
        self.assertFalse({name for name in names if name.startswith(("pharos", "consul"))})
        self.assertNotIn("mesh_rpc_query", names)

    def test_prefix_filter_is_reloaded(self):
        config = json.loads((self.agent.folder / "config.json").read_text())
        config["telemetry"]["prefix_filter"] = ["-mesh"]
        self.agent.write("config.json", config)
        self.agent.process.send_signal(signal.SIGHUP)
        wire.until("what is asked for is shown",
                   lambda: "pharos_catalog_nodes" in self.names())
        self.assertFalse({name for name in self.names() if name.startswith("mesh")})


if __name__ == "__main__":
    lib.main()
