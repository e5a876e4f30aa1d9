"""How the test harnesses of Consul's client libraries start an agent, wait for it and stop it."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire

READY_SECONDS = 2


class Harness:
    """One agent, started as `consul agent -config-file FOLDER/config.json`, found on PATH, in a
    working directory of the harness, with its output in a pipe that is read to its end."""

    def __init__(self, test, second_file=None, cwd=None, ports=None, **keys):
        self.folder = tempfile.TemporaryDirectory(prefix="TestAPI_CatalogServices_NodeMetaFilter")
        test.addCleanup(self.folder.cleanup)
        names = ["dns", "http", "https", "serf_lan", "serf_wan", "server"]
        self.ports = ports or dict(zip(names, lib.free_ports(len(names))))
        node_id = str(uuid.uuid4())
        self.config = {
            "node_name": f"node-{node_id}", "node_id": node_id,
            "performance": {"raft_multiplier": 1}, "bootstrap": True, "server": True,
            "data_dir": f"{self.folder.name}/data", "segments": None,
            "disable_update_check": True, "log_level": "debug", "bind_addr": "127.0.0.1",
            "addresses": {}, "ports": self.ports, "acl": {"tokens": {}},
            "connect": {"ca_config": {"cluster_id": "11111111-2222-3333-4444-555555555555"},
                        "enabled": True}, **keys}
        path = pathlib.Path(self.folder.name) / "config.json"
        path.write_text(json.dumps(self.config))
        (pathlib.Path(self.folder.name) / "consul").symlink_to(lib.PHAROS)
        command = ["consul", "agent", "-config-file", str(path)]
        if second_file is not None:
            self.second = pathlib.Path(self.folder.name) / "second.json"
            self.second.write_text(second_file)
            command += ["-config-file", str(self.second)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd, env={**os.environ, "PATH": f"{self.folder.name}:{os.environ['PATH']}"})
        test.addCleanup(self.kill)
        self.client = http_client.Client(self.ports["http"])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def interrupt(self):
        """SIGINT; seconds until the process has ended and nobody holds its output any more."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=lib.STOP_SECONDS)
        return time.monotonic() - start

    def wait(self):
        wire.until("the agent leads", self.leads)

    def leads(self):
        try:
            reply = self.client.get("catalog/nodes")
        except OSError:
            return False
        return (reply.status == 200 and reply.headers["x-consul-knownleader"] == "true" and
                reply.index >= 2)


def make_certificates(folder):
    """A CA of our own with a server's and a client's certificate."""
    run = lambda *args: subprocess.run(args, check=True, cwd=folder, capture_output=True)
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test CA",
        "-keyout", "ca.key", "-out", "ca.pem")
    for name in "server", "client":
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", f"{name}.pem")


class Contract(unittest.TestCase):
    def test_is_ready_in_two_seconds_and_keeps_no_half_dead_connections(self):
        harness = Harness(self)
        start, unread, last = time.monotonic(), [], None
        while time.monotonic() - start < READY_SECONDS:
            try:
                connection = socket.create_connection(("127.0.0.1", harness.ports["http"]))
                connection.settimeout(1)
                connection.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n"
                                   b"Connection: close\r\nAccept-Encoding: gzip\r\n\r\n")
                last = connection.recv(4096)
                unread.append(connection)  # Never closed by this side.
            except OSError:
                last = None
            time.sleep(0.025)
        self.assertTrue(last and last.startswith(b"HTTP/1.1 200 "), last)
        for connection in unread:
            while connection.recv(4096):
                pass  # To the end: the agent has closed it.
            connection.close()
        harness.wait()
        node = harness.client.get("catalog/nodes?index=0").json[0]["Node"]
        checks = harness.client.get(f"health/node/{node}").json
        self.assertIn("serfHealth", [check["CheckID"] for check in checks])

    def test_takes_every_key_that_harnesses_write(self):
        acl = {"enabled": True, "default_policy": "deny", "enable_token_replication": True,
               "policy_ttl": "30s", "token_ttl": "30s", "down_policy": "extend-cache",
               "enable_key_list_policy": True, "disabled_ttl": "2m",
               "tokens": {"master": "root", "agent": "a", "agent_master": "b", "default": "c",
                          "replication": "d"}}
        names = ["dns", "http", "https", "serf_lan", "serf_wan", "server", "proxy_min_port",
                 "proxy_max_port"]
        harness = Harness(
            self, ports=dict(zip(names, lib.free_ports(len(names)))), datacenter="dc2",
            primary_datacenter="dc1", node_name="node123", node_meta={"somekey": "somevalue"},
            acl=acl, encrypt="d8wu8CSUrqgtjVsvcBPmhQ==", raft_protocol=3, enable_debug=True,
            enable_script_checks=True, verify_incoming_rpc=True, verify_outgoing=True,
            acl_master_token="root", acl_datacenter="dc1", acl_default_policy="deny",
            segments=[{"name": "alpha", "bind": "127.0.0.1", "port": 1, "advertise": "127.0.0.1"}])
        harness.wait()
        node, = harness.client.get("catalog/nodes").json
        self.assertEqual((node["Node"], node["Datacenter"], node["Meta"]["somekey"]),
                         ("node123", "dc2", "somevalue"))

    def test_ports_are_free_again_at_once(self):
        first = Harness(self)
        first.wait()
        # A connection that the agent closes first would keep its port for a while.
        idle = first.client.connect()
        self.addCleanup(idle.close)
        idle.connect()
        self.assertLess(first.interrupt(), 1.5)
        second = Harness(self, ports=first.ports)
        second.wait()
        self.assertNotEqual(first.config["node_name"], second.config["node_name"])

    def test_registration_is_in_the_catalog_at_once(self):
        harness = Harness(self)
        harness.wait()
        self.assertEqual(len(harness.client.get("catalog/nodes").json), 1)
        reply = harness.client.put("agent/service/register", {
            "Name": "foo", "Tags": ["bar", "baz"], "Check": {"TTL": "15s"}})
        self.assertEqual((reply.status, reply.body), (200, b""))
        check, = harness.client.get("health/checks/foo").json
        self.assertEqual(check["CheckID"], "service:foo")
        self.assertEqual(check["Status"], "critical")
        self.assertEqual(check["ServiceTags"], ["bar", "baz"])

    def test_ends_on_sigint_with_all_its_children(self):
        harness = Harness(self, enable_script_checks=True)
        harness.wait()
        started = pathlib.Path(harness.folder.name) / "started"
        harness.client.put("agent/check/register", {
            "Name": "slow", "Args": ["sh", "-c", f"touch {started}; sleep 600"],
            "Interval": "1s", "Timeout": "500s"})
        wire.until("the script runs", started.exists)
        self.assertLess(harness.interrupt(), 1.5)
        self.assertEqual(harness.process.returncode, 1)

    def test_reloads_an_empty_second_file_and_what_it_becomes(self):
        harness = Harness(self, second_file="")
        harness.wait()
        harness.second.write_text(json.dumps(
            {"service": {"name": "redis", "port": 1234}}))
        self.assertEqual(harness.client.put("agent/reload").status, 200)
        self.assertEqual(harness.client.get("agent/services").json["redis"]["Port"], 1234)
        harness.second.write_text('{"service": {"port": 1}}')
        refused = harness.client.put("agent/reload")
        self.assertEqual(refused.status, 500)
        self.assertIn("Missing service name", refused.text)
        self.assertIn("redis", harness.client.get("agent/services").json)

    def test_leaves(self):
        harness = Harness(self, server=False, bootstrap=False)
        wire.until("HTTP answers", lambda: self.answers(harness))
        self.assertEqual(harness.client.put("agent/leave").status, 200)
        harness.process.communicate(timeout=lib.STOP_SECONDS)
        self.assertEqual(harness.process.returncode, 0)

    @staticmethod
    def answers(harness):
        try:
            return bool(harness.client.get("status/leader"))
        except OSError:
            return False

    def test_unix_socket(self):
        folder = tempfile.TemporaryDirectory(prefix="consul-test")
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/test.sock"
        harness = Harness(self, addresses={"http": f"unix://{path}"})
        harness.client = http_client.Client(unix=path)
        harness.wait()
        self.assertEqual(harness.client.get("agent/self").json["Config"]["Server"], True)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", harness.ports["http"]))
        harness.interrupt()
        self.assertFalse(os.path.exists(path))

    def test_tls_clients_are_verified(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        make_certificates(folder.name)
        at = lambda name: f"{folder.name}/{name}"
        harness = Harness(self, cwd=folder.name, ca_file="ca.pem", cert_file="./server.pem",
                          key_file="server.key", verify_incoming_https=True)
        harness.wait()
        port = harness.ports["https"]
        known = http_client.Client(port, tls=http_client.insecure_tls(at("client.pem"),
                                                                      at("client.key")))
        self.assertEqual(known.get("agent/self").status, 200)
        unknown = http_client.Client(port, tls=http_client.insecure_tls()).get("agent/self")
        self.assertEqual(unknown.status, 400)
        self.assertIn("bad certificate", unknown.text)
        self.assertNotIn("NodeName", unknown.text)

        def shown():
            connection = known.connect()
            connection.connect()
            try:
                return connection.sock.getpeercert(binary_form=True)
            finally:
                connection.close()
        before = shown()
        make_certificates(folder.name)
        self.assertEqual(harness.client.put("agent/reload").status, 200)
        # Signed by the new authority, as the client's now is.
        known = http_client.Client(port, tls=http_client.insecure_tls(at("client.pem"),
                                                                      at("client.key")))
        self.assertNotEqual(shown(), before)
        self.assertEqual(known.get("agent/self").status, 200)
        pathlib.Path(at("server.key")).write_text("no key")
        refused = harness.client.put("agent/reload")
        self.assertEqual(refused.status, 500)
        self.assertIn("server.key", refused.text)
        self.assertEqual(known.get("agent/self").status, 200, "the old ones are still in use")


if __name__ == "__main__":
    lib.main()
