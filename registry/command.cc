#include "registry/command.h"

#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "registry/prepared_query.h"

namespace pharos::registry {
namespace {

using catalog::v1::Command;

// Octets of names, ids and addresses; of a tag; of check output and notes.
constexpr size_t kNameOctetsMax = 512;
constexpr size_t kTagOctetsMax = 512;
constexpr size_t kTextOctetsMax = size_t{64} * 1024;
constexpr int kTagsMax = 1024;
constexpr int kMetaPairsMax = 64;
constexpr size_t kMetaKeyOctetsMax = 128;
constexpr size_t kMetaValueOctetsMax = 512;
constexpr int kTaggedAddressesMax = 64;
constexpr uint32_t kPortMax = 65535;
constexpr int kRecordsMax = 1 << 17;  // Services, or checks, of one registration.
constexpr int kBatchMax = 1 << 20;

absl::Status Invalid(std::string_view field, std::string_view given, std::string_view expected) {
  // What was given may be long or hostile; its beginning is enough to find it.
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is \"%s\"; expected %s", field, given.substr(0, 64), expected));
}

absl::Status CheckText(std::string_view field, std::string_view value, size_t octets_max) {
  if (value.size() <= octets_max) return absl::OkStatus();
  return Invalid(field, value, absl::StrFormat("at most %d octets", octets_max));
}

absl::Status CheckCount(std::string_view field, int count, int max, std::string_view of) {
  if (count <= max) return absl::OkStatus();
  return Invalid(field, absl::StrFormat("%d %s", count, of),
                 absl::StrFormat("at most %d %s", max, of));
}

absl::Status CheckRequired(std::string_view field, std::string_view value, size_t octets_max) {
  if (value.empty()) return Invalid(field, value, "a text that is not empty");
  return CheckText(field, value, octets_max);
}

template <typename Map>
absl::Status CheckMeta(std::string_view field, const Map& meta) {
  if (static_cast<int>(meta.size()) > kMetaPairsMax) {
    return Invalid(field, absl::StrFormat("%d pairs", meta.size()),
                   absl::StrFormat("at most %d pairs", kMetaPairsMax));
  }
  for (const auto& [key, value] : meta) {
    RETURN_IF_ERROR(CheckRequired(absl::StrFormat("a key of %s", field), key, kMetaKeyOctetsMax));
    RETURN_IF_ERROR(
        CheckText(absl::StrFormat("%s[\"%s\"]", field, key), value, kMetaValueOctetsMax));
  }
  return absl::OkStatus();
}

absl::Status CheckLocality(std::string_view field, const catalog::v1::Locality& locality) {
  RETURN_IF_ERROR(
      CheckText(absl::StrFormat("%s.region", field), locality.region(), kNameOctetsMax));
  return CheckText(absl::StrFormat("%s.zone", field), locality.zone(), kNameOctetsMax);
}

absl::Status CheckNode(const catalog::v1::Node& node, bool identifies_only) {
  RETURN_IF_ERROR(CheckRequired("node.name", node.name(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("node.id", node.id(), kNameOctetsMax));
  if (!identifies_only) {
    RETURN_IF_ERROR(CheckRequired("node.address", node.address(), kNameOctetsMax));
  }
  RETURN_IF_ERROR(CheckMeta("node.meta", node.meta()));
  RETURN_IF_ERROR(CheckLocality("node.locality", node.locality()));
  RETURN_IF_ERROR(CheckText("node.datacenter", node.datacenter(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckCount("node.tagged_addresses",
                             static_cast<int>(node.tagged_addresses().size()), kTaggedAddressesMax,
                             "addresses"));
  for (const auto& [name, address] : node.tagged_addresses()) {
    RETURN_IF_ERROR(CheckText("node.tagged_addresses", name, kNameOctetsMax));
    RETURN_IF_ERROR(CheckText("node.tagged_addresses", address, kNameOctetsMax));
  }
  return absl::OkStatus();
}

absl::Status CheckService(const catalog::v1::Service& service) {
  RETURN_IF_ERROR(CheckRequired("service.name", service.name(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("service.id", service.id(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("service.address", service.address(), kNameOctetsMax));
  if (service.port() > kPortMax) {
    return Invalid("service.port", absl::StrFormat("%d", service.port()), "a port from 0 to 65535");
  }
  RETURN_IF_ERROR(CheckText("service.kind", service.kind(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("service.socket_path", service.socket_path(), kNameOctetsMax));
  RETURN_IF_ERROR(
      CheckText("service.proxy_destination", service.proxy_destination(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckLocality("service.locality", service.locality()));
  RETURN_IF_ERROR(CheckCount("service.tags", service.tags_size(), kTagsMax, "tags"));
  for (const std::string& tag : service.tags()) {
    RETURN_IF_ERROR(CheckText("service.tags", tag, kTagOctetsMax));
  }
  RETURN_IF_ERROR(CheckCount("service.tagged_addresses",
                             static_cast<int>(service.tagged_addresses().size()),
                             kTaggedAddressesMax, "addresses"));
  for (const auto& [name, tagged] : service.tagged_addresses()) {
    RETURN_IF_ERROR(CheckText("service.tagged_addresses", name, kNameOctetsMax));
    RETURN_IF_ERROR(CheckText("service.tagged_addresses", tagged.address(), kNameOctetsMax));
    if (tagged.port() > kPortMax) {
      return Invalid(absl::StrFormat("service.tagged_addresses[\"%s\"].port", name),
                     absl::StrFormat("%d", tagged.port()), "a port from 0 to 65535");
    }
  }
  return CheckMeta("service.meta", service.meta());
}

absl::Status CheckHealthCheck(const catalog::v1::HealthCheck& check) {
  RETURN_IF_ERROR(CheckRequired("check.id", check.id(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("check.name", check.name(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("check.service_id", check.service_id(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("check.notes", check.notes(), kTextOctetsMax));
  RETURN_IF_ERROR(CheckText("check.output", check.output(), kTextOctetsMax));
  RETURN_IF_ERROR(CheckText("check.type", check.type(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("check.interval", check.interval(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("check.timeout", check.timeout(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("check.definition", check.definition(), kTextOctetsMax));
  if (!catalog::v1::HealthStatus_IsValid(check.status())) {
    return Invalid("check.status", absl::StrFormat("%d", static_cast<int>(check.status())),
                   "passing, warning or critical");
  }
  return absl::OkStatus();
}

template <typename List>
absl::Status CheckTexts(std::string_view field, const List& list, std::string_view of) {
  RETURN_IF_ERROR(CheckCount(field, list.size(), kTagsMax, of));
  for (const std::string& text : list) RETURN_IF_ERROR(CheckText(field, text, kTagOctetsMax));
  return absl::OkStatus();
}

absl::Status CheckQuery(const catalog::v1::PreparedQuery& query) {
  RETURN_IF_ERROR(CheckRequired("ID", query.id(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("Name", query.name(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("Session", query.session(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("Token", query.token(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("Template.Regexp", query.template_().regexp(), kTextOctetsMax));
  const catalog::v1::PreparedQuery::Selection& service = query.service();
  RETURN_IF_ERROR(CheckRequired("Service.Service", service.service(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckText("Service.Near", service.near(), kNameOctetsMax));
  if (service.failover().nearest_n() < 0) {
    return Invalid("Service.Failover.NearestN",
                   absl::StrFormat("%d", service.failover().nearest_n()), "a number from 0 up");
  }
  RETURN_IF_ERROR(
      CheckTexts("Service.Failover.Datacenters", service.failover().datacenters(), "datacenters"));
  RETURN_IF_ERROR(CheckTexts("Service.Tags", service.tags(), "tags"));
  RETURN_IF_ERROR(CheckTexts("Service.IgnoreCheckIDs", service.ignore_check_ids(), "checks"));
  RETURN_IF_ERROR(CheckMeta("Service.NodeMeta", service.node_meta()));
  RETURN_IF_ERROR(CheckMeta("Service.ServiceMeta", service.service_meta()));
  return MakePreparedQuery(query).status();
}

absl::Status CheckIngress(const catalog::v1::IngressGateway& gateway) {
  RETURN_IF_ERROR(CheckRequired("Name", gateway.name(), kNameOctetsMax));
  RETURN_IF_ERROR(CheckCount("Listeners", gateway.listeners_size(), kTagsMax, "listeners"));
  for (const auto& listener : gateway.listeners()) {
    if (listener.port() > kPortMax) {
      return Invalid("Listeners.Port", absl::StrFormat("%d", listener.port()),
                     "a port from 0 to 65535");
    }
    RETURN_IF_ERROR(CheckText("Listeners.Protocol", listener.protocol(), kNameOctetsMax));
    RETURN_IF_ERROR(
        CheckCount("Listeners.Services", listener.services_size(), kTagsMax, "services"));
    for (const auto& service : listener.services()) {
      RETURN_IF_ERROR(CheckRequired("Listeners.Services.Name", service.name(), kNameOctetsMax));
      RETURN_IF_ERROR(CheckTexts("Listeners.Services.Hosts", service.hosts(), "hosts"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOne(const Command& command) {
  switch (command.change_case()) {
    case Command::kRegister: {
      const catalog::v1::Register& change = command.register_();
      RETURN_IF_ERROR(CheckNode(change.node(), change.skip_node_update()));
      RETURN_IF_ERROR(
          CheckCount("services", change.services_size(), kRecordsMax, "in one registration"));
      RETURN_IF_ERROR(
          CheckCount("checks", change.checks_size(), kRecordsMax, "in one registration"));
      for (const auto& service : change.services()) RETURN_IF_ERROR(CheckService(service));
      for (const auto& check : change.checks()) RETURN_IF_ERROR(CheckHealthCheck(check));
      return absl::OkStatus();
    }
    case Command::kDeregister: {
      const catalog::v1::Deregister& change = command.deregister();
      RETURN_IF_ERROR(CheckText("service_id", change.service_id(), kNameOctetsMax));
      RETURN_IF_ERROR(CheckText("check_id", change.check_id(), kNameOctetsMax));
      return CheckRequired("node", change.node(), kNameOctetsMax);
    }
    case Command::kSetPreparedQuery:
      return CheckQuery(command.set_prepared_query().query());
    case Command::kDeletePreparedQuery:
      return CheckRequired("ID", command.delete_prepared_query().id(), kNameOctetsMax);
    case Command::kSetIngressGateway:
      return CheckIngress(command.set_ingress_gateway());
    case Command::kDeleteIngressGateway:
      return CheckRequired("Name", command.delete_ingress_gateway().name(), kNameOctetsMax);
    case Command::kBatch:
      return absl::InvalidArgumentError("a batch holds a batch; expected single changes");
    case Command::CHANGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "the command changes nothing; expected a registration, a "
      "deregistration, a prepared query, an ingress gateway or a batch of them");
}

}  // namespace

absl::Status ValidateCommand(const Command& command) {
  if (command.change_case() != Command::kBatch) return CheckOne(command);
  if (command.batch().commands_size() > kBatchMax) {
    return Invalid("batch", absl::StrFormat("%d commands", command.batch().commands_size()),
                   absl::StrFormat("at most %d commands", kBatchMax));
  }
  for (const Command& single : command.batch().commands()) RETURN_IF_ERROR(CheckOne(single));
  return absl::OkStatus();
}

}  // namespace pharos::registry
