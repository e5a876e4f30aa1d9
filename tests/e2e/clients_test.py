"""Clients that others wrote: libraries, and servers that find their backends by our DNS."""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire

HERE = pathlib.Path(__file__).resolve().parent
DEBIAN_PYTHON = "/usr/bin/python3"  # Which Debian's packages are for.


class Libraries(unittest.TestCase):
    def run_client(self, *command, **options):
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                             timeout=60, check=False, **options)
        self.assertEqual(run.stdout.strip(), "ok", run.stderr)

    def test_python_consul(self):
        with lib.Agent() as agent:
            self.run_client(DEBIAN_PYTHON, HERE / "python_consul_client.py", agent.ports["http"])

    def test_npm_consul(self):
        # Kept beside the project's other caches, as it is fetched.
        folder = lib.ROOT / ".cache" / "npm-client"
        folder.mkdir(parents=True, exist_ok=True)
        for name in "package.json", "package-lock.json", "client.js":
            shutil.copy(HERE / "npm" / name, folder / name)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True,
                       timeout=120)
        with lib.Agent() as agent:
            self.run_client("node", "client.js", agent.ports["http"], cwd=folder)

    def test_curl(self):
        with lib.Agent() as agent:
            url = f"http://127.0.0.1:{agent.ports['http']}/v1"
            curl = lambda *args: subprocess.run(["curl", "-sS", "--compressed", *args], check=True,
                                                capture_output=True, text=True).stdout
            self.assertEqual(curl("-X", "PUT", "-d", '{"Name": "web"}',
                                  f"{url}/agent/service/register"), "")
            self.assertIn('"ServiceName": "web"', curl(f"{url}/catalog/service/web"))
            self.assertIn('"ServiceName":"web"',
                          curl("-G", "--data-urlencode", 'filter=ServiceName == "web"',
                               f"{url}/catalog/service/web").replace('": "', '":"'))


class Backend:
    """A web server that says its name."""

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Proxies(unittest.TestCase):
    """A proxy finds the healthy instances of `web` by DNS alone, and follows their health."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o777)
        self.agent = lib.Agent()
        self.agent.__enter__()
        self.addCleanup(self.agent.__exit__)
        self.client = http_client.Client(self.agent.ports["http"])
        self.backends = [Backend("one"), Backend("two")]
        for i, backend in enumerate(self.backends):
            self.addCleanup(backend.close)
            self.client.put("agent/service/register", {
                "Name": "web", "ID": f"web-{i}", "Address": "127.0.0.1", "Port": backend.port,
                "Check": {"TTL": "1h", "Status": "passing"}})
        self.port, = lib.free_ports(1)

    def start(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def stop():
            process.terminate()
            process.communicate(timeout=lib.STOP_SECONDS)
        self.addCleanup(stop)

    def write(self, name, text):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(textwrap.dedent(text).strip() + "\n")
        return str(path)

    def who_answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=3) as reply:
                return reply.read().decode()
        except (urllib.error.URLError, OSError):
            return None

    def follows_health(self):
        seen = set()
        wire.until("both instances answer", lambda: seen.add(self.who_answers()) or
                   {"one", "two"} <= seen)
        self.client.put("agent/check/fail/service:web-0")
        wire.until("only the other one answers",
                   lambda: {self.who_answers() for _ in range(8)} == {"two"})
        self.client.put("agent/check/pass/service:web-0")
        seen.clear()
        wire.until("both answer again", lambda: seen.add(self.who_answers()) or
                   {"one", "two"} <= seen)

    def test_haproxy_server_template(self):
        config = self.write("haproxy.cfg", f"""
            defaults
              mode http
              timeout connect 1s
              timeout client 5s
              timeout server 5s
            resolvers pharos
              nameserver agent 127.0.0.1:{self.agent.dns_port}
              accepted_payload_size 8192
              hold valid 100ms
              hold nx 100ms
              hold obsolete 100ms
              timeout resolve 200ms
              timeout retry 200ms
            frontend in
              bind 127.0.0.1:{self.port}
              default_backend web
            backend web
              balance roundrobin
              server-template web 5 _web._tcp.service.consul resolvers pharos resolve-opts allow-dup-ip init-addr none check inter 200ms
            """)
        self.start("/usr/sbin/haproxy", "-db", "-f", config)
        self.follows_health()

    def test_nginx_resolver(self):
        # nginx takes addresses alone from DNS, so both instances have one port and two addresses.
        ports = lib.free_ports(1)

        class Named(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = {"127.0.0.2": b"one", "127.0.0.3": b"two"}[self.server.server_address[0]]
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name)

            def log_message(self, *_):
                pass

        for i, address in enumerate(("127.0.0.2", "127.0.0.3")):
            server = http.server.ThreadingHTTPServer((address, ports[0]), Named)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            self.client.put("agent/service/register", {
                "Name": "web", "ID": f"web-{i}", "Address": address, "Port": ports[0],
                "Check": {"TTL": "1h", "Status": "passing"}})
        config = self.write("nginx.conf", f"""
            daemon off;
            pid {self.folder.name}/pid;
            error_log stderr;
            events {{}}
            http {{
              access_log off;
              client_body_temp_path {self.folder.name}/body;
              proxy_temp_path {self.folder.name}/proxy;
              fastcgi_temp_path {self.folder.name}/fastcgi;
              uwsgi_temp_path {self.folder.name}/uwsgi;
              scgi_temp_path {self.folder.name}/scgi;
              resolver 127.0.0.1:{self.agent.dns_port} valid=1s ipv6=off;
              server {{
                listen 127.0.0.1:{self.port};
                set $backend web.service.consul;
                location / {{ proxy_pass http://$backend:{ports[0]}; }}
              }}
            }}
            """)
        self.start("/usr/sbin/nginx", "-c", config, "-p", self.folder.name)
        self.follows_health()


@unittest.skipUnless(shutil.which("prometheus"), "Debian's package prometheus is not installed")
class Prometheus(unittest.TestCase):
    """Prometheus reads our metrics, and finds what to scrape by HTTP. (Debian's is built without
    its discovery for Consul, whose requests are in sequences_test.py.)"""

    def setUp(self):
        self.agent = self.enterContext(lib.Agent({"node_meta": {"rack-id": "r1"}}))
        self.client = http_client.Client(self.agent.ports["http"])
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.port, = lib.free_ports(1)
        address = f"127.0.0.1:{self.agent.ports['http']}"
        (self.folder / "prometheus.yml").write_text(textwrap.dedent(f"""
            global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
            scrape_configs:
              - job_name: agent
                metrics_path: /v1/agent/metrics
                params: {{ format: [prometheus] }}
                static_configs: [{{ targets: ["{address}"] }}]
              - job_name: http_sd
                http_sd_configs:
                  - {{ url: "http://{address}/v1/prometheus/sd", refresh_interval: 1s }}
            """))
        with open(self.folder / "log", "wb") as log:
            process = subprocess.Popen(
                ["prometheus", f"--config.file={self.folder}/prometheus.yml",
                 f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def stop():
            process.terminate()
            process.wait(timeout=lib.STOP_SECONDS)
        self.addCleanup(stop)

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}",
                                        timeout=5) as reply:
                return json.load(reply)["data"]
        except OSError:
            return None

    def found(self, service):
        """{address: labels from discovery} of a service."""
        targets = (self.ask("targets") or {"activeTargets": []})["activeTargets"]
        return {target["discoveredLabels"]["__address__"]:
                {name: value for name, value in target["discoveredLabels"].items()
                 if name.startswith("__meta_consul_")}
                for target in targets if target["scrapePool"] == "http_sd" and
                target["discoveredLabels"].get("__meta_consul_service") == service}

    def test_discovery(self):
        for i in (1, 2):
            self.client.put("agent/service/register", {
                "Name": "web", "ID": f"web-{i}", "Address": f"10.0.0.{i}", "Port": 80,
                "Tags": ["v1", "blue"], "Meta": {"a-b": "c"},
                "Check": {"TTL": "1h", "Status": "passing"}})
        self.client.put("agent/service/register", {"Name": "bare", "Port": 90})
        wire.until("they are found", lambda: len(self.found("web")) == 2 and
                   len(self.found("bare")) == 1, seconds=30)
        self.assertEqual(sorted(self.found("web")), ["10.0.0.1:80", "10.0.0.2:80"])
        labels = self.found("web")["10.0.0.1:80"]
        self.assertEqual(labels["__meta_consul_tags"], ",v1,blue,")
        self.assertEqual(labels["__meta_consul_metadata_rack_id"], "r1")

        self.client.put("agent/check/fail/service:web-1")
        self.client.put("agent/service/maintenance/web-2?enable=true")
        self.client.put("agent/service/deregister/bare")
        wire.until("changes are", lambda: not self.found("bare") and
                   {address: labels["__meta_consul_health"]
                    for address, labels in self.found("web").items()} ==
                   {"10.0.0.1:80": "critical", "10.0.0.2:80": "maintenance"}, seconds=30)

        query = urllib.parse.quote('count({__name__=~"(pharos|consul)_.+",job="agent"})')
        wire.until("the agent's metrics are read", lambda: (self.ask(
            f"query?query={query}") or {}).get("result"), seconds=30)
        self.assertGreater(int(self.ask(f"query?query={query}")["result"][0]["value"][1]), 100)


if __name__ == "__main__":
    lib.main()
