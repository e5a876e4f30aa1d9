#include "registry/partial_catalog.h"

#include <algorithm>
#include <utility>

#include "base/ip_address.h"
#include "registry/records.h"
#include "registry/remote_catalogs.h"

namespace pharos::registry {
namespace {

// What takes the place of an address of one family: the WAN's of that family, else the WAN's plain
// one where that is of it.
std::string Translated(const std::string& of_family, const std::string& plain, bool v4) {
  if (!of_family.empty()) return of_family;
  const auto ip = IpAddress::Parse(plain);
  return ip && ip->is_v4() == v4 ? plain : std::string();
}

void Translate(catalog::v1::Node& node) {
  auto& tagged = *node.mutable_tagged_addresses();
  const auto get = [&tagged](const char* name) {
    const auto found = tagged.find(name);
    return found == tagged.end() ? std::string() : found->second;
  };
  const std::string wan = get("wan");
  for (const bool v4 : {true, false}) {
    const char* const lan = v4 ? "lan_ipv4" : "lan_ipv6";
    const std::string address = Translated(get(v4 ? "wan_ipv4" : "wan_ipv6"), wan, v4);
    if (!address.empty()) {
      tagged[lan] = address;
    } else if (!wan.empty()) {
      tagged.erase(lan);
    }
  }
  if (!wan.empty() && !IpAddress::Parse(wan)) node.set_address(wan);
}

void Translate(catalog::v1::Service& service) {
  auto& tagged = *service.mutable_tagged_addresses();
  const auto get = [&tagged](const char* name) {
    const auto found = tagged.find(name);
    return found == tagged.end() ? catalog::v1::TaggedAddress() : found->second;
  };
  const catalog::v1::TaggedAddress wan = get("wan");
  for (const bool v4 : {true, false}) {
    const char* const lan = v4 ? "lan_ipv4" : "lan_ipv6";
    const std::string address =
        Translated(get(v4 ? "wan_ipv4" : "wan_ipv6").address(), wan.address(), v4);
    if (!address.empty()) {
      tagged[lan].set_address(address);
    } else if (!wan.address().empty()) {
      tagged.erase(lan);
    }
  }
  if (!wan.address().empty() && !IpAddress::Parse(wan.address())) {
    service.set_address(wan.address());
  }
  if (wan.port() != 0) service.set_port(wan.port());
}

}  // namespace

PartialCatalog::PartialCatalog(std::string datacenter, bool translate)
    : translate_(translate), catalog_(std::move(datacenter)) {
  // Removes what is not there: so that the catalog has an index, and is not taken for none at all.
  Deregister("-", "", "");
}

bool PartialCatalog::Apply(const catalog::v1::Command& command) {
  return catalog_.Apply(++index_, command).ok();
}

void PartialCatalog::Deregister(const std::string& node, const std::string& service,
                                const std::string& check) {
  catalog::v1::Command command;
  command.mutable_deregister()->set_node(node);
  command.mutable_deregister()->set_service_id(service);
  command.mutable_deregister()->set_check_id(check);
  Apply(command);
}

bool PartialCatalog::HasNode(const std::string& except, const std::string& node) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const auto& part) {
    return part.first != except && part.second.services.contains(node);
  });
}

bool PartialCatalog::HasService(const std::string& except, const std::string& node,
                                const std::string& service) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const auto& part) {
    if (part.first == except) return false;
    const auto found = part.second.services.find(node);
    return found != part.second.services.end() && found->second.contains(service);
  });
}

bool PartialCatalog::ApplyHere(const catalog::v1::Command& command) {
  if (!Apply(command)) return false;
  const auto note = [this](const catalog::v1::Command& each) {
    if (!each.has_register_()) return;
    const catalog::v1::Register& change = each.register_();
    const std::string node = LowerCase(change.node().name());
    Part& part = parts_[WholeNodePart(node)];
    std::set<std::string>& services = part.services[node];
    for (const auto& service : change.services()) {
      services.insert(service.id().empty() ? service.name() : service.id());
    }
    for (const auto& check : change.checks()) checks_[node][check.id()] = check.service_id();
  };
  if (!command.has_batch()) note(command);
  for (const auto& each : command.batch().commands()) note(each);
  return true;
}

bool PartialCatalog::AddNode(catalog::v1::ImageNode node, Part& part) {
  const std::string name = LowerCase(node.node().name());
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  // Ids of nodes are of no use here, and two parts may be of different times; but for the node that
  // is compared with what the agent on it has.
  if (!parts_.contains(WholeNodePart(name))) node.mutable_node()->clear_id();
  if (translate_) Translate(*node.mutable_node());
  *change.mutable_node() = std::move(*node.mutable_node());
  std::set<std::string> services;
  std::map<std::string, std::string> checks;
  for (catalog::v1::ImageService& image : *node.mutable_services()) {
    services.insert(image.service().id());
    if (translate_) Translate(*image.mutable_service());
    *change.add_services() = std::move(*image.mutable_service());
  }
  for (catalog::v1::ImageCheck& image : *node.mutable_checks()) {
    checks[image.check().id()] = image.check().service_id();
    *change.add_checks() = std::move(*image.mutable_check());
  }
  if (!Apply(command)) return false;
  // Checks of the node, and of these services, that are gone. Those of other parts' services are
  // theirs to remove.
  std::map<std::string, std::string>& known = checks_[name];
  for (auto at = known.begin(); at != known.end();) {
    const bool ours = at->second.empty() || services.contains(at->second);
    if (!ours || checks.contains(at->first)) {
      ++at;
      continue;
    }
    Deregister(name, "", at->first);
    at = known.erase(at);
  }
  for (auto& [id, service] : checks) known[id] = std::move(service);
  part.services[name].merge(services);
  return true;
}

void PartialCatalog::Prune(const std::string& name, const Part& before, const Part& kept) {
  for (const auto& [node, services] : before.services) {
    const auto still = kept.services.find(node);
    if (still == kept.services.end() && !HasNode(name, node)) {
      Deregister(node, "", "");
      checks_.erase(node);
      continue;
    }
    for (const std::string& service : services) {
      const bool stays = still != kept.services.end() && still->second.contains(service);
      if (stays || HasService(name, node, service)) continue;
      Deregister(node, service, "");
      std::erase_if(checks_[node], [&](const auto& check) { return check.second == service; });
    }
  }
  for (const std::string& id : before.queries) {
    if (kept.queries.contains(id)) continue;
    catalog::v1::Command command;
    command.mutable_delete_prepared_query()->set_id(id);
    Apply(command);
  }
  for (const std::string& gateway : before.gateways) {
    if (kept.gateways.contains(gateway)) continue;
    catalog::v1::Command command;
    command.mutable_delete_ingress_gateway()->set_name(gateway);
    Apply(command);
  }
}

size_t PartialCatalog::Set(const std::string& part, const catalog::v1::ImageChunk& records) {
  const Part before = parts_[part];
  Part now;
  size_t left_out = 0;
  // Queries first go, as a name may have gone from one to another.
  for (const auto& record : records.records()) {
    if (record.has_query()) now.queries.insert(record.query().query().id());
  }
  Part nodes_stay = before;
  nodes_stay.queries = now.queries;
  Prune(part, before, nodes_stay);
  for (const auto& record : records.records()) {
    if (record.has_node()) {
      if (!AddNode(record.node(), now)) ++left_out;
    } else if (record.has_query()) {
      catalog::v1::Command command;
      *command.mutable_set_prepared_query()->mutable_query() = record.query().query();
      command.mutable_set_prepared_query()->set_create(
          !before.queries.contains(record.query().query().id()));
      if (!Apply(command)) ++left_out;
    } else if (record.has_gateway()) {
      catalog::v1::Command command;
      *command.mutable_set_ingress_gateway() = record.gateway().gateway();
      now.gateways.insert(LowerCase(record.gateway().gateway().name()));
      if (!Apply(command)) ++left_out;
    }
  }
  Part queries_done = before;
  queries_done.queries.clear();
  Prune(part, queries_done, now);
  parts_[part] = std::move(now);
  return left_out;
}

void PartialCatalog::Remove(const std::string& part) {
  const auto found = parts_.find(part);
  if (found == parts_.end()) return;
  const Part before = std::move(found->second);
  parts_.erase(found);
  Prune(part, before, {});
}

std::unique_ptr<const Snapshot> PartialCatalog::MakeSnapshot() { return catalog_.MakeSnapshot(); }

}  // namespace pharos::registry
