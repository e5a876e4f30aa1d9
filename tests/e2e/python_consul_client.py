"""Debian's python3-consul against an agent: python3 python_consul_client.py PORT. Says `ok`."""
import sys

import consul

client = consul.Consul(port=int(sys.argv[1]))
assert client.status.leader().startswith("127.0.0.1:")
# Some of its writes use GET, which Consul has refused since 1.0, and so do we: ttl_pass() and
# deregister() are left out.
ttl = {"ttl": "1h"}
assert client.agent.service.register("py", service_id="py-1", port=80, tags=["v1"], check=ttl)
index, entries = client.health.service("py", passing=True)
assert entries == [], entries
assert client.catalog.register("ext", "10.0.0.1", service={"service": "py", "port": 81, "tags": ["v1"]})
index, entries = client.health.service("py", passing=True, index=index, wait="5s")
assert entries[0]["Service"]["Tags"] == ["v1"], entries
index, services = client.catalog.services()
assert services["py"] == ["v1"], services
index, nodes = client.catalog.nodes()
assert nodes[0]["Node"] == client.agent.self()["Config"]["NodeName"]
assert client.catalog.register("ext", "10.0.0.1", service={"service": "ext", "port": 5})
assert client.catalog.service("ext")[1][0]["ServicePort"] == 5
assert client.catalog.deregister("ext")
assert client.catalog.node("ext")[1] is None
assert client.agent.maintenance(True, "test")
assert "_node_maintenance" in client.agent.checks()
assert client.agent.maintenance(False)
assert "py-1" in client.agent.services()
print("ok")
