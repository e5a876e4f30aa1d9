"""What is registered at an agent: it survives a kill, is laid over by files, and leaves DNS when its
checks say so."""
import json
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire


class KeptAgent(lib.Agent):
    """An agent with a data directory."""

    def command(self):
        return [str(self.binary), "agent", "-server", "-bootstrap",
                "-data-dir", str(self.folder / "data"),
                "-config-file", str(self.folder / "config.json"),
                "-config-dir", str(self.folder / "conf.d")]

    def __enter__(self):
        super().__enter__()
        self.client = http_client.Client(self.ports["http"])
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Kept(unittest.TestCase):
    def test_survives_kill_9_at_once(self):
        agent = KeptAgent()
        self.addCleanup(agent.__exit__)
        agent.__enter__()
        for i in range(20):
            reply = agent.client.put("agent/service/register", {
                "Name": "web", "ID": f"web-{i}", "Port": 8000 + i,
                "Check": {"TTL": "1h"}})
            self.assertEqual(reply.status, 200)
        agent.client.put("agent/check/pass/service:web-3?note=well")
        agent.client.put("agent/service/deregister/web-19")
        agent.client.put("agent/service/maintenance/web-4?enable=true&reason=why")
        agent.kill()

        agent.__enter__()
        self.assertEqual(len(agent.client.get("agent/services").json), 19)
        self.assertEqual(len(agent.client.get("catalog/service/web").json), 19)
        checks = agent.client.get("agent/checks").json
        self.assertEqual(checks["service:web-3"]["Status"], "passing")
        self.assertEqual(checks["service:web-3"]["Output"], "well")
        self.assertEqual(checks["service:web-5"]["Status"], "critical")
        self.assertEqual(checks["_service_maintenance:web-4"]["Notes"], "why")
        self.assertEqual(agent.dig("web.service.consul", "SRV").rdata(),
                         ["1 1 8003 agent-1.node.dc1.consul."])

    def test_files_are_laid_over_what_was_registered(self):
        agent = KeptAgent()
        self.addCleanup(agent.__exit__)
        agent.__enter__()
        agent.client.put("agent/service/register", {"Name": "web", "Port": 1})
        agent.client.put("agent/service/register", {"Name": "other", "Port": 2})
        agent.stop()
        agent.write("conf.d/web.json", {"service": {"name": "web", "port": 3}})
        agent.__enter__()
        services = agent.client.get("agent/services").json
        self.assertEqual({name: one["Port"] for name, one in services.items()},
                         {"web": 3, "other": 2})

    def test_a_file_that_is_broken_is_left_out_and_said(self):
        agent = KeptAgent()
        self.addCleanup(agent.__exit__)
        agent.__enter__()
        agent.client.put("agent/service/register", {"Name": "web", "Port": 1})
        agent.kill()
        broken = agent.folder / "data" / "services" / "broken.json"
        broken.write_text("{")
        agent.__enter__()
        self.assertIn("web", agent.client.get("agent/services").json)
        self.assertIn(str(broken), agent.log_path.read_text())
        self.assertTrue(broken.exists())


class Health(lib.AgentTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = http_client.Client(cls.agent.ports["http"])

    def status(self, name):
        return self.dig(f"{name}.service.consul", "SRV").status

    def test_a_critical_instance_leaves_dns_before_the_request_is_answered(self):
        self.client.put("agent/service/register",
                        {"Name": "told", "Check": {"TTL": "1h", "Status": "passing"}})
        for word, status in (("fail", "NXDOMAIN"), ("pass", "NOERROR"), ("fail", "NXDOMAIN"),
                             ("warn", "NOERROR")) * 5:
            self.client.put(f"agent/check/{word}/service:told")
            self.assertEqual(self.status("told"), status)

    def test_maintenance(self):
        self.client.put("agent/service/register", {"Name": "kept"})
        self.assertEqual(self.status("kept"), "NOERROR")
        for path in "agent/service/maintenance/kept", "agent/maintenance":
            self.client.put(path + "?enable=true")
            self.assertEqual(self.status("kept"), "NXDOMAIN")
            self.client.put(path + "?enable=false")
            self.assertEqual(self.status("kept"), "NOERROR")

    def test_a_ttl_that_passes(self):
        self.client.put("agent/service/register",
                        {"Name": "late", "Check": {"TTL": "300ms", "Status": "passing"}})
        wire.until("the TTL has passed", lambda: self.status("late") == "NXDOMAIN")
        check = self.client.get("agent/checks").json["service:late"]
        self.assertIn("TTL expired", check["Output"])

    def test_blocking_query_sees_the_change(self):
        self.client.put("agent/service/register",
                        {"Name": "watched", "Check": {"TTL": "1h", "Status": "passing"}})
        index = self.client.get("health/service/watched").index
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/health/service/watched?passing&index={index}&wait=60s")
        self.client.put("agent/check/fail/service:watched")
        reply = http_client.Reply(connection.getresponse())
        self.assertEqual(reply.json, [])
        self.assertGreater(reply.index, index)

    def test_hash_blocking_sees_the_change(self):
        self.client.put("agent/service/register", {"Name": "hashed", "Port": 1})
        found = self.client.get("agent/service/hashed").json["ContentHash"]
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/agent/service/hashed?hash={found}&wait=60s")
        self.client.put("agent/service/register", {"Name": "hashed", "Port": 2})
        self.assertEqual(http_client.Reply(connection.getresponse()).json["Port"], 2)

    def test_foreign_changes_of_this_node_are_undone(self):
        self.client.put("agent/service/register", {"Name": "mine"})
        self.client.put("catalog/deregister", {"Node": "agent-1", "ServiceID": "mine"})
        self.assertEqual(self.status("mine"), "NXDOMAIN")
        self.client.put("catalog/register", {
            "Node": "agent-1", "Address": "127.0.0.1", "Service": {"Service": "theirs"}})
        self.agent.process.send_signal(signal.SIGHUP)  # With -dev a reload drops what was registered.
        wire.until("what is not ours is gone", lambda: self.status("theirs") == "NXDOMAIN")

    def test_check_ids_and_replacement(self):
        body = {"Name": "many", "Checks": [{"TTL": "1h"}, {"TTL": "2h"}]}
        self.client.put("agent/service/register", body)
        ids = lambda: sorted(check["CheckID"] for check in self.client.get("health/checks/many").json)
        self.assertEqual(ids(), ["service:many:1", "service:many:2"])
        self.client.put("agent/service/register", {"Name": "many", "Check": {"TTL": "1h"}})
        self.assertEqual(ids(), ["service:many", "service:many:1", "service:many:2"])
        self.client.put("agent/service/register?replace-existing-checks",
                        {"Name": "many", "Check": {"TTL": "1h"}})
        self.assertEqual(ids(), ["service:many"])


if __name__ == "__main__":
    lib.main()
