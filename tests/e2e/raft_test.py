"""Servers that keep one catalog: durable, replicated, and honest about what they know."""
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers


class OneServer(unittest.TestCase):
    def test_keeps_what_it_acknowledged_when_it_is_killed(self):
        with servers.Servers(1) as cluster:
            server = cluster[0]
            for round_number in range(4):
                for i in range(20):
                    self.assertEqual(server.register(f"s-{round_number}-{i}", 1000 + i), 200)
                index = int(server.ask("GET", "/v1/catalog/services")[1]["x-consul-index"])
                server.kill()
                server.start()
                cluster.wait_ready()
                names = server.get("/v1/catalog/services")
                for i in range(20):
                    self.assertIn(f"s-{round_number}-{i}", names)
                again = int(server.ask("GET", "/v1/catalog/services")[1]["x-consul-index"])
                self.assertGreaterEqual(again, index)
            self.assertEqual(len([name for name in names if name.startswith("s-")]), 80)
            reply = lib.dig(server.ports["dns"], "s-0-7.service.consul", "SRV")
            self.assertEqual(reply.rdata()[0].split()[2], "1007")

    def test_answers_dns_before_anything_else_after_an_orderly_stop(self):
        with servers.Servers(1) as cluster:
            server = cluster[0]
            self.assertEqual(server.register("web", 80), 200)
            server.stop()
            snapshots = list((server.folder / "data" / "raft" / "log").glob("snapshot-*"))
            self.assertTrue(snapshots, "a snapshot was written at the end")
            server.start()
            cluster.wait_ready()
            self.assertEqual(server.port_of("web"), 80)

    def test_refuses_a_directory_in_use_or_damaged(self):
        with servers.Servers(1) as cluster:
            server = cluster[0]
            for port in (80, 81, 82):
                self.assertEqual(server.register("web", port), 200)
            second = servers.Server(cluster.folder, 0, server.ports, [], 1)
            second.log_path = second.folder / "second-log"
            second.start()
            self.assertNotEqual(second.process.wait(10), 0)
            self.assertIn("another process uses", second.log())
            server.kill()
            log = server.folder / "data" / "raft" / "log"
            segment = sorted(log.glob("open-*"))[0]
            octets = bytearray(segment.read_bytes())
            # The last entries may be a write that was cut short, but not those before.
            for at in (40, octets.index(b"web")):
                segment.write_bytes(octets[:at] + b"garbage!" + octets[at + 8:])
                server.start()
                self.assertNotEqual(server.process.wait(10), 0)
                server.process = None
                said = server.log().splitlines()[-1]
                self.assertRegex(said, "damaged: open-1 cannot be read.*operating.md")

    def test_backup_and_restore(self):
        with servers.Servers(1) as cluster:
            server = cluster[0]
            self.assertEqual(server.register("before", 80), 200)
            file = str(server.folder / "backup")
            status, said = server.cli("snapshot", "save", file)
            self.assertEqual(status, 0, said)
            self.assertIn("Saved and verified snapshot to index", said)
            self.assertEqual(server.register("after", 81), 200)
            status, said = server.cli("snapshot", "inspect", file)
            self.assertEqual(status, 0, said)
            self.assertIn("Index", said)
            status, said = server.cli("snapshot", "restore", file)
            self.assertEqual((status, said), (0, "Restored snapshot\n"))
            names = server.get("/v1/catalog/services")
            self.assertIn("before", names)
            self.assertNotIn("after", names)
            damaged = bytearray(pathlib.Path(file).read_bytes())
            damaged[len(damaged) // 2] ^= 1
            pathlib.Path(file).write_bytes(damaged)
            self.assertNotEqual(server.cli("snapshot", "restore", file)[0], 0)
            self.assertIn("before", server.get("/v1/catalog/services"))


class Tls(unittest.TestCase):
    """Servers that show each other certificates."""

    def make_certificates(self, folder):
        def openssl(*args):
            subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        for name in ("ca", "foreign-ca"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem",
                    "-days", "2", "-subj", f"/CN={name}")
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{folder}/server-{name}.key", "-out", f"{folder}/server-{name}.csr",
                    "-subj", "/CN=server.dc1.consul")
            openssl("x509", "-req", "-in", f"{folder}/server-{name}.csr", "-CA",
                    f"{folder}/{name}.pem", "-CAkey", f"{folder}/{name}.key", "-CAcreateserial",
                    "-out", f"{folder}/server-{name}.pem", "-days", "2")

    @staticmethod
    def config(folder, name):
        return {"ca_file": f"{folder}/ca.pem", "cert_file": f"{folder}/server-{name}.pem",
                "key_file": f"{folder}/server-{name}.key", "verify_incoming": True,
                "verify_outgoing": True}

    def test_servers_with_certificates_make_a_cluster_and_others_are_kept_out(self):
        with tempfile.TemporaryDirectory() as folder:
            self.make_certificates(folder)
            with servers.Servers(3, config=self.config(folder, "ca")) as cluster:
                self.assertEqual(cluster[1].register("web", 1), 200)
                self.assertEqual(cluster[2].port_of("web"), 1)
                cluster.config = {}
                plain = cluster.add().start()
                cluster.config = self.config(folder, "foreign-ca")
                foreign = cluster.add().start()
                cluster.wait(lambda: plain.leader() == "" and foreign.leader() == "", "both run")
                time.sleep(3)  # They would have been taken in by now.
                names = sorted(server.name for server in cluster.servers[:3])
                self.assertEqual(cluster.voters(cluster[0]), names)
                self.assertEqual((plain.leader(), foreign.leader()), ("", ""))


    def test_replaced_files_are_taken_without_a_restart(self):
        with tempfile.TemporaryDirectory() as folder:
            self.make_certificates(folder)
            with servers.Servers(3, config=self.config(folder, "ca")) as cluster:
                authorities = pathlib.Path(folder, "ca.pem")
                both = authorities.read_text() + pathlib.Path(folder, "foreign-ca.pem").read_text()
                pathlib.Path(folder, "new").write_text(both)
                pathlib.Path(folder, "new").rename(authorities)
                cluster.config = self.config(folder, "foreign-ca")
                added = cluster.add().start()
                cluster.wait(lambda: added.leader() != "", "the one with the new authority is taken in")
                self.assertEqual(added.register("web", 1), 200)
                self.assertEqual(cluster[0].port_of("web", "consistent"), 1)


class ThreeServers(unittest.TestCase):
    def test_each_takes_changes_and_all_show_them(self):
        with servers.Servers(3) as cluster:
            for i, server in enumerate(cluster):
                self.assertEqual(server.register(f"web-{i}", 8000 + i), 200)
                # Whoever acknowledges it shows it.
                self.assertEqual(server.port_of(f"web-{i}", "stale"), 8000 + i)
            for server in cluster:
                for i in range(3):
                    self.assertEqual(server.port_of(f"web-{i}", ""), 8000 + i)
                    self.assertEqual(server.port_of(f"web-{i}", "consistent"), 8000 + i)
                    reply = lib.dig(server.ports["dns"], f"web-{i}.service.consul", "SRV")
                    self.assertEqual(reply.rdata()[0].split()[2], str(8000 + i))
            addresses = sorted(server.address for server in cluster)
            leader = cluster.wait_leader()
            for server in cluster:
                self.assertEqual(sorted(server.get("/v1/status/peers")), addresses)
                self.assertEqual(server.leader(), leader.address)
                _, headers, _ = server.ask("GET", "/v1/catalog/nodes?stale")
                self.assertEqual(headers["x-consul-knownleader"], "true")
                self.assertLess(int(headers["x-consul-lastcontact"]), 1000)
            for server in cluster:
                health = server.ask("GET", "/v1/operator/autopilot/health")
                self.assertEqual(health[0], 200, health)
            status, said = leader.cli("operator", "usage", "instances")
            self.assertEqual(status, 0, said)
            self.assertIn("Billable Service Instances Total: ", said)
            self.assertIn("connect-proxy", said)
            status, said = leader.cli("operator", "raft", "list-peers")
            self.assertEqual(status, 0)
            self.assertEqual(said.count("true"), 3, said)

    def test_goes_on_when_the_leader_is_killed(self):
        with servers.Servers(3) as cluster:
            self.assertEqual(cluster[0].register("web", 1), 200)
            leader = cluster.wait_leader()
            leader.kill()
            others = cluster.running()
            began = time.monotonic()
            cluster.wait(lambda: others[0].register("web", 2) == 200, "a change is taken again")
            self.assertLess(time.monotonic() - began, 8)
            for server in others:
                self.assertEqual(server.port_of("web"), 2)
            leader.start()
            cluster.wait(lambda: leader.port_of("web", "stale") == 2, "the old leader catches up")

    def test_without_a_majority_dns_goes_on_and_changes_are_refused(self):
        with servers.Servers(3, config={"performance": {"rpc_hold_timeout": "1s"}}) as cluster:
            self.assertEqual(cluster[0].register("web", 1), 200)
            survivor = cluster[0]
            cluster.wait(lambda: survivor.port_of("web", "stale") == 1, "it has the service")
            cluster[1].kill()
            cluster[2].kill()
            cluster.wait(lambda: survivor.leader() == "", "it knows of no leader")
            status, _, body = survivor.ask("PUT", "/v1/catalog/register", {
                "Node": "alpha", "Address": "10.0.0.1", "Service": {"Service": "x", "Port": 1}})
            self.assertEqual((status, body), (500, b"No cluster leader"))
            for path in ("catalog/nodes", "query", "query/q", "query/q/execute"):
                status, _, body = survivor.ask("GET", f"/v1/{path}")
                self.assertEqual((status, body), (500, b"No cluster leader"), path)
            status, _, body = survivor.ask("GET", "/v1/query/q/execute?stale")
            self.assertEqual(status, 404, body)
            status, headers, _ = survivor.ask("GET", "/v1/catalog/nodes?stale")
            self.assertEqual(status, 200)
            self.assertEqual(headers["x-consul-knownleader"], "false")
            self.assertGreater(int(headers["x-consul-lastcontact"]), 0)
            self.assertTrue(lib.dig(survivor.ports["dns"], "web.service.consul", "SRV").rdata())

    def test_a_server_without_others_starts_with_the_whole_catalog(self):
        with servers.Servers(3) as cluster:
            self.assertEqual(cluster[0].register("web", 1), 200)
            for server in cluster:
                cluster.wait(lambda s=server: s.port_of("web", "stale") == 1, "it has the service")
            for server in cluster:
                server.stop()
            cluster[1].start()
            cluster.wait(lambda: lib.answers(cluster[1].ports["dns"]), "DNS is answered")
            reply = lib.dig(cluster[1].ports["dns"], "web.service.consul", "SRV")
            self.assertEqual(len(reply.rdata()), 1, reply)

    def test_a_late_server_gets_a_snapshot_and_a_vote(self):
        small = {"raft_snapshot_threshold": 50, "raft_trailing_logs": 10,
                 "autopilot": {"server_stabilization_time": "1s"}}
        with servers.Servers(1, config=small) as cluster:
            for i in range(120):
                self.assertEqual(cluster[0].register(f"s-{i}", i + 1), 200)
            late = cluster.add().start()
            cluster.wait(lambda: late.port_of("s-119", "stale") == 120, "it has all", 30)
            cluster.wait_ready(30)
            self.assertEqual(late.register("from-late", 9), 200)
            self.assertEqual(cluster[0].port_of("from-late"), 9)
            self.assertIn("Received a snapshot", late.log())

    def test_leadership_is_handed_over_when_asked(self):
        with servers.Servers(3) as cluster:
            leader = cluster.wait_leader()
            status, said = leader.cli("operator", "raft", "transfer-leader")
            self.assertEqual((status, said), (0, "Success\n"))
            cluster.wait(lambda: cluster.leader() not in (None, leader), "another leads")
            self.assertEqual(leader.register("web", 3), 200)

    def test_a_server_that_leaves_is_no_member_any_more(self):
        with servers.Servers(3) as cluster:
            leader = cluster.wait_leader()
            self.assertEqual(leader.register("web", 1), 200)
            status, said = leader.cli("leave")
            self.assertEqual(status, 0, said)
            self.assertEqual(leader.process.wait(20), 0)
            leader.process = None
            others = cluster.running()
            names = sorted(server.name for server in others)
            cluster.wait(lambda: cluster.voters(others[0]) == names, "it is gone")
            self.assertEqual(others[0].register("web", 2), 200)
            leader.start()
            cluster.wait_ready(40)
            self.assertEqual(leader.port_of("web"), 2)

    def test_recovers_from_the_loss_of_the_majority(self):
        with servers.Servers(3) as cluster:
            self.assertEqual(cluster[0].register("web", 1), 200)
            cluster.wait(lambda: cluster[0].port_of("web", "stale") == 1, "it has the service")
            for server in cluster:
                server.kill()
            survivor = cluster[0]
            data = str(survivor.folder / "data")
            self.assertNotEqual(survivor.cli("operator", "raft", "recover", "-data-dir", data)[0], 0)
            status, said = survivor.cli("operator", "raft", "recover", "-data-dir", data, "-yes")
            self.assertEqual(status, 0, said)
            survivor.start()
            cluster.wait(lambda: survivor.register("web", 2) == 200, "it takes changes alone")
            self.assertEqual(survivor.port_of("web"), 2)


if __name__ == "__main__":
    lib.main()
