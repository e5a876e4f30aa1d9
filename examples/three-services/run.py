#!/usr/bin/env python3
"""Starts an agent and three services that find each other through it: web asks orders, orders asks
stock, and stock has two instances. Ctrl-C ends them all.

usage: run.py [PHAROS [HTTP_PORT DNS_PORT WEB_PORT ORDERS_PORT STOCK_PORT STOCK_PORT]]
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PHAROS = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent.parent / "build/agent/pharos")
PORTS = [int(port) for port in sys.argv[2:]] or [8500, 8600, 9001, 9002, 9003, 9004]
HTTP, DNS, WEB, ORDERS, *STOCK = PORTS


def definition(name, port):
    """What a service's own package would put into the agent's configuration folder."""
    return {"service": {
        "name": name, "id": f"{name}-{port}", "address": "127.0.0.1", "port": port,
        "check": {"http": f"http://127.0.0.1:{port}/health", "interval": "1s", "timeout": "1s"}}}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    instances = [("web", WEB, "orders"), ("orders", ORDERS, "stock"),
                 *(("stock", port, None) for port in STOCK)]
    children = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, port, _ in instances:
                path = pathlib.Path(folder) / f"{name}-{port}.json"
                path.write_text(json.dumps(definition(name, port)))
            children.append(subprocess.Popen(
                [PHAROS, "agent", "-dev", "-http-port", str(HTTP), "-dns-port", str(DNS),
                 "-grpc-port", "-1", "-serf-lan-port", "-1", "-serf-wan-port", "-1",
                 "-config-dir", folder, "-log-level", "info"]))
            environment = {**os.environ, "PHAROS_DNS": f"127.0.0.1:{DNS}"}
            for name, port, following in instances:
                command = [sys.executable, str(HERE / "service.py"), name, str(port)]
                children.append(subprocess.Popen(command + ([following] if following else []),
                                                 env=environment))
                print(f"{name}-{port} is process {children[-1].pid}", flush=True)
            children[0].wait()
        except KeyboardInterrupt:
            pass
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()


main()
