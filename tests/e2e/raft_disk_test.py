"""What becomes of a server whose disk fails, or is full, and of its cluster."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers


class FailingDisk(unittest.TestCase):
    def test_a_server_whose_disk_fails_stops_and_the_others_go_on(self):
        with tempfile.TemporaryDirectory() as folder:
            library, flag = f"{folder}/eio.so", pathlib.Path(folder) / "eio"
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", library,
                            str(lib.ROOT / "tests" / "eio.c"), "-ldl"], check=True)
            with servers.Servers(3, start=False) as cluster:
                failing = cluster[0]
                failing.env = {"LD_PRELOAD": library, "EIO_FILE": str(flag)}
                for server in cluster:
                    server.start()
                cluster.wait_ready()
                self.assertEqual(cluster[1].register("web", 1), 200)
                flag.touch()
                others = [cluster[1], cluster[2]]
                cluster.wait(lambda: others[0].register("web", 2) == 200, "changes are taken")
                self.assertEqual(failing.process.wait(20), 1)
                failing.process = None
                self.assertIn("a write to the Raft log failed", failing.log())
                for port in range(3, 20):
                    self.assertEqual(others[port % 2].register("web", port), 200)
                flag.unlink()
                failing.start()
                cluster.wait_ready(30)
                self.assertEqual(failing.port_of("web"), 19)


class FullDisk(unittest.TestCase):
    def test_changes_are_refused_while_the_disk_is_full_and_taken_again_later(self):
        with tempfile.TemporaryDirectory() as folder:
            image, mount = f"{folder}/image", f"{folder}/mount"
            os.mkdir(mount)
            subprocess.run(["truncate", "-s", "120M", image], check=True)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
            if subprocess.run(["mount", "-o", "loop", image, mount], stderr=subprocess.DEVNULL,
                              check=False).returncode != 0:
                self.skipTest("mounting takes root and loop devices")
            try:
                with servers.Servers(1, start=False, config={"data_dir": f"{mount}/data"}) as cluster:
                    server = cluster[0]
                    server.start()
                    cluster.wait_ready()
                    self.assertEqual(server.register("web", 1), 200)
                    ballast = pathlib.Path(mount) / "ballast"
                    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1M"],
                                   stderr=subprocess.DEVNULL, check=False)
                    padding = {f"padding-{i}": "x" * 500 for i in range(60)}
                    refused = None
                    for i in range(8_000):
                        status, _, body = server.ask("PUT", "/v1/catalog/register", {
                            "Node": f"n-{i % 50}", "Address": "10.0.0.1",
                            "Service": {"Service": "fill", "Port": i % 60000 + 1, "Meta": padding}})
                        if status != 200:
                            refused = status, body
                            break
                    self.assertIsNotNone(refused, "the disk never got full")
                    self.assertIn(b"full", refused[1])
                    self.assertEqual(server.port_of("web"), 1)
                    self.assertTrue(lib.dig(server.ports["dns"], "web.service.consul").answer)
                    ballast.unlink()
                    cluster.wait(lambda: server.register("web", 2) == 200, "changes are taken", 30)
                    self.assertEqual(server.port_of("web"), 2)
            finally:
                subprocess.run(["umount", "-l", mount], check=False)


if __name__ == "__main__":
    lib.main()
