"""The HTTP API as Consul's clients know it: statuses, texts, headers and shapes of JSON. What is
expected was answered by Consul 1.8.7; members that later versions added may be there as well."""
import concurrent.futures
import json
import pathlib
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib

ANY = object()

FOO = {"Name": "foo", "Tags": ["bar", "baz"], "Port": 8000,
       "Check": {"TTL": "1h", "Status": "passing"}}
ADDRESSED = {"Name": "addr", "ID": "a1", "Address": "10.0.0.1", "Port": 80, "Meta": {"v": "1"},
             "TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 99}},
             "Checks": [{"HTTP": "http://127.0.0.1:1/x", "Interval": "10s", "Notes": "n"},
                        {"TCP": "127.0.0.1:1", "Interval": "5s"}]}
EXTERNAL = {"Node": "ext", "Address": "1.1.1.1", "NodeMeta": {"rack": "r1"},
            "Service": {"Service": "ext", "Port": 5, "Tags": ["t"]},
            "Check": {"Name": "c", "Status": "passing", "ServiceID": "ext",
                      "Definition": {"HTTP": "http://x", "Interval": "10s"}}}

MESH = {"EnableTagOverride": False, "Proxy": {"MeshGateway": {}, "Expose": {}}, "Connect": {},
        "CreateIndex": ANY, "ModifyIndex": ANY}
EXT_NODE = {"ID": "", "Node": "ext", "Address": "1.1.1.1", "Datacenter": "dc1",
            "TaggedAddresses": None, "Meta": {"rack": "r1"}, "CreateIndex": ANY, "ModifyIndex": ANY}
EXT_SERVICE = {"ID": "ext", "Service": "ext", "Tags": ["t"], "Address": "", "Meta": None, "Port": 5,
               "Weights": {"Passing": 1, "Warning": 1}, **MESH}
EXT_CHECK = {"Node": "ext", "CheckID": "c", "Name": "c", "Status": "passing", "Notes": "",
             "Output": "", "ServiceID": "ext", "ServiceName": "ext", "ServiceTags": ["t"],
             "Type": "http", "Definition": {"HTTP": "http://x", "Interval": "10s"},
             "CreateIndex": ANY, "ModifyIndex": ANY}
ADDRESSES = {"lan_ipv4": {"Address": "10.0.0.1", "Port": 80},
             "wan": {"Address": "1.2.3.4", "Port": 99},
             "wan_ipv4": {"Address": "10.0.0.1", "Port": 80}}

READS = {
    "catalog/datacenters": ["dc1"],
    "catalog/services": {"addr": [], "consul": [], "ext": ["t"], "foo": ["bar", "baz"]},
    "catalog/services?node-meta=rack:r1": {"ext": ["t"]},
    "catalog/services?filter=ServicePort==5": {"ext": ["t"]},
    "catalog/services?ns=default&peer=": {"addr": [], "consul": [], "ext": ["t"],
                                          "foo": ["bar", "baz"]},
    "operator/usage": {"Usage": {"dc1": {
        "Nodes": 2, "Services": 4, "ServiceInstances": 4, "ConnectServiceInstances": {},
        "BillableServiceInstances": 3}}, "Index": ANY, "LastContact": 0, "KnownLeader": True},
    "catalog/nodes?filter=Node==ext": [EXT_NODE],
    "catalog/nodes?node-meta=rack:r2": [],
    "catalog/node/ext": {"Node": EXT_NODE, "Services": {"ext": EXT_SERVICE}},
    "catalog/node/nope": None,
    "catalog/node-services/ext": {"Node": EXT_NODE, "Services": [EXT_SERVICE]},
    "catalog/node-services/nope": {"Node": None, "Services": None},
    "catalog/service/nope": [],
    "catalog/service/ext?tag=other": [],
    "catalog/service/ext?tag=t": [{
        "ID": "", "Node": "ext", "Address": "1.1.1.1", "Datacenter": "dc1", "TaggedAddresses": None,
        "NodeMeta": {"rack": "r1"}, "ServiceKind": "", "ServiceID": "ext", "ServiceName": "ext",
        "ServiceTags": ["t"], "ServiceAddress": "", "ServiceWeights": {"Passing": 1, "Warning": 1},
        "ServiceMeta": {}, "ServicePort": 5, "ServiceEnableTagOverride": False,
        "ServiceProxy": {"MeshGateway": {}, "Expose": {}}, "ServiceConnect": {},
        "CreateIndex": ANY, "ModifyIndex": ANY}],
    "health/service/nope": [],
    "health/service/ext?passing": [
        {"Node": EXT_NODE, "Service": EXT_SERVICE, "Checks": [EXT_CHECK]}],
    "health/service/addr?passing": [],
    "health/service/ext?filter=Checks.Status==critical": [],
    "health/checks/ext": [EXT_CHECK],
    "health/checks/nope": [],
    "health/node/ext": [EXT_CHECK],
    "health/node/nope": [],
    "health/state/zz": [],
    "health/connect/foo": [],
    "agent/services?filter=Port==80": {"a1": {
        "ID": "a1", "Service": "addr", "Tags": [], "Meta": {"v": "1"}, "Port": 80,
        "Address": "10.0.0.1", "TaggedAddresses": ADDRESSES,
        "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": False}},
    "agent/service/foo": {
        "ID": "foo", "Service": "foo", "Tags": ["bar", "baz"], "Meta": {}, "Port": 8000,
        "Address": "", "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": False,
        "ContentHash": "6b13684bfe179e67"},
    "agent/checks?filter=ServiceID==foo": {"service:foo": {
        "Node": "agent-1", "CheckID": "service:foo", "Name": "Service 'foo' check",
        "Status": "passing", "Notes": "", "Output": "", "ServiceID": "foo", "ServiceName": "foo",
        "ServiceTags": ["bar", "baz"], "Type": "ttl", "Definition": {}, "CreateIndex": 0,
        "ModifyIndex": 0}},
}

# method, path, body: status, text (None: JSON or nothing of interest)
ANSWERS = [
    ("GET", "nope", None, 404, ""),
    ("POST", "agent/self", None, 405, "method POST not allowed"),
    ("DELETE", "catalog/nodes", None, 405, "method DELETE not allowed"),
    ("OPTIONS", "catalog/register", None, 200, ""),
    ("GET", "health/service/", None, 400, "Missing service name"),
    ("GET", "catalog/service/", None, 400, "Missing service name"),
    ("GET", "catalog/node/", None, 400, "Missing node name"),
    ("GET", "health/state/", None, 400, "Missing check state"),
    ("GET", "health/service/foo?index=x", None, 400, "Invalid index"),
    ("GET", "health/service/foo?wait=x", None, 400, "Invalid wait time"),
    ("GET", "health/service/foo?passing=zz", None, 400, "Invalid value for ?passing"),
    ("GET", "catalog/nodes?stale&consistent", None, 400,
     "Cannot specify ?stale with ?consistent, conflicting semantics."),
    ("GET", "catalog/nodes?dc=zz", None, 500, "No path to datacenter"),
    ("GET", "health/service/foo?filter=Bogus==1", None, 500,
     'Failed to create boolean expression evaluator: Selector "Bogus" is not valid'),
    ("GET", "agent/service/nope", None, 404, "unknown service ID: nope"),
    ("GET", "agent/monitor?loglevel=xx", None, 400, "Bad request: Unknown log level: xx"),
    ("GET", "acl/tokens", None, 401, "ACL support disabled"),
    ("PUT", "agent/service/register", "", 400, "Request decode failed: EOF"),
    ("PUT", "agent/service/register", {"Name": ""}, 400, "Missing service name"),
    ("PUT", "agent/service/register", {"Name": "a", "Check": {"Args": ["x"], "Interval": "5s"}}, 500,
     "Scripts are disabled on this agent from remote calls; to enable, configure "
     "'enable_script_checks' to true"),
    ("PUT", "agent/check/register", {"Name": "c", "TTL": "5s", "ServiceID": "zz"}, 500,
     'ServiceID "zz" does not exist'),
    ("PUT", "agent/check/pass/nope", None, 500, 'CheckID "nope" does not have associated TTL'),
    ("PUT", "agent/check/pass/service:a1:1", None, 500,
     'CheckID "service:a1:1" does not have associated TTL'),
    ("PUT", "agent/check/update/service:foo", {"Status": "zzz"}, 400, "Invalid check status: 'zzz'"),
    ("PUT", "agent/service/maintenance/foo", None, 400, "Missing value for enable"),
    ("PUT", "agent/service/maintenance/foo?enable=zz", None, 400,
     'Invalid value for enable: "zz"'),
    ("PUT", "agent/service/maintenance/nope?enable=true", None, 404,
     'No service registered with ID "nope"'),
    ("PUT", "agent/service/deregister/nope", None, 200, ""),
    ("PUT", "agent/check/deregister/nope", None, 200, ""),
    ("PUT", "agent/service/maintenance/?enable=true", None, 400, "Missing service ID"),
    ("PUT", "agent/token/default", {"Token": "t"}, 401, "ACL support disabled"),
    ("PUT", "agent/force-leave/agent-1", None, 200, ""),
    ("GET", "agent/services?ns=other", None, 400,
     'Invalid query parameter: "ns" is "other"; expected none, or "default"'),
    ("GET", "health/service/foo?peer=other", None, 400,
     'Invalid query parameter: "peer" is "other"; expected none, or "default"'),
    ("GET", "health/service/a%07b", None, 400, "Invalid path: it has control characters"),
    ("GET", "catalog/services?filter=Bogus==1", None, 500,
     'Failed to create boolean expression evaluator: Selector "Bogus" is not valid'),
    ("GET", "catalog/nodes?max_stale=x", None, 400, 'Invalid max_stale value "x"'),
    ("GET", "agent/members?filter=Bogus==1", None, 500,
     'Failed to create boolean expression evaluator: Selector "Bogus" is not valid'),
    ("GET", "coordinate/nodes?filter=Bogus==1", None, 500,
     'Failed to create boolean expression evaluator: Selector "Bogus" is not valid'),
    ("GET", "coordinate/nodes?stale&consistent", None, 400,
     "Cannot specify ?stale with ?consistent, conflicting semantics."),
    ("HEAD", "catalog/nodes", None, 405, ""),
    ("GET", "internal/ui/services", None, 404, ""),
    ("PUT", "agent/force-leave/x", None, 500, "agent: No node found with name 'x'"),
    ("PUT", "catalog/deregister", {}, 500, "Must provide node"),
    ("PUT", "catalog/register", {"Node": "x"}, 500,
     "Must provide address if SkipNodeUpdate is not set"),
]


def difference(found, wanted, path="$"):
    """Why `found` is not `wanted`, but for members that it has more; None if it is."""
    if wanted is ANY:
        return None
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key not in found:
                return f"{path}.{key} is missing"
            if (why := difference(found[key], value, f"{path}.{key}")):
                return why
        return None
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return next(filter(None, (difference(*pair, f"{path}[{i}]")
                                  for i, pair in enumerate(zip(found, wanted)))), None)
    return None if found == wanted else f"{path} is {found!r}, not {wanted!r}"


class Api(lib.AgentTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = http_client.Client(cls.agent.ports["http"])
        for path, body in (("agent/service/register", FOO), ("agent/service/register", ADDRESSED),
                           ("catalog/register", EXTERNAL)):
            assert cls.client.put(path, body).status == 200

    def test_reads(self):
        for path, wanted in READS.items():
            with self.subTest(path):
                reply = self.client.get(path)
                self.assertEqual(reply.status, 200, reply)
                self.assertEqual(reply.headers["content-type"], "application/json")
                self.assertEqual(reply.headers["vary"], "Accept-Encoding")
                self.assertIsNone(difference(reply.json, wanted))
                if isinstance(wanted, dict) and not path.startswith("agent/service/"):
                    # Maps have what is wanted and no more.
                    self.assertEqual(sorted(reply.json), sorted(wanted))

    def test_answers(self):
        for method, path, body, status, text in ANSWERS:
            with self.subTest(f"{method} {path} {body}"):
                reply = self.client.ask(method, path, body)
                self.assertEqual((reply.status, reply.text), (status, text))

    def test_headers_of_reads(self):
        reply = self.client.get("catalog/nodes")
        self.assertGreaterEqual(reply.index, 2)
        self.assertEqual(reply.headers["x-consul-knownleader"], "true")
        self.assertEqual(reply.headers["x-consul-lastcontact"], "0")
        self.assertEqual(reply.headers["x-consul-query-backend"], "blocking-query")
        self.assertEqual(reply.headers["x-consul-default-acl-policy"], "allow")
        self.assertNotIn("x-consul-translate-addresses", reply.headers)
        for query, mode in (("", "leader"), ("?stale", "stale"), ("?consistent", "consistent")):
            self.assertEqual(self.client.get("catalog/nodes" + query)
                             .headers["x-consul-effective-consistency"], mode)
        cached = [self.client.get("health/service/foo?cached&near=_agent").headers["x-cache"]
                  for _ in range(2)]
        self.assertEqual(cached, ["MISS", "HIT"])
        self.assertEqual(self.client.ask("OPTIONS", "catalog/nodes").headers["allow"],
                         "OPTIONS,GET")
        self.assertEqual(self.client.get("agent/service/foo").headers["x-consul-contenthash"],
                         "6b13684bfe179e67")

    def test_members_are_filtered(self):
        for expression, count in (("Name==%22agent-1%22", 1), ("Name==other", 0), ("Status==1", 1),
                                  ("Tags.role==consul", 1)):
            self.assertEqual(len(self.client.get(f"agent/members?filter={expression}").json), count)

    def test_checks_stay_unless_they_are_to_be_replaced(self):
        self.addCleanup(self.client.put, "agent/service/deregister/kept")
        def register(query, check):
            reply = self.client.put("agent/service/register" + query, {
                "Name": "kept", "Check": {"CheckID": check, "TTL": "10m"} if check else {}})
            self.assertEqual(reply.status, 200, reply)
            return sorted(self.client.get("agent/checks?filter=ServiceID==kept").json)
        self.assertEqual(register("", "one"), ["one"])
        self.assertEqual(register("?replace-existing-checks=false", "two"), ["one", "two"])
        self.assertEqual(register("", None), ["one", "two"])
        self.assertEqual(register("?replace-existing-checks", "three"), ["three"])
        self.assertEqual(register("?replace-existing-checks=true", "four"), ["four"])

    def blocked(self, path, change):
        """The answer to a request that waits for something; `change` is made meanwhile."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(http_client.Client(self.agent.ports["http"], timeout=30).get, path)
            time.sleep(0.2)
            change()
            return waiting.result()

    def test_a_node_is_waited_for_by_its_id(self):
        self.addCleanup(self.client.put, "agent/service/deregister/by-id")
        node = self.client.get("catalog/node/agent-1").json["Node"]["ID"]
        index = self.client.get("catalog/node/" + node).index
        began = time.monotonic()
        reply = self.blocked(f"catalog/node/{node}?index={index}&wait=20s", lambda: self.client.put(
            "agent/service/register", {"Name": "by-id"}))
        self.assertIn("by-id", reply.json["Services"])
        self.assertLess(time.monotonic() - began, 15)

    def test_a_service_that_is_registered_as_it_was_wakes_nobody(self):
        self.addCleanup(self.client.put, "agent/service/deregister/same")
        body = {"Name": "same", "Port": 1}
        self.client.put("agent/service/register", body)
        tag = self.client.get("agent/service/same").headers["x-consul-contenthash"]
        began = time.monotonic()
        reply = self.blocked(f"agent/service/same?hash={tag}&wait=1s", lambda: self.client.put(
            "agent/service/register", body))
        self.assertEqual(reply.headers["x-consul-contenthash"], tag)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        reply = self.blocked(f"agent/service/same?hash={tag}&wait=20s", lambda: self.client.put(
            "agent/service/register", {**body, "Port": 2}))
        self.assertEqual(reply.json["Port"], 2)

    def test_gzip_where_it_is_accepted(self):
        plain = self.client.get("health/state/any")
        zipped = self.client.get("health/state/any", **{"Accept-Encoding": "gzip"})
        self.assertEqual(zipped.headers["content-encoding"], "gzip")
        self.assertLess(len(zipped.body), len(plain.body))

    def test_health_of_local_services(self):
        for path, status, reason in (
                ("agent/health/service/id/foo", 200, "passing"),
                ("agent/health/service/id/a1", 503, "critical"),
                ("agent/health/service/name/addr", 503, "critical"),
                ("agent/health/service/id/nope", 404, "ServiceId nope not found"),
                ("agent/health/service/name/nope", 404, "ServiceName nope Not Found")):
            reply = self.client.get(path)
            self.assertEqual((reply.status, reply.headers["x-consul-reason"]), (status, reason))
        self.assertEqual(self.client.get("agent/health/service/id/foo?format=text").text, "passing")
        self.assertIsNone(difference(
            self.client.get("agent/health/service/id/nope").json,
            {"AggregatedStatus": "critical", "Service": None, "Checks": None}))

    def test_agent_self(self):
        found = self.client.get("agent/self").json
        self.assertIsNone(difference(found, {
            "Config": {"Datacenter": "dc1", "NodeName": "agent-1", "Server": True, "NodeID": ANY,
                       "Version": ANY, "Revision": ANY},
            "DebugConfig": {"DNSPort": self.agent.dns_port, "HTTPPort": self.agent.ports["http"]},
            "Coord": {"Vec": [0] * 8, "Error": ANY, "Adjustment": 0, "Height": ANY},
            "Member": {"Name": "agent-1", "Addr": "127.0.0.1", "Status": 1, "Tags": {"dc": "dc1"}},
            "Stats": {"consul": {"leader": "true"}},
            "Meta": {"consul-network-segment": ""}}))
        members = self.client.get("agent/members").json
        self.assertEqual([member["Name"] for member in members], ["agent-1"])

    def test_log_as_json(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.agent.ports['http']}/v1/agent/monitor"
                                    "?logjson&loglevel=info", timeout=10) as log:
            self.client.put("agent/service/register", {"Name": "logged"})
            line = json.loads(log.readline())
        self.client.put("agent/service/deregister/logged")
        self.assertEqual((line["@level"], line["@module"], line["@message"]),
                         ("info", "agent", "Synced service: service=logged"))
        self.assertRegex(line["@timestamp"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")

    def test_root_says_what_this_is(self):
        url = f"http://127.0.0.1:{self.agent.ports['http']}/"
        with urllib.request.urlopen(url, timeout=5) as reply:
            self.assertIn(b"Pharos agent", reply.read())


class Configured(lib.AgentTest):
    config = {"discovery_max_stale": "1h", "translate_wan_addrs": True,
              "disable_http_unprintable_char_filter": True,
              "http_config": {"use_cache": False}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = http_client.Client(cls.agent.ports["http"])

    def test_reads(self):
        headers = self.client.get("catalog/nodes?cached").headers
        self.assertEqual(headers["x-consul-effective-consistency"], "stale")
        self.assertEqual(headers["x-consul-translate-addresses"], "true")
        self.assertNotIn("x-cache", headers)
        self.assertEqual(self.client.get("catalog/nodes?consistent")
                         .headers["x-consul-effective-consistency"], "consistent")
        self.assertEqual(self.client.get("health/service/a%07b").status, 200)


if __name__ == "__main__":
    lib.main()
