"""The commands that ask a running agent, with their output and exit status."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire

SECONDS = 15


def pharos(*args, **environment):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("CONSUL_", "PHAROS_"))}
    return subprocess.run([lib.PHAROS, *args], capture_output=True, text=True, timeout=SECONDS,
                          check=False, env={**clean, **environment})


class Commands(lib.AgentTest):
    def setUp(self):
        self.address = f"127.0.0.1:{self.agent.ports['http']}"
        self.client = http_client.Client(self.agent.ports["http"])

    def run_ok(self, *args):
        run = pharos(*args, CONSUL_HTTP_ADDR=self.address)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_members(self):
        head, row = self.run_ok("members").splitlines()
        self.assertEqual(head.split(), ["Node", "Address", "Status", "Type", "Build", "Protocol",
                                        "DC", "Segment"])
        self.assertEqual([row.split()[i] for i in (0, 2, 3, 5, 6, 7)],
                         ["agent-1", "alive", "server", "2", "dc1", "<all>"])
        self.assertIn("dc=dc1", self.run_ok("members", "-detailed"))
        self.assertEqual(pharos("members", "-status=failed",
                                CONSUL_HTTP_ADDR=self.address).returncode, 2)

    def test_catalog(self):
        self.run_ok("services", "register", "-name=cat", "-port=80", "-tag=v2", "-tag=v1")
        self.assertEqual(self.run_ok("catalog", "datacenters"), "dc1\n")
        self.assertEqual(self.run_ok("catalog", "nodes").splitlines()[0].split(),
                         ["Node", "ID", "Address", "DC"])
        self.assertIn("agent-1", self.run_ok("catalog", "nodes", "-service=cat"))
        self.assertEqual(self.run_ok("catalog", "nodes", "-node-meta=a=b"),
                         "No nodes match the given query - try expanding your search\n")
        self.assertIn("cat\n", self.run_ok("catalog", "services"))
        self.assertRegex(self.run_ok("catalog", "services", "-tags"), r"(?m)^cat +v1,v2$")
        self.assertEqual(pharos("catalog").returncode, 127)

    def test_services_of_files(self):
        self.agent.write("redis.hcl", '''service {
            name = "redis" port = 6379 tags = ["primary"] weights { passing = 3 warning = 1 }
            check { ttl = "1h" status = "passing" } }''')
        path = str(self.agent.folder / "redis.hcl")
        self.assertEqual(self.run_ok("services", "register", path), "Registered service: redis\n")
        entry, = self.client.get("health/service/redis?passing").json
        self.assertEqual(entry["Service"]["Weights"], {"Passing": 3, "Warning": 1})
        self.assertEqual(self.run_ok("services", "deregister", path),
                         "Deregistered service: redis\n")
        self.assertEqual(self.client.get("catalog/service/redis").json, [])

    def test_a_file_is_registered_whole_whatever_the_case_of_its_keys(self):
        self.agent.write("proxy.json", {"Service": {
            "Name": "proxy", "Kind": "connect-proxy", "Port": 81,
            "Proxy": {"destination_service_name": "web"}, "Locality": {"Region": "eu", "Zone": "z"}}})
        self.run_ok("services", "register", str(self.agent.folder / "proxy.json"))
        service = self.client.get("agent/service/proxy").json
        self.assertEqual((service["Kind"], service["Proxy"]["DestinationServiceName"],
                          service["Locality"]), ("connect-proxy", "web", {"Region": "eu", "Zone": "z"}))

    def test_maintenance(self):
        self.run_ok("services", "register", "-name=kept")
        self.assertEqual(self.run_ok("maint", "-enable", "-service=kept", "-reason=why"),
                         'Service maintenance is now enabled for "kept"\n')
        self.assertEqual(self.run_ok("maint"), "Service:\n  ID:     kept\n  Reason: why\n\n")
        self.assertEqual(self.run_ok("maint", "-disable", "-service=kept"),
                         'Service maintenance is now disabled for "kept"\n')
        self.assertEqual(self.run_ok("maint", "-enable"), "Node maintenance is now enabled\n")
        status = pharos("status", PHAROS_HTTP_ADDR=self.address)
        self.assertEqual(status.returncode, 1)
        self.assertIn("NOT healthy: the node is in maintenance", status.stdout)
        self.run_ok("maint", "-disable")

    def test_status_says_what_fails(self):
        self.assertRegex(self.run_ok("status"), r"\nhealthy\n$")
        self.client.put("agent/check/register", {"Name": "disk", "TTL": "1h"})
        self.client.put("agent/check/fail/disk?note=full")
        status = pharos("status", PHAROS_HTTP_ADDR=self.address)
        self.assertEqual(status.returncode, 1)
        self.assertRegex(status.stdout, r"(?m)^  critical +disk +\(node\) +full$")
        self.assertIn("NOT healthy: 1 critical checks", status.stdout)
        self.client.put("agent/check/deregister/disk")

    def test_info_and_reload(self):
        self.assertRegex(self.run_ok("info"), r"(?m)^agent:\n(\t\S+ = \S*\n)+build:\n")
        self.assertEqual(self.run_ok("reload"), "Configuration reload triggered\n")

    def test_watch(self):
        self.assertIn('"consul": []', self.run_ok("watch", "-type=services"))
        watch = subprocess.Popen(
            [lib.PHAROS, "watch", f"-http-addr={self.address}", "-type=service",
             "-service=watched", "tr -d '\\n'; echo; echo index $CONSUL_INDEX"],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (watch.kill(), watch.communicate()))
        self.assertEqual(watch.stdout.readline().strip(), "[]")
        first = int(watch.stdout.readline().split()[1])
        self.client.put("agent/service/register", {"Name": "watched", "Port": 7})
        self.assertIn('"Port": 7', watch.stdout.readline())
        self.assertGreater(int(watch.stdout.readline().split()[1]), first)
        self.assertEqual(pharos("watch", "-type=key", CONSUL_HTTP_ADDR=self.address).returncode, 1)

    def test_monitor(self):
        monitor = subprocess.Popen([lib.PHAROS, "monitor", f"-http-addr={self.address}"],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (monitor.kill(), monitor.communicate()))
        held = lambda: "pharos_http_connections 2" in self.client.get(
            "agent/metrics?format=prometheus").text
        wire.until("the monitor is connected", held)
        self.client.put("agent/service/register", {"Name": "logged"})
        for line in monitor.stdout:
            if "Synced service: service=logged" in line:
                break

    def test_an_agent_that_is_not_there(self):
        port, = lib.free_ports(1)
        run = pharos("members", f"-http-addr=127.0.0.1:{port}")
        self.assertEqual(run.returncode, 1)
        self.assertIn(f'Error retrieving members: Get "http://127.0.0.1:{port}/v1/agent/members',
                      run.stderr)
        run = pharos("status", PHAROS_HTTP_ADDR=f"127.0.0.1:{port}", CONSUL_HTTP_ADDR=self.address)
        self.assertEqual(run.returncode, 1, "PHAROS_ goes before CONSUL_")


class Https(unittest.TestCase):
    def test_certificates_are_checked_unless_told_otherwise(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                            "-days", "2", "-subj", "/CN=server.dc1.consul", "-addext",
                            "subjectAltName=DNS:server.dc1.consul"], check=True,
                           stderr=subprocess.DEVNULL)
            https, = lib.free_ports(1)
            with lib.Agent({"ports": {"https": https}, "cert_file": certificate, "key_file": key}):
                address = f"127.0.0.1:{https}"
                name = "-tls-server-name=server.dc1.consul"
                for options, environment, fault in (
                        ([name], {"CONSUL_HTTP_SSL": "T", "CONSUL_CACERT": certificate}, None),
                        ([], {"CONSUL_HTTP_SSL": "1", "CONSUL_CACERT": certificate}, "127.0.0.1"),
                        ([], {"CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_SSL_VERIFY": "True"}, "self-signed"),
                        ([], {"CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_SSL_VERIFY": "F"}, None),
                        ([], {"CONSUL_HTTP_SSL": "on"}, 'HTTP_SSL is "on"; expected true or false')):
                    run = pharos("catalog", "datacenters", *options, CONSUL_HTTP_ADDR=address,
                                 **environment)
                    if fault is None:
                        self.assertEqual(run.stdout, "dc1\n", (environment, run.stderr))
                    else:
                        self.assertEqual(run.returncode, 1, environment)
                        self.assertIn(fault, run.stderr)


class Leave(unittest.TestCase):
    def test_leaves(self):
        with lib.Agent() as agent:
            run = pharos("leave", f"-http-addr=127.0.0.1:{agent.ports['http']}")
            self.assertEqual(run.stdout, "Graceful leave complete\n")
            self.assertEqual(agent.process.wait(lib.STOP_SECONDS), 0)


if __name__ == "__main__":
    lib.main()
