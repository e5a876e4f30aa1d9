#include "tests/fuzz/message_catalog.h"

#include <google/protobuf/text_format.h>

#include <string>

#include "base/check.h"
#include "registry/catalog.h"

namespace pharos::fuzz {
namespace {

// Nodes with addresses of every kind, texts of every shape, and names that DNS can hardly carry.
constexpr char kNodes[] = R"(
commands { register {
  node { name: "Alpha" address: "10.0.0.1"
         meta { key: "rack" value: "r1" } meta { key: "empty" value: "" }
         meta { key: "a=b" value: "`quoted`=" } meta { key: " spaced " value: " as it is " }
         meta { key: "rfc1035-spf" value: "v=spf1 -all" }
         meta { key: "consul-network-segment" value: "" } }
  services { name: "consul" port: 8300 }
  services { name: "web" port: 80 tags: "v1" tags: "a.b" tags: "Blue" weights { passing: 7 } }
  services { id: "web-2" name: "web" port: 81 tags: "v1" address: "10.9.0.1" }
  services { id: "web-3" name: "WEB" port: 82 address: "fd00::82"
             weights { passing: 10 warning: 3 } }
  services { name: "self" port: 1 address: "self.service.consul" }
  services { name: "sick" port: 1 } services { name: "half" port: 1 }
  services { name: "lone" port: 1 }
  checks { id: "c1" service_id: "sick" status: HEALTH_STATUS_CRITICAL }
  checks { id: "c2" service_id: "half" status: HEALTH_STATUS_WARNING }
  checks { id: "c3" service_id: "web-3" status: HEALTH_STATUS_WARNING } } }
commands { register {
  node { name: "beta.rack1" address: "fd00::2"
         tagged_addresses { key: "lan_ipv4" value: "10.0.0.2" }
         tagged_addresses { key: "wan" value: "203.0.113.2" } }
  services { name: "consul" port: 8300 }
  services { name: "web" port: 80 tags: "v2" address: "10.9.0.1" }
  services { id: "both" name: "dual" port: 5 address: "10.9.0.5"
             tagged_addresses { key: "lan_ipv6" value { address: "fd00::5" } } }
  services { name: "half" port: 2 } } }
commands { register {
  node { name: "gamma" address: "www.example" meta { key: "k" value: "v" } }
  services { name: "consul" port: 8300 }
  services { name: "named" port: 3 }
  services { id: "n2" name: "named" port: 4 address: "other.example.org" } } }
commands { register {
  node { name: "service" address: "10.0.0.4" meta { key: "k" value: "v" } }
  services { name: "node" port: 1 tags: "service" }
  services { name: "dc1" port: 1 tags: "dc" } } }
commands { register {
  node { name: "inner" address: "alpha.node.consul" }
  services { name: "tonode" port: 1 address: "Alpha.node.Consul" }
  services { name: "toaddr" port: 1 address: "0a090001.addr.consul" }
  services { name: "toweb" port: 1 address: "v1.web.service.consul" }
  services { name: "totoweb" port: 1 address: "toweb.service.dc1.consul." }
  services { name: "tonothing" port: 1 address: "nothing.service.consul" }
  services { name: "toother" port: 1 address: "web.service.other.example" }
  services { name: "toqueries" port: 1 address: "q.query.consul" }
  services { name: "toself" port: 1 address: "self.service.consul" }
  services { name: "shared" port: 9 address: "10.9.9.9" }
  services { name: "loop1" port: 1 address: "loop2.service.consul" }
  services { name: "loop2" port: 1 address: "loop1.service.consul" }
  services { name: "far" port: 1 address: "far.example.net" }
  services { name: "broken" port: 1 address: "servfail.example.net" }
  services { name: "gone" port: 1 address: "nxdomain.example.net" }
  services { name: "huge" port: 1 address: "huge.example.net" }
  services { id: "mix1" name: "mix" port: 1 address: "10.9.0.9" }
  services { id: "mix2" name: "mix" port: 2 address: "far.example.net" }
  services { name: "bad" port: 1 address: "300.1.2.3" }
  services { name: "badport" port: 1 address: "10.0.0.1:80" } } }
commands { register {
  node { name: "two words" address: "10.0.0.6" meta { key: "k" value: "v" } }
  services { name: "odd name" port: 1 tags: "odd tag" }
  services { name: "odd" port: 1 }
  services { name: "shared" port: 9 address: "10.9.9.9" }
  services { name: "_lead" port: 1 tags: "_t" }
  services { name: "dotted.name" port: 1 } } }
commands { register {
  node { name: "::ffff:10.0.0.7" address: "::ffff:10.0.0.7" }
  services { name: "mapped" port: 0 } } }
commands { register {
  node { name: "mesh" address: "10.5.0.1" }
  services { name: "web-proxy" port: 21000 kind: "connect-proxy" proxy_destination: "web" }
  services { id: "p2" name: "web-proxy" port: 21001 address: "fd00::21"
             kind: "connect-proxy" proxy_destination: "Web" }
  services { name: "native" port: 21002 connect_native: true }
  services { name: "gateway" port: 8443 kind: "ingress-gateway" } } }
)";

// What has names of its own beside nodes and services. The model leaves these out: what answers to
// them are like in general still holds.
constexpr char kOthers[] = R"(
commands { set_ingress_gateway {
  name: "gateway" listeners { port: 8443 services { name: "web" } } } }
commands { set_prepared_query { create: true query {
  id: "8f246b77-f3e1-ff88-5b48-8ec93abf3e05" name: "q"
  service { service: "web" tags: "v1" near: "_agent" } dns_ttl: "9s" } } }
commands { set_prepared_query { create: true query {
  id: "8f246b77-f3e1-ff88-5b48-8ec93abf3e06" name: "hosts.q"
  service { service: "mix" only_passing: true } } } }
commands { set_prepared_query { create: true query {
  id: "8f246b77-f3e1-ff88-5b48-8ec93abf3e07" name: "lo"
  template { type: "name_prefix_match" regexp: "^lo(.*)$" }
  service { service: "${name.full}" near: "_ip" } } } }
commands { set_prepared_query { create: true query {
  id: "8f246b77-f3e1-ff88-5b48-8ec93abf3e08" name: "meshed"
  service { service: "web" connect: true } } } }
)";

void AddRegistrations(const std::string& text, std::vector<catalog::v1::Register>& all) {
  catalog::v1::Batch batch;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, &batch));
  for (const auto& command : batch.commands()) all.push_back(command.register_());
}

catalog::v1::Service& AddService(catalog::v1::Register& change, const std::string& name, int i) {
  catalog::v1::Service& service = *change.add_services();
  service.set_name(name);
  service.set_id(name + "-" + std::to_string(i));
  service.set_port(static_cast<uint32_t>(20000 + i));
  return service;
}

// More instances than any plain message takes, on nodes with texts of their own.
void AddMany(std::vector<catalog::v1::Register>& all) {
  for (int node = 0; node < 3; ++node) {
    catalog::v1::Register change;
    change.mutable_node()->set_name("many-" + std::to_string(node));
    change.mutable_node()->set_address("10.1.0." + std::to_string(node));
    for (int pair = 0; pair < 4; ++pair) {
      (*change.mutable_node()->mutable_meta())["key" + std::to_string(pair)] =
          std::string(static_cast<size_t>(100 * pair), 'x');
    }
    for (int i = 0; i < 50; ++i) {
      AddService(change, "many", i)
          .set_address("10.2." + std::to_string(node) + "." + std::to_string(i));
      AddService(change, "six", i)
          .set_address("fd00:" + std::to_string(node) + "::" + std::to_string(i));
      if (i < 8) AddService(change, "ports", 8 * node + i);
      if (i < 20) {
        AddService(change, "names", i)
            .set_address("host-" + std::to_string(i) + ".sub.example.net");
      }
    }
    all.push_back(std::move(change));
  }
}

// Names at the limits of DNS: labels of 63 and 64 octets, and names that fit only by themselves.
void AddLong(std::vector<catalog::v1::Register>& all) {
  const std::string label63(63, 'l');
  const std::string long_name =
      label63 + "." + label63 + "." + label63 + "." + std::string(50, 'm');
  for (const std::string& name : {label63, std::string(64, 'o'), long_name}) {
    catalog::v1::Register change;
    change.mutable_node()->set_name(name);
    change.mutable_node()->set_address("10.3.0." + std::to_string(all.size()));
    (*change.mutable_node()->mutable_meta())["long"] = std::string(512, 'y');
    (*change.mutable_node()->mutable_meta())["of"] = name.substr(0, 9);
    change.add_services()->set_name("long");
    AddService(change, "longname", 0).set_address(long_name + ".example");
    AddService(change, label63, 1).add_tags(std::string(label63).append(".").append(label63));
    all.push_back(std::move(change));
  }
}

}  // namespace

const std::vector<catalog::v1::Register>& Registrations() {
  static const auto& all = *[] {
    auto* made = new std::vector<catalog::v1::Register>;
    AddRegistrations(kNodes, *made);
    AddMany(*made);
    AddLong(*made);
    return made;
  }();
  return all;
}

const registry::Snapshot& TestSnapshot() {
  static const registry::Snapshot& snapshot = *[] {
    static auto& catalog = *new registry::Catalog(kDatacenter);  // For good, as the snapshot is.
    uint64_t index = 0;
    for (const catalog::v1::Register& change : Registrations()) {
      catalog::v1::Command command;
      command.set_time_unix_ms(1'700'000'000'000);
      *command.mutable_register_() = change;
      CHECK(catalog.Apply(++index, command).ok());
    }
    catalog::v1::Batch others;
    CHECK(google::protobuf::TextFormat::ParseFromString(kOthers, &others));
    for (const catalog::v1::Command& command : others.commands()) {
      CHECK(catalog.Apply(++index, command).ok());
    }
    return catalog.MakeSnapshot().release();
  }();
  return snapshot;
}

}  // namespace pharos::fuzz
