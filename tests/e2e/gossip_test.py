"""Agents in one encrypted pool with Serf's own (Debian's package `serf`), and with one another."""
import base64
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import http_client  # noqa: E402
import lib  # noqa: E402

KEY = base64.b64encode(bytes(range(32))).decode()
NEW_KEY = base64.b64encode(bytes(range(32, 64))).decode()
OTHER_KEY = base64.b64encode(bytes(range(64, 96))).decode()
TWO_ID = "22222222-2222-2222-2222-222222222222"
STATUS = {1: "alive", 2: "leaving", 3: "left", 4: "failed"}


def until(what, condition, seconds=30):
    """The first true value of `condition`, asked again until the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}; at last {value!r}")
        time.sleep(0.05)


class Serf:
    """A Serf agent of Debian's, for use in `with`."""

    def __init__(self, name, key=KEY, join=None, tags=(), profile="local"):
        self.name = name
        self.port, self.rpc_port = lib.free_ports(2)
        self._folder = tempfile.TemporaryDirectory(prefix="pharos-serf-")
        self.folder = pathlib.Path(self._folder.name)
        self.arguments = ["-node", name, "-bind", f"127.0.0.1:{self.port}",
                          "-rpc-addr", f"127.0.0.1:{self.rpc_port}", "-profile", profile]
        if key:
            keyring = self.folder / "keyring.json"
            keyring.write_text(json.dumps([key]))
            self.arguments += ["-keyring-file", str(keyring)]
        for tag in tags:
            self.arguments += ["-tag", tag]
        if join:
            self.arguments += ["-join", f"127.0.0.1:{join}"]

    def __enter__(self):
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(["serf", "agent", *self.arguments],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(f"serf {self.name} runs", lambda: self.run("info", check=False).returncode == 0)
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *arguments, check=True):
        command = ["serf", arguments[0], f"-rpc-addr=127.0.0.1:{self.rpc_port}", *arguments[1:]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done

    def members(self):
        listed = json.loads(self.run("members", "-format=json").stdout)["members"]
        return {member["name"]: member for member in listed}

    def status(self, name):
        return self.members().get(name, {}).get("status")


def agent(name, config=None, **more):
    """An agent with the patience of Serf's profile `local`: those of -dev are for a quiet machine."""
    return lib.Agent({"node_name": name, "gossip_lan": {"profile": "local"},
                      "gossip_wan": {"profile": "local"}, **(config or {})}, **more)


def client(agent):
    return http_client.Client(agent.ports["http"])


def members(agent):
    listed = client(agent).ask("GET", "agent/members").json
    return {member["Name"]: member for member in listed}


def status(agent, name):
    return STATUS.get(members(agent).get(name, {}).get("Status"))


def pharos(agent, command, *arguments):
    return subprocess.run([str(lib.PHAROS), command,
                           f"-http-addr=127.0.0.1:{agent.ports['http']}", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=60)


def serf_health(agent, node):
    """The status of the check `serfHealth` of a node in the agent's catalog; None without one."""
    for check in client(agent).ask("GET", f"health/node/{node}").json:
        if check["CheckID"] == "serfHealth":
            return check["Status"]
    return None


@unittest.skipUnless(shutil.which("serf"), "Debian's package serf is not installed")
class WithSerf(unittest.TestCase):
    def test_a_pool_of_both_in_all_it_does(self):
        with Serf("alpha", tags=["role=web", "rack=r1"]) as alpha, \
                Serf("beta", join=alpha.port) as beta, \
                agent("ours", {"encrypt": KEY},
                      args=["-join", f"127.0.0.1:{alpha.port}"]) as ours:
            self.check_members(alpha, beta, ours)
            self.check_events_and_queries(alpha, beta, ours)
            self.check_keys(alpha, ours)
            self.check_leaving(alpha, beta, ours)

    def check_members(self, alpha, beta, ours):
        for serf in (alpha, beta):
            until("serf lists us", lambda serf=serf: serf.status("ours") == "alive")
        tags = alpha.members()["ours"]["tags"]
        self.assertEqual((tags["role"], tags["dc"], tags["server"]), ("pharos", "dc1", "1"))
        self.assertEqual(alpha.members()["ours"]["addr"], f"127.0.0.1:{ours.ports['serf_lan']}")
        until("we list serf", lambda: status(ours, "beta") == "alive")
        self.assertEqual(members(ours)["alpha"]["Tags"], {"role": "web", "rack": "r1"})
        self.assertEqual(members(ours)["ours"]["Tags"]["role"], "consul", "as clients look for")
        alpha.run("tags", "-set", "rack=r2")
        until("a changed tag", lambda: members(ours)["alpha"]["Tags"].get("rack") == "r2")
        listed = pharos(ours, "members", "-detailed").stdout
        self.assertRegex(listed, r"alpha +127\.0\.0\.1:\d+ +alive +rack=r2,role=web")

    def check_events_and_queries(self, alpha, beta, ours):
        fired = pharos(ours, "event", "-name", "deploy", "v7").stdout
        self.assertRegex(fired, r"^Event ID: [0-9a-f-]{36}\n$")
        until("our event at ourselves", lambda: client(ours).ask("GET", "event/list").json)
        event = client(ours).ask("GET", "event/list?name=deploy").json[0]
        self.assertEqual((event["Name"], base64.b64decode(event["Payload"])), ("deploy", b"v7"))
        until("our event at serf", lambda: "consul:event:deploy" in beta.log())
        answers = alpha.run("query", "-timeout=3s", "uptime").stdout
        self.assertIn("Ack from 'ours'", answers)
        self.assertIn("Ack from 'beta'", answers)
        answers = alpha.run("query", "-timeout=3s", "-tag", "server=1", "only-servers").stdout
        self.assertIn("Ack from 'ours'", answers)
        self.assertNotIn("Ack from 'beta'", answers)
        self.assertIn("Successfully contacted all live nodes", alpha.run("reachability").stdout)
        until("coordinates", lambda: {"alpha", "beta", "ours"} <= {
            node["Node"] for node in client(ours).ask("GET", "coordinate/nodes").json})
        self.assertRegex(pharos(ours, "rtt", "alpha").stdout,
                         r"^Estimated alpha <-> ours rtt: [0-9.]+ ms \(using LAN coordinates\)\n$")
        until("serf has our coordinate",
              lambda: "Estimated" in alpha.run("rtt", "ours", check=False).stdout)

    def check_keys(self, alpha, ours):
        alpha.run("keys", "-install", NEW_KEY)
        listed = alpha.run("keys", "-list").stdout
        self.assertRegex(listed, re.escape(NEW_KEY) + r" +\[3/3\]")
        alpha.run("keys", "-use", NEW_KEY)
        alpha.run("keys", "-remove", KEY)
        rings = client(ours).ask("GET", "operator/keyring").json
        lan = [ring for ring in rings if not ring["WAN"]][0]
        self.assertEqual((lan["Keys"], lan["PrimaryKeys"], lan["NumNodes"]),
                         ({NEW_KEY: 3}, {NEW_KEY: 3}, 3))
        for step in (("-install", OTHER_KEY), ("-use", OTHER_KEY), ("-remove", NEW_KEY)):
            changed = pharos(ours, "keyring", "-local-only", *step)
            self.assertEqual(changed.returncode, 0, changed.stdout)
        self.assertIn(f"{OTHER_KEY} [3/3]", pharos(ours, "keyring", "-list").stdout)
        refused = pharos(ours, "keyring", "-local-only", "-use", KEY)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("is on 0 of 3 nodes", refused.stdout)
        self.assertEqual(status(ours, "alpha"), "alive", "nobody noticed")

    def check_leaving(self, alpha, beta, ours):
        beta.run("leave")
        until("who left", lambda: status(ours, "beta") == "left")
        client(ours).ask("PUT", "agent/leave")
        self.assertEqual(ours.process.wait(30), 0)
        until("that we left", lambda: alpha.status("ours") == "left")

    def test_they_join_us_and_die(self):
        with agent("ours", {"encrypt": KEY}) as ours, \
                Serf("alpha", join=ours.ports["serf_lan"]) as alpha:
            until("we list serf", lambda: status(ours, "alpha") == "alive")
            alpha.process.send_signal(signal.SIGKILL)
            until("it failed", lambda: status(ours, "alpha") == "failed")
            # Plain members are none of the catalog's.
            self.assertIsNone(serf_health(ours, "alpha"))
            self.assertEqual(pharos(ours, "force-leave", "-prune", "alpha").returncode, 0)
            until("it is forgotten", lambda: status(ours, "alpha") is None)
            unknown = pharos(ours, "force-leave", "nobody")
            self.assertIn("No node found with name 'nobody'", unknown.stdout)

    def test_who_was_away_when_a_key_came_gets_it(self):
        with agent("ours", {"encrypt": KEY}) as ours:
            installed = pharos(ours, "keyring", "-local-only", "-install", NEW_KEY)
            self.assertEqual(installed.returncode, 0, installed.stdout)
            with Serf("late", join=ours.ports["serf_lan"]):
                until("it has the key", lambda: f"{NEW_KEY} [2/2]" in
                      pharos(ours, "keyring", "-local-only", "-list").stdout)

    def test_a_wrong_key_is_refused_and_named(self):
        with agent("ours", {"encrypt": KEY}) as ours, \
                Serf("alpha", key=NEW_KEY) as alpha:
            joined = alpha.run("join", f"127.0.0.1:{ours.ports['serf_lan']}", check=False)
            self.assertNotEqual(joined.returncode, 0)
            self.assertIn("no key of ours decrypts the stream", ours.log())
            self.assertIn("Refused a stream: from=127.0.0.1:", ours.log())
            self.assertEqual(list(members(ours)), ["ours"])


class WithOneAnother(unittest.TestCase):
    def test_a_member_is_in_the_catalog_as_long_as_it_is_alive(self):
        fast = {"encrypt": KEY, "gossip_lan": {"profile": "fast"}}
        with agent("one", fast) as one:
            two = agent("two", {"node_id": TWO_ID, **fast,
                                "retry_join": [f"127.0.0.1:{one.ports['serf_lan']}"]})
            with two:
                until("two is registered", lambda: serf_health(one, "two") == "passing")
                two.process.send_signal(signal.SIGKILL)
                two.process.wait()
                until("two failed", lambda: serf_health(one, "two") == "critical")
                self.assertEqual(one.dig("two.node.consul").rdata(), ["127.0.0.1"])
                two.__enter__()
                until("two is back", lambda: serf_health(one, "two") == "passing")
                self.assertEqual(pharos(two, "leave").returncode, 0)
                self.assertEqual(two.process.wait(30), 0)
                until("two is removed", lambda: serf_health(one, "two") is None)
                self.assertEqual(one.dig("two.node.consul").status, "NXDOMAIN")

    def test_joining_by_request(self):
        with agent("one") as one, \
                agent("two", {"node_id": TWO_ID}) as two:
            joined = pharos(two, "join", f"127.0.0.1:{one.ports['serf_lan']}")
            self.assertEqual(joined.stdout,
                             "Successfully joined cluster by contacting 1 nodes.\n")
            until("one lists two", lambda: status(one, "two") == "alive")
            failed = pharos(two, "join", f"127.0.0.1:{lib.free_ports(1)[0]}")
            self.assertEqual(failed.returncode, 1)
            self.assertIn("Failed to join", failed.stdout)
            wan = client(one).ask("GET", "agent/members?wan=1").json
            self.assertEqual([member["Name"] for member in wan if member["Name"] == "one.dc1"],
                             ["one.dc1"])
            until("servers bring each other into the WAN pool", lambda: {"one.dc1", "two.dc1"} == {
                member["Name"]
                for member in client(one).ask("GET", "agent/members?wan=1").json})

    def test_an_agent_of_another_datacenter_stays_outside(self):
        with agent("one") as one, \
                agent("two", {"datacenter": "dc2", "node_id": TWO_ID}) as two:
            pharos(two, "join", f"127.0.0.1:{one.ports['serf_lan']}")
            self.assertEqual(list(members(one)), ["one"])
            self.assertEqual(list(members(two)), ["two"])

    def test_waiting_for_an_event(self):
        with agent("one") as one:
            first = client(one).ask("GET", "event/list")
            self.assertEqual(first.json, [])
            waiting = subprocess.Popen(
                ["curl", "-s", f"http://127.0.0.1:{one.ports['http']}/v1/event/list"
                 f"?index={first.index}&wait=30s"], stdout=subprocess.PIPE, text=True)
            self.assertIsNone(waiting.poll())
            client(one).ask("PUT", "event/fire/deploy", "x")
            out, _ = waiting.communicate(timeout=20)
            self.assertEqual(json.loads(out)[0]["Name"], "deploy")
            bad = client(one).ask("PUT", "event/fire/deploy?tag=x")
            self.assertEqual((bad.status, bad.text),
                             (400, "Cannot provide tag filter without service filter"))

    def test_the_pool_is_remembered_over_a_restart(self):
        with tempfile.TemporaryDirectory() as folder, agent("one") as one:
            ports = dict(zip(["dns", "http", "serf_lan", "serf_wan", "server"], lib.free_ports(5)))
            config = pathlib.Path(folder) / "config.json"
            config.write_text(json.dumps({
                "node_name": "two", "bind_addr": "127.0.0.1", "data_dir": folder + "/data",
                "gossip_lan": {"profile": "local"}, "encrypt": "",
                "ports": {**ports, "grpc": -1}}))

            def start(*more):
                return subprocess.Popen([str(lib.PHAROS), "agent", "-config-file", str(config), *more],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            process = start("-join", f"127.0.0.1:{one.ports['serf_lan']}")
            try:
                until("two is there", lambda: status(one, "two") == "alive")
                until("two remembers", lambda: "alive: one " in
                      (pathlib.Path(folder) / "data/serf/local.snapshot").read_text())
                process.send_signal(signal.SIGKILL)
                process.wait()
                until("two failed", lambda: status(one, "two") == "failed")
                process = start()
                until("two is back by itself", lambda: status(one, "two") == "alive")
                # A client leaves when it is told to end.
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(30), 0)
                until("two left", lambda: status(one, "two") == "left")
            finally:
                process.kill()
                process.wait()


if __name__ == "__main__":
    lib.main()
