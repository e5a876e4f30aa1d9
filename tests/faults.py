"""Two datacenters of three servers and two clients each, in network namespaces, through random faults:
the way between them is cut, clients are cut off, servers are killed, stopped, one or all, and clients started
anew. None may end but by that. Every agent is asked ten times a second throughout, over UDP, and each answer is
looked at. To be run as root in network and mount namespaces of its own: `unshare -n -m`. Ends with 0 when all was
as it should be.

    tests/faults.py [SECONDS [SEED]]

Of `fixed` in each datacenter, registered on a node that no agent is on, every value that was ever written is
right while its newest cannot be known, and once all is healed the newest alone. Of `mine`, each client's own,
any of those that clients have. No name of one datacenter may be answered from another.
"""
import collections
import pathlib
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import servers
import wire

PORTS = {"dns": 8600, "http": 8500, "server": 8300, "serf_lan": 8301, "serf_wan": 8302}
SERVERS, CLIENTS = 3, 2
INTERVAL_S = 0.1
ANSWER_S = 4.0  # A query is unanswered after that.
ALIVE = 1  # A member's status.
STALE_ANSWER, NO_AUTHORITY, NOT_READY = 3, 22, 14


def run(*words):
    subprocess.run(words, check=True)


def say(text):
    print(f"{time.strftime('%T')} {text}", flush=True)


class Agent(servers.Server):
    """One in a namespace, whose link to its datacenter is `linkD-N`."""

    def __init__(self, folder, dc, number):
        self.dc, self.is_server = dc, number < SERVERS
        self.peer = f"10.91.{dc}.{number + 1}"
        self.link = f"link{dc}-{number}"
        self.namespace = f"dc{dc}-{number}"
        self.cut = False
        self.started_at = 0.0
        self._make_namespace(number)
        lan = [f"10.91.{dc}.{i + 1}" for i in range(SERVERS)]
        config = {
            "node_name": self.namespace, "datacenter": f"dc{dc}", "server": self.is_server,
            "bind_addr": self.peer, "advertise_addr": self.peer, "client_addr": "0.0.0.0",
            "retry_join": lan, "retry_interval": "1s", "retry_interval_wan": "1s",
            "gossip_lan": {"profile": "local"}, "gossip_wan": {"profile": "local"},
            "leave_on_terminate": False, "log_level": "DEBUG",
            "ports": {**PORTS, "grpc": -1, "grpc_tls": -1},
            "performance": {"raft_multiplier": 5, "rpc_hold_timeout": "2s"},
        }
        if self.is_server:
            config["retry_join_wan"] = [f"10.91.{3 - dc}.{i + 1}" for i in range(SERVERS)]
        else:
            config["services"] = [{"name": "mine", "port": 80, "address": f"10.{dc}.1.{number}"}]
        super().__init__(pathlib.Path(folder) / f"dc{dc}", number, PORTS, lan,
                         SERVERS if self.is_server else 0, config,
                         prefix=["ip", "netns", "exec", self.namespace],
                         host=f"10.99.{dc}.{number + 1}")
        self.name = self.namespace
        self.address = f"{self.peer}:{PORTS['server']}"

    def _make_namespace(self, number):
        # One of a run that was killed may still be there.
        subprocess.run(["ip", "netns", "del", self.namespace], check=False,
                       stderr=subprocess.DEVNULL)
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        for link, bridge, address in ((self.link, f"dc{self.dc}", f"{self.peer}/24"),
                                      (f"ask{self.dc}-{number}", "asks",
                                       f"10.99.{self.dc}.{number + 1}/16")):
            run("ip", "link", "add", link, "type", "veth", "peer", "name", bridge, "netns",
                self.namespace)
            run("ip", "link", "set", link, "master", bridge, "up")
            run("ip", "-n", self.namespace, "addr", "add", address, "dev", bridge)
            run("ip", "-n", self.namespace, "link", "set", bridge, "up")
        run("ip", "-n", self.namespace, "route", "add", "default", "via", f"10.91.{self.dc}.254")

    def start(self):
        self.started_at = time.monotonic()
        return super().start()

    def kill(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def end(self):
        """As it is told to; it may have left its datacenter before, or not."""
        process, self.process = self.process, None
        process.terminate()
        status = process.wait(60)
        assert status in (0, 1), f"{self.name} ended with {status}"

    def set_link(self, up):
        self.cut = not up
        run("ip", "link", "set", self.link, "up" if up else "down")


class Fleet:
    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.folder = tempfile.TemporaryDirectory(prefix="pharos-faults-")
        run("ip", "link", "set", "lo", "up")
        for name, address in (("dc1", "10.91.1.254/24"), ("dc2", "10.91.2.254/24"),
                              ("asks", "10.99.0.254/16")):
            run("ip", "link", "add", name, "type", "bridge")
            run("ip", "addr", "add", address, "dev", name)
            run("ip", "link", "set", name, "up")
        self.set_wan(True)
        self.agents = [Agent(self.folder.name, dc, number)
                       for dc in (1, 2) for number in range(SERVERS + CLIENTS)]
        self.written = {1: [], 2: []}  # Addresses of `fixed`, also those nobody acknowledged.
        self.acknowledged = {1: 0, 2: 0}
        self.calm_from = float("inf")  # From then on, nothing has failed since.
        self.settled = {1: 0, 2: 0}  # How many values had been written a second ago, in calm.
        self.troubled_until = 0.0  # Until then parts of the fleet may not know of each other.

    def set_wan(self, up):
        self.wan = up
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1" if up else "0")

    def of(self, dc, is_server=None):
        return [agent for agent in self.agents
                if agent.dc == dc and is_server in (None, agent.is_server)]

    def alive(self, agents):
        return [agent for agent in agents if agent.running]

    def write(self, dc):
        """Another value of `fixed`, by way of any server that takes it."""
        number = len(self.written[dc]) + 1
        address = f"10.{dc}.2.{number % 250 + 1}" if number < 250 else \
            f"10.{dc}.{2 + number // 250}.{number % 250 + 1}"
        for agent in self.random.sample(self.alive(self.of(dc, True)), 1):
            self.written[dc].append(address)
            try:
                status = agent.ask("PUT", "/v1/catalog/register", {
                    "Node": "outside", "Address": "192.0.2.1",
                    "Service": {"Service": "fixed", "ID": "fixed", "Address": address,
                                "Port": 80}}, seconds=5)[0]
            except OSError:
                status = 0
            if status == 200:
                self.acknowledged[dc] = number
            return status == 200
        return False

    def end(self):
        for agent in self.agents:
            if agent.process is not None:
                agent.process.kill()
                agent.process.wait()
            subprocess.run(["ip", "netns", "del", agent.namespace], check=False,
                           stderr=subprocess.DEVNULL)
        self.folder.cleanup()


class Asker:
    """Asks all agents for all names, and judges what they say."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.problems, self.counts, self.ended = [], collections.Counter(), []
        self.random = random.Random(fleet.seed)  # The faults are those of the seed, however fast it is.
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self._socket.setblocking(False)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._end.set()
        self._thread.join()

    def _names(self, agent):
        for dc in (1, 2):
            suffix = "consul" if dc == agent.dc and self.random.random() < 0.5 else f"dc{dc}.consul"
            yield dc, "fixed", f"fixed.service.{suffix}"
            yield dc, "mine", f"mine.service.{suffix}"
            yield dc, "none", f"none.service.{suffix}"

    def _run(self):
        try:
            self._ask()
        except Exception:
            self.problems.append(traceback.format_exc())
            say(f"PROBLEM {self.problems[-1]}")

    def _ask(self):
        waiting = {}  # By id: agent, its process, datacenter, kind, name, when.
        ident, due = 0, time.monotonic()
        while not self._end.is_set() or waiting:
            now = time.monotonic()
            if now >= due and not self._end.is_set():
                due = now + INTERVAL_S
                for agent in self.fleet.agents:
                    process = agent.process
                    if process is not None and process.poll() is not None and \
                            process not in self.ended:
                        self.ended.append(process)
                        self._problem(agent, "", f"ended by itself, status {process.returncode}")
                    if not agent.running or now - agent.started_at < 2:
                        continue
                    for dc, kind, name in self._names(agent):
                        ident = ident % 65535 + 1
                        waiting[ident] = (agent, agent.process, dc, kind, name, now)
                        self._socket.sendto(wire.query(name, ident=ident, edns=wire.opt()),
                                            (agent.host, PORTS["dns"]))
            if select.select([self._socket], [], [], 0.02)[0]:
                for _ in range(200):
                    try:
                        message, _ = self._socket.recvfrom(65535)
                    except BlockingIOError:
                        break
                    asked = waiting.pop(wire.Head(message).ident, None)
                    if asked is not None:
                        self._judge(message, *asked)
            for number in [n for n, asked in waiting.items() if now - asked[5] > ANSWER_S]:
                agent, process, _, _, name, _ = waiting.pop(number)
                if agent.running and agent.process is process:
                    self._problem(agent, name, "no answer")

    def _problem(self, agent, name, what):
        self.problems.append(f"{time.strftime('%T')} {agent.name} {name}: {what}")
        if len(self.problems) <= 20:
            say(f"PROBLEM {self.problems[-1]}")

    def _judge(self, message, agent, process, dc, kind, name, asked):
        rcode = wire.Head(message).rcode
        error = wire.options(message).get(wire.EXTENDED_ERROR, b"")
        code = int.from_bytes(error[:2], "big") if error else None
        self.counts[(kind, rcode, code)] += 1
        addresses = {socket.inet_ntoa(rdata) for section, rtype, _, _, rdata in
                     wire.records(message) if section == "answer" and rtype == wire.TYPES["A"]}
        fresh_start = time.monotonic() - agent.started_at < 15
        # Nothing has failed for a while.
        calm = time.monotonic() > self.fleet.calm_from + 2 and not fresh_start
        if rcode == wire.SERVFAIL:
            # To say that it cannot be known is right where it cannot.
            elsewhere = dc != agent.dc and code == NO_AUTHORITY
            nothing_yet = fresh_start and code in (NOT_READY, NO_AUTHORITY)
            if not (nothing_yet or elsewhere and time.monotonic() < self.fleet.troubled_until):
                self._problem(agent, name, f"SERVFAIL with EDE {code}")
        elif kind == "none":
            if rcode != wire.NXDOMAIN or addresses:
                self._problem(agent, name, f"RCODE {rcode} {addresses}")
        elif kind == "fixed":
            right = set(self.fleet.written[dc])
            if len(addresses) != 1 or not addresses <= right:
                self._problem(agent, name, f"RCODE {rcode} {addresses} EDE {code}")
            elif calm:
                # What was acknowledged a second ago is seen by everybody.
                old = set(self.fleet.written[dc][:max(0, self.fleet.settled[dc] - 1)])
                if addresses <= old:
                    self._problem(agent, name, f"{addresses} is of the past")
        else:
            right = {f"10.{dc}.1.{SERVERS + i}" for i in range(CLIENTS)}
            if not addresses <= right or calm and addresses != right:
                self._problem(agent, name, f"RCODE {rcode} {addresses} EDE {code}")


class Faults:
    """What may happen; each returns what it did, or None where it cannot be now."""

    def __init__(self, fleet):
        self.fleet, self.random = fleet, fleet.random

    def cut_wan(self):
        if not self.fleet.wan:
            return None
        self.fleet.set_wan(False)
        return "the WAN is cut"

    def heal_wan(self):
        if self.fleet.wan:
            return None
        self.fleet.set_wan(True)
        return "the WAN is healed"

    def cut_client(self):
        whole = [agent for agent in self.fleet.agents
                 if not agent.is_server and agent.running and not agent.cut]
        if not whole:
            return None
        agent = self.random.choice(whole)
        agent.set_link(False)
        return f"{agent.name} is cut off"

    def heal_client(self):
        cut = [agent for agent in self.fleet.agents if agent.cut]
        if not cut:
            return None
        agent = self.random.choice(cut)
        agent.set_link(True)
        return f"{agent.name} is found again"

    def kill_server(self):
        agents = self.fleet.alive([agent for agent in self.fleet.agents if agent.is_server])
        if not agents:
            return None
        agent = self.random.choice(agents)
        if self.random.random() < 0.3:
            agent.end()
            return f"{agent.name} is stopped"
        agent.kill()
        return f"{agent.name} is killed"

    def kill_all_servers(self):
        dc = self.random.choice((1, 2))
        for agent in self.fleet.alive(self.fleet.of(dc, True)):
            agent.kill()
        return f"all servers of dc{dc} are killed"

    def start_servers(self):
        dead = [agent for agent in self.fleet.agents if not agent.running and agent.is_server]
        if not dead:
            return None
        # All of a datacenter: a server alone knows less than the clients do.
        dc = self.random.choice(dead).dc
        for agent in dead:
            if agent.dc == dc:
                agent.start()
        return f"the servers of dc{dc} are started"

    def restart_client(self):
        agents = self.fleet.alive([agent for agent in self.fleet.agents if not agent.is_server])
        if not agents:
            return None
        agent = self.random.choice(agents)
        if self.random.random() < 0.5:
            agent.kill()
        else:
            agent.end()
        agent.start()
        return f"{agent.name} is started anew"

    def step(self):
        kinds = [self.cut_wan, self.heal_wan, self.cut_client, self.heal_client, self.kill_server,
                 self.kill_all_servers, self.start_servers, self.start_servers,
                 self.restart_client]
        while True:
            done = self.random.choice(kinds)()
            if done is not None:
                self.fleet.troubled_until = self.fleet.calm_from = float("inf")
                return done


def heal(fleet):
    fleet.set_wan(True)
    for agent in fleet.agents:
        if agent.cut:
            agent.set_link(True)
        if not agent.running:
            agent.start()


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, ValueError, IndexError, AssertionError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


def addresses(agent, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect((agent.host, PORTS["dns"]))
        asker.settimeout(3)
        asker.send(wire.query(name, edns=wire.opt()))
        message = asker.recv(65535)
    if wire.options(message).get(wire.EXTENDED_ERROR):
        raise OSError("an error, or stale")
    return {socket.inet_ntoa(rdata) for section, rtype, _, _, rdata in wire.records(message)
            if section == "answer" and rtype == wire.TYPES["A"]}


def check_healed(fleet):
    """Everything is equal everywhere, and as it was written last."""
    for agent in fleet.agents:
        until(lambda agent=agent: [each["Status"] for each in agent.get("/v1/agent/members")] ==
              [ALIVE] * (SERVERS + CLIENTS), f"{agent.name} knows of all members", 120)
    for dc in (1, 2):
        until(lambda dc=dc: fleet.write(dc), f"dc{dc} takes changes")
        newest = {fleet.written[dc][-1]}
        mine = {f"10.{dc}.1.{SERVERS + i}" for i in range(CLIENTS)}
        for agent in fleet.agents:
            for name, right in (("fixed", newest), ("mine", mine)):
                until(lambda agent=agent, name=name, dc=dc, right=right: addresses(
                    agent, f"{name}.service.dc{dc}.consul") == right,
                      f"{name} of dc{dc} at {agent.name}")
        def catalogs(dc=dc):
            return {str(sorted((each["Node"], each["ServiceID"], each["ServiceAddress"])
                               for service in agent.get("/v1/catalog/services?stale")
                               for each in agent.get(f"/v1/catalog/service/{service}?stale")))
                    for agent in fleet.of(dc)}
        until(lambda: len(catalogs()) == 1, f"catalogs of dc{dc} are equal")
    fleet.troubled_until = time.monotonic() + 1
    calm(fleet, 6)


def calm(fleet, seconds):
    """Writes for a while during which nothing fails, and everybody has to see what is written."""
    fleet.calm_from = time.monotonic()
    end = fleet.calm_from + seconds
    while time.monotonic() < end:
        counts = {dc: len(fleet.written[dc]) for dc in (1, 2)}
        for dc in (1, 2):
            fleet.write(dc)
        time.sleep(1)
        fleet.settled.update(counts)
    fleet.calm_from = float("inf")


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    say(f"seed {seed}")
    fleet = Fleet(seed)
    failed = True
    try:
        for agent in fleet.agents:
            agent.start()
        fleet.troubled_until = float("inf")
        check_healed(fleet)
        faults = Faults(fleet)
        with Asker(fleet) as asker:
            end = time.monotonic() + seconds
            heals = 0
            while time.monotonic() < end and not asker.problems[20:]:
                for _ in range(fleet.random.randrange(2, 7)):
                    say(faults.step())
                    pause = time.monotonic() + fleet.random.uniform(0.5, 6)
                    while time.monotonic() < pause:
                        dc = fleet.random.choice((1, 2))
                        if fleet.alive(fleet.of(dc, True)):
                            fleet.write(dc)
                        time.sleep(0.3)
                heal(fleet)
                check_healed(fleet)
                heals += 1
                say(f"all is healed and equal; {sum(asker.counts.values())} answers so far, "
                    f"{len(asker.problems)} problems")
        for agent in fleet.agents:
            agent.end()
        if not asker.counts:
            asker.problems.append("nothing was ever answered")
        say(f"{heals} rounds; answers by kind, RCODE and extended error:")
        for key, count in sorted(asker.counts.items(), key=str):
            print(f"  {key}: {count}")
        failed = bool(asker.problems)
        print(f"{len(asker.problems)} problems")
    finally:
        if failed:
            for agent in fleet.agents:
                if agent.log_path.exists():
                    print(f"--- {agent.name}\n" + "\n".join(agent.log().splitlines()[-40:]))
        fleet.end()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
