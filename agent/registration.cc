#include "agent/registration.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "agent/version.h"
#include "base/go_duration.h"
#include "registry/make_records.h"
#include "registry/records.h"

namespace pharos::agent {
namespace {

constexpr const char* kServerService = "consul";
// Of the gossip and Raft protocols that other servers and tools ask for.
constexpr std::pair<std::string_view, std::string_view> kServerMeta[] = {
    {"non_voter", "false"},     {"raft_version", "3"},      {"serf_protocol_current", "2"},
    {"serf_protocol_max", "5"}, {"serf_protocol_min", "1"}, {"version", kVersion},
};

catalog::v1::HealthStatus ToMessage(registry::Health health) {
  switch (health) {
    case registry::Health::kPassing:
      return catalog::v1::HEALTH_STATUS_PASSING;
    case registry::Health::kWarning:
      return catalog::v1::HEALTH_STATUS_WARNING;
    case registry::Health::kCritical:
      break;
  }
  return catalog::v1::HEALTH_STATUS_CRITICAL;
}

void SetLocality(const registry::Locality& from, catalog::v1::Locality& to) {
  to.set_region(from.region);
  to.set_zone(from.zone);
}

std::string DurationText(absl::Duration duration) {
  return duration == absl::ZeroDuration() ? "" : FormatGoDuration(duration);
}

// The records of a list by id in lower case.
template <typename T>
absl::flat_hash_map<std::string, const T*> ById(const std::vector<registry::Ref<const T>>& list) {
  absl::flat_hash_map<std::string, const T*> by_id;
  for (const auto& record : list) by_id.emplace(registry::LowerCase(record->id), record.get());
  return by_id;
}

bool IsThere(const registry::Service* there, const catalog::v1::Service& wanted) {
  return there != nullptr && SameContent(*there, *registry::MakeService(wanted));
}

bool IsThere(const registry::HealthCheck* there, const catalog::v1::HealthCheck& wanted) {
  if (there == nullptr) return false;
  const std::unique_ptr<registry::HealthCheck> made = registry::MakeHealthCheck(wanted);
  made->service_name = there->service_name;
  return SameContent(*there, *made);
}

// Copies to `missing` what of `wanted` is not in `there`, and takes what is wanted out of `there`.
template <typename Wanted, typename There>
void TakeWanted(const Wanted& wanted, There& there, Wanted& missing) {
  for (const auto& record : wanted) {
    const auto found = there.find(registry::LowerCase(record.id()));
    if (!IsThere(found == there.end() ? nullptr : found->second, record)) *missing.Add() = record;
    if (found != there.end()) there.erase(found);
  }
}

}  // namespace

catalog::v1::Register MakeNodeRegistration(const Config& config, const std::string& node_id) {
  catalog::v1::Register change;
  catalog::v1::Node& node = *change.mutable_node();
  node.set_name(config.node_name);
  node.set_id(node_id);
  node.set_address(config.advertise_addr.ToString());
  node.set_datacenter(config.datacenter);
  for (const auto& [name, address] : config.tagged_addresses) {
    (*node.mutable_tagged_addresses())[name] = address;
  }
  // Clients of Consul compare a node's metadata with this entry in it.
  (*node.mutable_meta())["consul-network-segment"] = "";
  for (const auto& [key, value] : config.node_meta) (*node.mutable_meta())[key] = value;
  SetLocality(config.locality, *node.mutable_locality());
  if (config.server) {
    catalog::v1::Service& server = *change.add_services();
    server.set_id(kServerService);
    server.set_name(kServerService);
    server.set_port(static_cast<uint32_t>(std::max(config.ports.server, 0)));
    for (const auto& [key, value] : kServerMeta) {
      (*server.mutable_meta())[std::string(key)] = value;
    }
  }
  catalog::v1::HealthCheck& alive = *change.add_checks();
  alive.set_id(kSerfHealth);
  alive.set_name("Serf Health Status");
  alive.set_status(catalog::v1::HEALTH_STATUS_PASSING);
  alive.set_output("Agent alive and reachable");
  return change;
}

catalog::v1::Service MakeServiceRecord(const ServiceDefinition& definition) {
  catalog::v1::Service service;
  service.set_id(definition.id);
  service.set_name(definition.name);
  for (const std::string& tag : definition.tags) service.add_tags(tag);
  service.set_address(definition.address);
  service.set_port(static_cast<uint32_t>(definition.port));
  for (const auto& [key, value] : definition.meta) (*service.mutable_meta())[key] = value;
  for (const TaggedAddressDefinition& tagged : definition.tagged_addresses) {
    catalog::v1::TaggedAddress& address = (*service.mutable_tagged_addresses())[tagged.tag];
    address.set_address(tagged.address);
    address.set_port(static_cast<uint32_t>(tagged.port));
  }
  service.mutable_weights()->set_passing(static_cast<uint32_t>(definition.weight_passing));
  service.mutable_weights()->set_warning(static_cast<uint32_t>(definition.weight_warning));
  service.set_enable_tag_override(definition.enable_tag_override);
  service.set_kind(definition.kind);
  service.set_socket_path(definition.socket_path);
  service.set_proxy_destination(definition.proxy_destination);
  service.set_connect_native(definition.connect_native);
  SetLocality(definition.locality, *service.mutable_locality());
  return service;
}

catalog::v1::HealthCheck MakeCheckRecord(const LocalCheck& local) {
  const CheckDefinition& definition = local.definition;
  catalog::v1::HealthCheck check;
  check.set_id(definition.id);
  check.set_name(definition.name);
  check.set_notes(definition.notes);
  check.set_status(ToMessage(local.status));
  check.set_output(local.output);
  check.set_service_id(definition.service_id);
  check.set_type(local.type);
  check.set_interval(DurationText(definition.interval));
  check.set_timeout(DurationText(definition.timeout));
  return check;
}

catalog::v1::Register MakeRegistration(const catalog::v1::Register& node, const LocalState& state) {
  catalog::v1::Register change = node;
  for (const auto& [id, service] : state.services) {
    *change.add_services() = MakeServiceRecord(service.definition);
  }
  for (const auto& [id, check] : state.checks) *change.add_checks() = MakeCheckRecord(check);
  return change;
}

std::optional<catalog::v1::Command> MakeSync(const registry::NodeEntry* entry,
                                             const catalog::v1::Register& wanted) {
  static const registry::NodeEntry kNone{};
  const registry::NodeEntry& there = entry == nullptr ? kNone : *entry;
  catalog::v1::Command command;
  catalog::v1::Batch& batch = *command.mutable_batch();
  catalog::v1::Register missing;
  *missing.mutable_node() = wanted.node();
  auto services = ById(there.services);
  auto checks = ById(there.checks);
  // Whether the node is alive is for the leader to say, by what the pool tells it, once it is
  // there.
  google::protobuf::RepeatedPtrField<catalog::v1::HealthCheck> own_checks = wanted.checks();
  if (checks.erase(registry::LowerCase(kSerfHealth)) > 0) {
    const auto judged = [](const auto& check) { return check.id() == kSerfHealth; };
    own_checks.erase(std::remove_if(own_checks.begin(), own_checks.end(), judged),
                     own_checks.end());
  }
  TakeWanted(wanted.services(), services, *missing.mutable_services());
  TakeWanted(own_checks, checks, *missing.mutable_checks());

  for (const auto& [id, service] : services) {
    catalog::v1::Deregister& gone = *batch.add_commands()->mutable_deregister();
    gone.set_node(wanted.node().name());
    gone.set_service_id(service->id.str());
  }
  for (const auto& [id, check] : checks) {
    catalog::v1::Deregister& gone = *batch.add_commands()->mutable_deregister();
    gone.set_node(wanted.node().name());
    gone.set_check_id(check->id);
  }
  const bool same_node =
      entry != nullptr &&
      SameContent(*entry->node, *registry::MakeNode(wanted.node(), wanted.node().datacenter()));
  if (!same_node || missing.services_size() > 0 || missing.checks_size() > 0) {
    *batch.add_commands()->mutable_register_() = std::move(missing);
  }
  if (batch.commands_size() == 0) return std::nullopt;
  return command;
}

}  // namespace pharos::agent
