#include "agent/registration.h"

#include <algorithm>
#include <string_view>

namespace pharos::agent {
namespace {

constexpr std::string_view kServerService = "consul";

catalog::v1::HealthStatus StatusOf(std::string_view status) {
  if (status == "passing") return catalog::v1::HEALTH_STATUS_PASSING;
  if (status == "warning") return catalog::v1::HEALTH_STATUS_WARNING;
  return catalog::v1::HEALTH_STATUS_CRITICAL;
}

std::string_view TypeOf(const CheckDefinition& check) {
  if (!check.http.empty()) return "http";
  if (!check.tcp.empty()) return "tcp";
  if (!check.udp.empty()) return "udp";
  if (!check.grpc.empty()) return "grpc";
  if (!check.h2ping.empty()) return "h2ping";
  if (!check.docker_container_id.empty()) return "docker";
  if (!check.args.empty()) return "script";
  if (!check.alias_node.empty() || !check.alias_service.empty()) return "alias";
  return "ttl";
}

void AddCheck(const CheckDefinition& definition, const std::string& service_id,
              catalog::v1::Register& change, std::vector<std::string>& checks_not_run) {
  if (definition.status.empty()) {
    checks_not_run.push_back(definition.id);
    return;
  }
  catalog::v1::HealthCheck& check = *change.add_checks();
  check.set_id(definition.id);
  check.set_name(definition.name);
  check.set_notes(definition.notes);
  check.set_status(StatusOf(definition.status));
  check.set_service_id(service_id);
  check.set_type(std::string(TypeOf(definition)));
}

void AddService(const ServiceDefinition& definition, catalog::v1::Register& change,
                std::vector<std::string>& checks_not_run) {
  catalog::v1::Service& service = *change.add_services();
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
  for (const CheckDefinition& check : definition.checks) {
    AddCheck(check, definition.id, change, checks_not_run);
  }
}

// Whether some element of the list has the id.
template <typename List>
bool HasId(const List& list, const std::string& id) {
  return std::any_of(list.begin(), list.end(),
                     [&id](const auto& element) { return element.id() == id; });
}

}  // namespace

catalog::v1::Register MakeRegistration(const Config& config, const std::string& node_id,
                                       std::vector<std::string>& checks_not_run) {
  catalog::v1::Register change;
  catalog::v1::Node& node = *change.mutable_node();
  node.set_name(config.node_name);
  node.set_id(node_id);
  node.set_address(config.advertise_addr.ToString());
  node.set_datacenter(config.datacenter);
  for (const auto& [name, address] : config.tagged_addresses) {
    (*node.mutable_tagged_addresses())[name] = address;
  }
  for (const auto& [key, value] : config.node_meta) (*node.mutable_meta())[key] = value;
  if (config.server) {
    catalog::v1::Service& server = *change.add_services();
    server.set_id(std::string(kServerService));
    server.set_name(std::string(kServerService));
    server.set_port(static_cast<uint32_t>(std::max(config.ports.server, 0)));
  }
  for (const ServiceDefinition& service : config.services) {
    AddService(service, change, checks_not_run);
  }
  for (const CheckDefinition& check : config.checks) {
    AddCheck(check, check.service_id, change, checks_not_run);
  }
  return change;
}

catalog::v1::Command MakeUpdate(const catalog::v1::Register& before,
                                const catalog::v1::Register& after) {
  catalog::v1::Command command;
  catalog::v1::Batch& batch = *command.mutable_batch();
  for (const catalog::v1::Service& service : before.services()) {
    if (HasId(after.services(), service.id())) continue;
    catalog::v1::Deregister& gone = *batch.add_commands()->mutable_deregister();
    gone.set_node(before.node().name());
    gone.set_service_id(service.id());
  }
  for (const catalog::v1::HealthCheck& check : before.checks()) {
    if (HasId(after.checks(), check.id())) continue;
    catalog::v1::Deregister& gone = *batch.add_commands()->mutable_deregister();
    gone.set_node(before.node().name());
    gone.set_check_id(check.id());
  }
  *batch.add_commands()->mutable_register_() = after;
  return command;
}

}  // namespace pharos::agent
