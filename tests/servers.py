"""Clusters of real servers on loopback, for tests that kill, stop and cut them off."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import lib

READY_SECONDS = 20


class Server:
    """One server: its data stays from start to start."""

    def __init__(self, folder, number, ports, join, expect, config=None, prefix=(), env=None,
                 host="127.0.0.1"):
        self.number, self.ports, self.prefix, self.env = number, ports, list(prefix), env
        self.host = host  # Where it answers; it speaks with the others at `bind_addr`.
        self.address = f"127.0.0.1:{ports['server']}"
        self.folder = pathlib.Path(folder) / f"server-{number}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = f"server-{number}"
        self.process = None
        settings = {
            "node_name": self.name, "server": True, "data_dir": str(self.folder / "data"),
            "bind_addr": "127.0.0.1",
            "ports": {"grpc": -1, "grpc_tls": -1, "serf_lan": -1, "serf_wan": -1, **ports},
            "retry_join": join, "performance": {"raft_multiplier": 5},
            "bootstrap_expect": expect, "limits": {"http_max_conns_per_client": 1000},
        }
        settings.update(config or {})
        if expect == 0:
            del settings["bootstrap_expect"]
        (self.folder / "config.json").write_text(json.dumps(settings))
        self.log_path = self.folder / "log"

    def start(self):
        assert self.process is None
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*self.prefix, str(lib.PHAROS), "agent", "-config-file", str(self.folder / "config.json")],
            stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(self.env or {})})
        log.close()
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self, seconds=20):
        """SIGTERM; the exit status."""
        self.process.terminate()
        status = self.process.wait(seconds)
        self.process = None
        return status

    def signal(self, number):
        self.process.send_signal(number)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ask(self, method, path, body=None, seconds=12):
        """Status, headers (names in lower case) and body; OSError when nobody answers."""
        connection = http.client.HTTPConnection(self.host, self.ports["http"], timeout=seconds)
        try:
            data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
            connection.request(method, path, data)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def get(self, path, seconds=12):
        status, _, body = self.ask("GET", path, seconds=seconds)
        if status != 200:
            raise OSError(f"{path}: {status} {body[:200]}")
        return json.loads(body)

    def register(self, service, port, node="alpha", seconds=12):
        """The status of a registration at this server."""
        return self.ask("PUT", "/v1/catalog/register",
                        {"Node": node, "Address": "10.0.0.1", "SkipNodeUpdate": False,
                         "Service": {"Service": service, "Port": port}}, seconds=seconds)[0]

    def port_of(self, service, mode="consistent", seconds=12):
        instances = self.get(f"/v1/catalog/service/{service}?{mode}", seconds=seconds)
        return instances[0]["ServicePort"] if instances else None

    def leader(self):
        return self.get("/v1/status/leader", seconds=2)

    def metric(self, name):
        """The value of a metric without labels; OSError when nobody answers."""
        status, _, body = self.ask("GET", "/v1/agent/metrics?format=prometheus", seconds=3)
        for line in body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise OSError(f"no metric {name} ({status})")

    def dig(self, name, type="A", *options, seconds=2):
        return lib.dig(self.ports["dns"], name, type, *options, seconds=seconds)

    def cli(self, *args):
        run = subprocess.run([str(lib.PHAROS), *args[:1], *args[1:]],
                             env={**os.environ, "PHAROS_HTTP_ADDR": f"127.0.0.1:{self.ports['http']}"},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return run.returncode, run.stdout


class Servers:
    """`count` servers that expect each other, for use in `with`. They find each other by asking, or
    with `gossip` by that alone."""

    def __init__(self, count=3, expect=None, config=None, start=True, gossip=False):
        self._folder = tempfile.TemporaryDirectory(prefix="pharos-servers-")
        self.folder = self._folder.name
        self.config = config
        self.names = ["dns", "http", "server", *(["serf_lan"] if gossip else [])]
        free = lib.free_ports(len(self.names) * count)
        ports = [dict(zip(self.names, free[i * len(self.names):])) for i in range(count)]
        expect = count if expect is None else expect
        self.servers = [Server(self.folder, i, ports[i], self.joined(ports), expect, config)
                        for i in range(count)]
        self._start = start

    def joined(self, ports):
        """Where who joins finds the servers that have these ports."""
        return [f"127.0.0.1:{each.get('serf_lan', each['server'])}" for each in ports]

    def add(self):
        """One more, which expects nobody and joins those that are there."""
        ports = dict(zip(self.names, lib.free_ports(len(self.names))))
        join = self.joined([server.ports for server in self.servers])
        server = Server(self.folder, len(self.servers), ports, join, 0, self.config)
        self.servers.append(server)
        return server

    def __enter__(self):
        if self._start:
            for server in self.servers:
                server.start()
            self.wait_ready()
        return self

    def __exit__(self, *exception):
        if exception[0] is not None:
            for server in self.servers:
                print(f"--- {server.name}\n" + "\n".join(server.log().splitlines()[-25:]))
        for server in self.servers:
            if server.process is not None:
                try:
                    server.signal(signal.SIGCONT)
                except OSError:
                    pass
                server.process.kill()
                server.process.wait()
        self._folder.cleanup()

    def __iter__(self):
        return iter(self.servers)

    def __getitem__(self, index):
        return self.servers[index]

    def running(self):
        return [server for server in self.servers if server.running]

    def leader(self):
        """The server that most say leads; None when there is none."""
        for server in self.running():
            try:
                address = server.leader()
            except OSError:
                continue
            for other in self.servers:
                if address == other.address and other.running:
                    return other
        return None

    def wait(self, condition, what, seconds=READY_SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                result = condition()
                if result:
                    return result
            except (OSError, ValueError, KeyError, IndexError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}")

    def wait_leader(self, seconds=READY_SECONDS):
        return self.wait(self.leader, "a leader", seconds)

    def voters(self, server):
        servers = server.get("/v1/operator/raft/configuration")["Servers"]
        return sorted(each["Node"] for each in servers if each["Voter"])

    def wait_ready(self, seconds=READY_SECONDS):
        """Until every running server votes, and each knows the leader."""
        names = sorted(server.name for server in self.running())
        self.wait(lambda: all(server.leader() and self.voters(server) == names
                              for server in self.running()), "all servers vote", seconds)


class Datacenter(Servers):
    """Servers that gossip, and agents in client mode beside them, for use in `with`.

    `config` is laid over every agent's configuration, `client_config` over that of those that are no
    servers. The agents of several datacenters that share a
    `folder` find each other by their WAN pools.
    """

    NAMES = ["dns", "http", "server", "serf_lan", "serf_wan"]

    def __init__(self, server_count=3, client_count=2, name="dc1", config=None, join_wan=(),
                 client_config=None):
        super().__init__(server_count, start=False)
        self.name = name
        count = server_count + client_count
        free = lib.free_ports(len(self.NAMES) * count)
        ports = [dict(zip(self.NAMES, free[i * len(self.NAMES):])) for i in range(count)]
        self.lan = [f"127.0.0.1:{each['serf_lan']}" for each in ports[:server_count]]
        self.wan = [f"127.0.0.1:{each['serf_wan']}" for each in ports[:server_count]]

        def make(number, role, expect, settings):
            agent = Server(self.folder, number, ports[number], self.lan, expect, {
                "node_name": f"{name}-{role}-{number}", "datacenter": name,
                "ports": {**ports[number], "grpc": -1, "grpc_tls": -1},
                "gossip_lan": {"profile": "local"}, "gossip_wan": {"profile": "local"},
                "retry_interval": "1s", "retry_interval_wan": "1s", "log_level": "DEBUG",
                **settings, **(config or {})})
            agent.name = f"{name}-{role}-{number}"
            return agent

        self.servers = [make(i, "server", server_count, {"retry_join_wan": list(join_wan)})
                        for i in range(server_count)]
        # The ports of their servers are told to them by gossip alone.
        self.clients = [make(i, "client", 0, {"server": False, "leave_on_terminate": False,
                                              **(client_config or {})})
                        for i in range(server_count, count)]

    def __enter__(self):
        for agent in self.servers + self.clients:
            agent.start()
        self.wait_ready()
        for client in self.clients:
            self.wait(lambda client=client: self.follows(client), f"{client.name} follows a server")
        return self

    def __exit__(self, *exception):
        self.servers = self.servers + self.clients
        super().__exit__(*exception)

    @staticmethod
    def follows(client):
        return client.metric("pharos_replica_connected") == 1 and client.leader()

