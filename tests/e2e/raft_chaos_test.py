"""Three servers under load while one after the other is killed, paused or stopped: nothing that was
acknowledged is lost, reads are linearizable, indexes never go back, and DNS is answered all the time.

PHAROS_KILLS says how often the leader is killed (4 unless given; 50 is the whole trial)."""
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers
from linearizable import NEVER, Operation, is_linearizable

KILLS = int(os.environ.get("PHAROS_KILLS", "4"))
WRITERS = 16
SHARED_KEYS = 2
DNS_SECONDS = 2
QUERY = (b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
         b"\x03dns\x07service\x06consul\x00\x00\x21\x00\x01")


class Load:
    """Clients of all kinds, each in a thread, until `stop`."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.faults = []
        self.acknowledged = [0] * WRITERS
        self.attempted = [0] * WRITERS
        self.counts = {"acknowledged": 0, "failed": 0, "reads": 0, "dns": 0}
        self.histories = [[] for _ in range(SHARED_KEYS)]
        self.next_value = 0
        jobs = [(self.write_own, i) for i in range(WRITERS)]
        jobs += [(self.use_shared, i % SHARED_KEYS) for i in range(4)]
        jobs += [(self.ask_dns, server) for server in cluster]
        jobs += [(self.watch_index, server) for server in cluster]
        self.threads = [threading.Thread(target=self.run, args=job) for job in jobs]
        for thread in self.threads:
            thread.start()

    def run(self, job, argument):
        try:
            job(argument)
        except Exception as error:  # Said at the end, by the test.
            self.fault(f"{job.__name__}: {error!r}")

    def fault(self, text):
        with self.lock:
            self.faults.append(text)
        self.stopping.set()

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def some_server(self):
        running = self.cluster.running()
        return random.choice(running) if running else None

    def write_own(self, number):
        """A register that nobody else writes: what is read is what was last acknowledged, or tried
        later."""
        key = f"own-{number}"
        while not self.stopping.is_set():
            server = self.some_server()
            value = self.attempted[number] % 65000 + 1
            self.attempted[number] = value
            try:
                if server and server.register(key, value, node=f"node-{number}", seconds=10) == 200:
                    self.acknowledged[number] = value
                    self.count("acknowledged")
                    if random.random() < 0.2:
                        self.check_own(number, key)
                    continue
            except OSError:
                pass
            self.count("failed")
            self.stopping.wait(0.02)

    def check_own(self, number, key):
        server = self.some_server()
        low = self.acknowledged[number]
        try:
            value = server.port_of(key) if server else low
        except OSError:
            return
        self.count("reads")
        if value is None or not low <= value <= self.attempted[number]:
            self.fault(f"{key} is {value}; {low} was acknowledged, {self.attempted[number]} tried")

    def use_shared(self, key):
        history = self.histories[key]
        while not self.stopping.is_set():
            if len(history) > 250:
                return
            server = self.some_server()
            if server is None:
                self.stopping.wait(0.05)
                continue
            begun = time.monotonic()
            if random.random() < 0.5:
                with self.lock:
                    self.next_value += 1
                    value = self.next_value
                try:
                    status = server.register(f"shared-{key}", value, node=f"shared-{key}", seconds=10)
                except OSError:
                    status = 0
                # Of a refusal nobody knows here what stands behind it.
                ended = time.monotonic() if status == 200 else NEVER
                operation = Operation(True, value, begun, ended)
            else:
                try:
                    value = server.port_of(f"shared-{key}")
                except OSError:
                    continue
                operation = Operation(False, value, begun, time.monotonic())
            with self.lock:
                history.append(operation)
            self.stopping.wait(random.random() * 0.4)

    def ask_dns(self, server):
        """Whoever has answered once and lives on answers each query."""
        while not self.stopping.is_set():
            process = server.process
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(DNS_SECONDS)
                asker.connect(("127.0.0.1", server.ports["dns"]))
                ready = False
                while not self.stopping.is_set() and server.process is process and process:
                    if getattr(server, "paused", False):
                        break
                    try:
                        asker.send(QUERY)
                        answer = asker.recv(4096)
                    except OSError:
                        alive = process.poll() is None and server.process is process
                        if ready and alive and not getattr(server, "paused", False):
                            self.fault(f"{server.name} left a DNS query unanswered")
                            return
                        time.sleep(0.02)
                        continue
                    if answer[3] & 15 == 0 and answer[7] > 0:
                        ready = True
                        self.count("dns")
                    elif ready:
                        self.fault(f"{server.name} answered {answer!r}")
                    time.sleep(0.005)
            self.stopping.wait(0.05)

    def watch_index(self, server):
        last = 0
        while not self.stopping.is_set():
            try:
                _, headers, _ = server.ask("GET", "/v1/catalog/services?stale", seconds=3)
                index = int(headers["x-consul-index"])
            except (OSError, KeyError):
                self.stopping.wait(0.05)
                continue
            # A server that was killed starts with its last snapshot and comes up to the others.
            if server.process is not getattr(server, "indexed", None):
                server.indexed, last = server.process, 0
            if index < last:
                self.fault(f"{server.name} went from index {last} back to {index}")
            last = index
            self.stopping.wait(0.03)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class Chaos(unittest.TestCase):
    def end(self, cluster, load):
        cluster.wait_ready(30)
        load.stop()
        self.assertEqual(load.faults, [])
        for number in range(WRITERS):
            for server in cluster:
                value = server.port_of(f"own-{number}")
                self.assertGreaterEqual(value or 0, load.acknowledged[number], server.name)
                self.assertLessEqual(value or 0, load.attempted[number], server.name)
        for key, history in enumerate(load.histories):
            final = cluster[0].port_of(f"shared-{key}")
            now = time.monotonic()
            self.assertTrue(is_linearizable([*history, Operation(False, final, now, now)]), history)
        print(f"  {load.counts}")

    def test_the_leader_is_killed_again_and_again(self):
        with servers.Servers(3) as cluster:
            self.assertEqual(cluster[0].register("dns", 1), 200)
            load = Load(cluster)
            try:
                gaps = []
                for _ in range(KILLS):
                    if load.stopping.is_set():
                        break
                    leader = cluster.wait_leader()
                    before = load.counts["acknowledged"]
                    leader.kill()
                    began = time.monotonic()
                    cluster.wait(lambda: load.counts["acknowledged"] > before + WRITERS,
                                 "changes are taken again")
                    gaps.append(time.monotonic() - began)
                    leader.start()
                    cluster.wait_ready(30)
                    time.sleep(random.random() * 0.5)
                gaps.sort()
                print(f"  {len(gaps)} kills; until {WRITERS} more changes were acknowledged: median "
                      f"{gaps[len(gaps) // 2]:.2f} s, longest {gaps[-1]:.2f} s")
                self.end(cluster, load)
            finally:
                load.stop()

    def test_all_are_killed_and_some_are_paused(self):
        with servers.Servers(3) as cluster:
            self.assertEqual(cluster[0].register("dns", 1), 200)
            load = Load(cluster)
            try:
                time.sleep(1)
                paused = cluster.wait_leader()
                paused.paused = True
                paused.signal(signal.SIGSTOP)
                time.sleep(3)
                paused.signal(signal.SIGCONT)
                time.sleep(1)
                paused.paused = False
                cluster.wait_ready(30)
                for server in cluster:
                    server.kill()
                for server in cluster:
                    server.start()
                cluster.wait_ready(30)
                time.sleep(1)
                self.end(cluster, load)
            finally:
                load.stop()

    def test_a_leader_that_is_cut_off_is_replaced_and_found_again(self):
        if os.geteuid() != 0 or subprocess.run(
                ["unshare", "-n", "-m", "ip", "link", "add", "name", "probe", "type", "bridge"],
                stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("network namespaces and bridges take root")
        done = subprocess.run(["unshare", "-n", "-m", sys.executable, str(lib.ROOT / "tests/cut_off.py")],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        print(done.stdout)


if __name__ == "__main__":
    lib.main()
