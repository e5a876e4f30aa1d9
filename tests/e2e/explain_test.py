"""`pharos explain` and /v1/dns/explain: what they say is what DNS then does."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib

SERVICES = [
    {"Node": "n%d" % i, "Address": "10.0.0.%d" % i,
     "Service": {"Service": "web", "Port": 80, "Tags": ["v1"] if i < 6 else ["v2"]},
     "Check": {"CheckID": "alive", "Name": "alive", "ServiceID": "web",
               "Status": "critical" if i == 1 else "passing",
               "Output": "connection refused" if i == 1 else "ok"}}
    for i in range(1, 8)
] + [
    {"Node": "n8", "Address": "10.0.0.8",
     "Service": {"Service": "hosted", "Port": 1, "Address": "www.example.net"}},
]


class ExplainTest(lib.AgentTest):
    config = {"dns_config": {"service_ttl": {"web": "5s"}}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.http = http_client.Client(cls.agent.ports["http"])
        for service in SERVICES:
            assert cls.http.put("catalog/register", service).status == 200
        query = {"Name": "best", "Service": {"Service": "web", "Tags": ["v2"]}}
        assert cls.http.ask("POST", "query", query).status == 200

    def steps(self, parameters):
        reply = self.http.get("dns/explain?" + parameters)
        self.assertEqual(reply.status, 200, reply)
        return ["%s: %s" % (step["Topic"], step["Text"]) for step in reply.json["Steps"]]

    def test_steps(self):
        rows = [
            ("name=web.service.consul&edns=0", [
                'name: web.service.consul. is a service: "web"',
                "instances: 7 of 7 instances are registered for it; 6 are healthy; taken are all but "
                "the critical ones",
                'instance: web on n1 (10.0.0.1 port 80), critical: left out, check "alive" is '
                "critical: connection refused",
                "instance: web on n2 (10.0.0.2 port 80), passing: taken",
                "order: in random order",
                "ttl: the answer's TTL is 5 s",
                "limit: 3 of 6 records are shown: over UDP without EDNS at most 3 "
                "(udp_answer_limit 3)",
                "reply: NOERROR with 3 answers; TC is not set for what was left out, as "
                "enable_truncate is off"]),
            ("name=web.service.consul&type=SRV&transport=tcp", ["limit: all 6 records are shown"]),
            ("name=v2.web.service.consul", [
                'name: v2.web.service.consul. is a service: "web", with the tag "v2"',
                'instance: web on n2 (10.0.0.2 port 80), passing: left out, it has not the tag "v2"',
                "reply: NOERROR with 2 answers"]),
            ("name=web.service.consul&type=AAAA", [
                "instance: web on n2 (10.0.0.2 port 80), passing: healthy, but has no address for "
                "this type",
                "reply: NODATA: the name exists, without records of this type; may be remembered "
                "for 0 s (soa.min_ttl)"]),
            ("name=nosuch.service.consul", [
                "instances: nothing is registered for it",
                "reply: NXDOMAIN: no such name; may be remembered for 0 s (soa.min_ttl)"]),
            ("name=web.service.dc9.consul", ['datacenter: not "dc1", which is this agent\'s; answered from what the '
                                              'servers there tell']),
            ("name=hosted.service.consul", [
                "chain: the address is the host name www.example.net., which is not ours, and there "
                "are no recursors to ask"]),
            ("name=www.example.com", ["name: www.example.com. is a name outside our zones"]),
        ]
        for parameters, expected in rows:
            with self.subTest(parameters):
                said = self.steps(parameters)
                for step in expected:
                    self.assertIn(step, said)

    def test_prepared_query(self):
        said = self.steps("name=best.query.consul")
        self.assertRegex(said[1], r'query: query "best" \(.{36}\) looks up service "web", tags v2')
        self.assertIn("instance: web on n6 (10.0.0.6 port 80), passing: taken", said)

    def test_outside_names(self):
        config = {"recursors": ["127.0.0.1:1"], "forward_zones": {"corp.example": ["127.0.0.1:2"]}}
        with lib.Agent(config) as agent:
            http = http_client.Client(agent.ports["http"])
            rows = [
                ("name=a.example.com", "the recursors are asked, unless the cache has the answer"),
                ("name=a.corp.example",
                 "the servers of its forward zone are asked, unless the cache has the answer"),
                ("name=a.example.com&client=203.0.113.7",
                 "REFUSED: 203.0.113.7 is on no network of dns_config.allow_recursion"),
            ]
            for parameters, text in rows:
                steps = http.get("dns/explain?" + parameters).json["Steps"]
                self.assertEqual(steps[-1], {"Topic": "reply", "Text": text}, parameters)

    def test_the_reply_is_that_of_dns(self):
        shown = self.http.get("dns/explain?name=n3.node.consul").json["Reply"]
        self.assertIn("n3.node.consul.\t0\tIN\tA\t10.0.0.3", shown)

    def test_what_is_wrong_is_said(self):
        rows = [
            ("", "name is missing; expected ?name=NAME, and perhaps &type=TYPE"),
            ("name=a&transport=x", 'transport is "x"; expected udp or tcp'),
            ("name=a&edns=x", 'edns is "x"; expected the octets of a UDP reply, 0 to 65535'),
            ("name=a&client=x", 'client is "x"; expected an IP address'),
        ]
        for parameters, text in rows:
            reply = self.http.get("dns/explain?" + parameters)
            self.assertEqual((reply.status, reply.text), (400, text))
        self.assertEqual(self.http.get("dns/explain?name=a&type=NOPE").status, 400)

    def test_command(self):
        address = "127.0.0.1:%d" % self.agent.ports["http"]
        done = subprocess.run([str(lib.PHAROS), "explain", "-http-addr", address, "-edns=0",
                               "web.service.consul", "A"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r'^name +web\.service\.consul\. is a service: "web"')
        self.assertIn("web.service.consul.\t5\tIN\tA\t10.0.0.", done.stdout)
        none = subprocess.run([str(lib.PHAROS), "explain", "-http-addr", address],
                              capture_output=True, text=True)
        self.assertEqual(none.returncode, 1)
        self.assertIn("expected a name", none.stderr)


if __name__ == "__main__":
    lib.main()
