"""Three servers, each in a network namespace of its own; the leader is cut off from the others, and later
found again. To be run as root in network and mount namespaces of its own: `unshare -n -m`. Ends with 0
when all is as it should be, else with what is not.

The servers have two networks: 10.98.0.0/24, by which they speak with each other and which is cut, and
10.99.0.0/24, by which they are asked.
"""
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import lib
import servers

PORTS = {"dns": 8600, "http": 8500, "server": 8300}
HOLD = {"performance": {"raft_multiplier": 5, "rpc_hold_timeout": "1s"}}


def run(*words):
    subprocess.run(words, check=True)


def make_bridge(name, address):
    run("ip", "link", "add", name, "type", "bridge")
    run("ip", "addr", "add", address, "dev", name)
    run("ip", "link", "set", name, "up")


def make_namespace(number):
    """Its name; on the bridges its links are `peerN` and `askN`."""
    name = f"server{number}"
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    for bridge, network in (("peer", "10.98.0"), ("ask", "10.99.0")):
        run("ip", "link", "add", f"{bridge}{number}", "type", "veth", "peer", "name", bridge, "netns",
            name)
        run("ip", "link", "set", f"{bridge}{number}", "master", f"{bridge}s", "up")
        run("ip", "-n", name, "addr", "add", f"{network}.{number + 1}/24", "dev", bridge)
        run("ip", "-n", name, "link", "set", bridge, "up")
    return name


def dns_port(server):
    """The port of `web` in its DNS."""
    answer = lib.dig(server.ports["dns"], "web.service.consul", "SRV", server=server.host)
    return [int(rdata.split()[2]) for rdata in answer.rdata()]


def try_port_of(server, mode):
    try:
        return server.port_of("web", mode)
    except OSError:
        return None


def cut_and_heal(cluster):
    leader = cluster.wait_leader()
    others = [server for server in cluster if server is not leader]
    assert leader.register("web", 1) == 200
    for server in cluster:
        cluster.wait(lambda server=server: dns_port(server) == [1], "all show it")

    run("ip", "link", "set", f"peer{leader.number}", "down")
    began = time.monotonic()
    cluster.wait(lambda: others[0].register("web", 2) == 200, "the others take changes")
    took = time.monotonic() - began
    # The one that was cut off may not have noticed yet; what it says must be new all the same.
    assert try_port_of(leader, "consistent") is None, "a consistent read saw what was outdated"
    assert leader.register("lost", 1) == 500, "a change was acknowledged by a minority"
    assert try_port_of(leader, "default") is None, "it takes itself for the leader still"
    assert leader.port_of("web", "stale") == 1
    assert dns_port(leader) == [1], "DNS goes on with what it knows"
    for server in others:
        assert server.port_of("web") == 2
        cluster.wait(lambda server=server: dns_port(server) == [2], "the others show the change")

    run("ip", "link", "set", f"peer{leader.number}", "up")
    began = time.monotonic()
    cluster.wait(lambda: dns_port(leader) == [2], "it catches up")
    healed = time.monotonic() - began
    cluster.wait_ready()
    assert leader.register("web", 3) == 200
    for server in cluster:
        assert server.port_of("web") == 3
    fates = {server.port_of("lost") for server in cluster}
    assert len(fates) == 1, f"they do not agree on what was refused: {fates}"
    print(f"  others took changes after {took:.2f} s; healed after {healed:.2f} s")


def main():
    run("ip", "link", "set", "lo", "up")
    make_bridge("peers", "10.98.0.254/24")
    make_bridge("asks", "10.99.0.254/24")
    cluster = servers.Servers(3, start=False)
    try:
        cluster.servers = []
        join = [f"10.98.0.{number + 1}:{PORTS['server']}" for number in range(3)]
        for number in range(3):
            address = f"10.98.0.{number + 1}"
            config = {**HOLD, "bind_addr": address, "advertise_addr": address,
                      "client_addr": "0.0.0.0"}
            server = servers.Server(
                cluster.folder, number, PORTS, join, 3, config,
                prefix=["ip", "netns", "exec", make_namespace(number)], host=f"10.99.0.{number + 1}")
            server.address = f"{address}:{PORTS['server']}"
            cluster.servers.append(server)
        with cluster:
            for server in cluster:
                server.start()
            cluster.wait_ready(30)
            cut_and_heal(cluster)
    finally:
        for number in range(3):
            subprocess.run(["ip", "netns", "del", f"server{number}"], stderr=subprocess.DEVNULL,
                           check=False)


if __name__ == "__main__":
    main()
