// The npm package `consul` against an agent: node client.js PORT. Says `ok`, or throws.
const assert = require("assert");
const Consul = require("consul");

async function main(port) {
  const consul = new Consul({ host: "127.0.0.1", port });
  const self = await consul.agent.self();
  assert.strictEqual(self.Config.Datacenter, "dc1");
  assert.match(await consul.status.leader(), /^127\.0\.0\.1:\d+$/);

  await consul.agent.service.register({
    name: "npm", id: "npm-1", port: 80, tags: ["v1"], check: { ttl: "1h" },
  });
  assert.deepStrictEqual(await consul.health.service({ service: "npm", passing: true }), []);
  await consul.agent.check.pass({ id: "service:npm-1", note: "well" });
  const [entry] = await consul.health.service({ service: "npm", passing: true });
  assert.strictEqual(entry.Service.Port, 80);
  assert.deepStrictEqual((await consul.catalog.service.list()).npm, ["v1"]);
  assert.strictEqual((await consul.agent.services())["npm-1"].Service, "npm");
  const [node] = await consul.catalog.node.list();
  assert.strictEqual(node.Node, self.Config.NodeName);

  // A watch sees the service as it is, and then its change.
  const watch = consul.watch({ method: consul.health.service, options: { service: "npm" } });
  const seen = [];
  await new Promise((resolve, reject) => {
    watch.on("error", reject);
    watch.on("change", (data) => {
      seen.push(data[0].Checks.find((check) => check.CheckID === "service:npm-1").Status);
      if (seen.length === 1) consul.agent.check.fail("service:npm-1").catch(reject);
      if (seen.length === 2) resolve();
    });
  });
  watch.end();
  assert.deepStrictEqual(seen, ["passing", "critical"]);

  await consul.agent.service.maintenance({ id: "npm-1", enable: true, reason: "test" });
  await consul.agent.service.deregister("npm-1");
  assert.strictEqual((await consul.agent.services())["npm-1"], undefined);
  await assert.rejects(consul.agent.service.maintenance({ id: "nope", enable: true }),
    /No service registered with ID "nope"/);
}

main(process.argv[2]).then(() => console.log("ok")).catch((error) => {
  console.error(error);
  process.exit(1);
});
