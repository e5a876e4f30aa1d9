#!/usr/bin/env python3
"""The example of examples/grpc-service does what its README says, and so does the client library."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib

PROGRAMS = lib.BUILD / "examples" / "grpc-service"
CALLS = 1500
# Registers, finds itself, and is found no more.
PROGRAM = r"""
#include <iostream>
#include <pharos/registration.h>
#include <pharos/watcher.h>

int main(int, char** argv) {
  const pharos::Agents agents{{argv[1]}, nullptr};
  pharos::Watcher watcher(agents, "outside");
  {
    pharos::InstanceSpec instance;
    instance.service = "outside";
    instance.address = "10.7.0.1";
    instance.health = pharos::Health::kCritical;
    pharos::Registration registration(agents, {instance});
    if (!registration.Wait(std::chrono::seconds(10)).ok()) return 1;
    registration.SetHealth("outside", pharos::Health::kPassing);
    const grpc::Status healthy = registration.Wait(std::chrono::seconds(10));
    if (!healthy.ok()) {
      std::cerr << healthy.error_message();
      return 1;
    }
    pharos::Watcher later(agents, "outside");
    if (!later.Wait(std::chrono::seconds(10))) return 1;
    for (const pharos::Instance& found : later.instances()) {
      std::cout << found.address
                << (found.health == pharos::Health::kPassing ? " passing" : " not") << "\n";
    }
  }
  pharos::Watcher last(agents, "outside");
  if (!last.Wait(std::chrono::seconds(10))) return 1;
  std::cout << last.instances().size() << " left\n";
}
"""


class Example(lib.AgentTest):
    # No ping is missed while a test runs, however busy the machine.
    config = {"grpc_config": {"keepalive_interval": "10m", "keepalive_timeout": "10m"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = f"127.0.0.1:{cls.agent.ports['grpc']}"

    def start(self, program, *arguments):
        process = subprocess.Popen([str(PROGRAMS / program), *arguments], text=True,
                                   stdout=subprocess.PIPE)

        def end():
            process.kill()
            process.wait()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def orders(self, instance_id):
        process = self.start("orders", instance_id, self.address)
        self.assertRegex(process.stdout.readline(), rf"^orders {instance_id} is found at ")
        return process

    def until_answered_by(self, shop, instance_id):
        for line in shop.stdout:
            if line.strip() == f"answered by {instance_id}":
                return
        self.fail(f"never answered by {instance_id}")

    def failed(self, shop):
        rest = shop.stdout.read()
        return int(re.search(r"^(\d+) of \d+ calls failed$", rest, re.MULTILINE)[1])

    def test_a_killed_instance_costs_at_most_the_call_under_way(self):
        first, second = self.orders("a"), self.orders("b")
        self.assertEqual(len(self.dig("orders.service.consul", "SRV").rdata()), 2)
        shop = self.start("shop", self.address, str(CALLS))
        self.until_answered_by(shop, "b")
        first.kill()
        self.assertLessEqual(self.failed(shop), 1)
        self.assertIsNone(second.poll())

    def test_a_rolling_restart_costs_no_call(self):
        old = self.orders("c")
        shop = self.start("shop", self.address, str(CALLS))
        self.until_answered_by(shop, "c")
        self.orders("d")
        self.until_answered_by(shop, "d")
        old.send_signal(signal.SIGTERM)
        self.assertEqual(self.failed(shop), 0)
        self.assertEqual(old.wait(5), 0)

    def test_says_why_it_cannot_register(self):
        bad = subprocess.run([str(PROGRAMS / "orders"), "a\nb", self.address], text=True,
                             capture_output=True, timeout=60)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("open.instances[0].id", bad.stderr)

    def test_the_library_can_be_used_outside_of_the_tree(self):
        with tempfile.TemporaryDirectory(prefix="pharos-install-") as folder:
            subprocess.run(["meson", "install", "-C", str(lib.BUILD), "--no-rebuild", "--tags",
                            "devel"], env={**os.environ, "DESTDIR": folder}, check=True,
                           capture_output=True)
            found = list(pathlib.Path(folder).rglob("pharos-client.pc"))
            self.assertEqual(len(found), 1)
            prefix = pathlib.Path(folder) / "usr" / "local"
            flags = subprocess.run(
                ["pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs",
                 "pharos-client"], env={**os.environ, "PKG_CONFIG_PATH": str(found[0].parent)},
                check=True, capture_output=True, text=True).stdout.split()
            program = pathlib.Path(folder) / "program"
            program.with_suffix(".cc").write_text(PROGRAM)
            subprocess.run(["g++", "-std=c++20", str(program.with_suffix(".cc")), "-o",
                            str(program), *flags], check=True)
            run = subprocess.run([str(program), self.address], capture_output=True, text=True,
                                 timeout=60, check=False)
            self.assertEqual(run.stdout, "10.7.0.1 passing\n0 left\n", run.stderr)

    def test_comes_back_to_a_restarted_agent(self):
        with lib.Agent() as agent:
            process = self.start("orders", "e", f"127.0.0.1:{agent.ports['grpc']}")
            process.stdout.readline()
            agent.process.kill()
            agent.process.wait()
            agent.__enter__()
            deadline = time.monotonic() + 60
            while not agent.dig("orders.service.consul").rdata():
                self.assertLess(time.monotonic(), deadline)


if __name__ == "__main__":
    lib.main()
