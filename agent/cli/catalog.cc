// `pharos catalog`: what is registered.

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/str_join.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

QueryPairs CommonQuery(const ParsedFlags& parsed) {
  QueryPairs query;
  for (const auto& [name, value] : parsed.values) {
    if (name == "near" || name == "filter") query.emplace_back(name, value);
    if (name != "node-meta") continue;
    const size_t equals = value.find('=');
    query.emplace_back(name, equals == std::string::npos
                                 ? value
                                 : value.substr(0, equals) + ":" + value.substr(equals + 1));
  }
  return query;
}

std::string JoinPairs(const json& object) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : object.items()) {
    pairs.push_back(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return absl::StrJoin(pairs, ", ");
}

json Member(const json& object, const char* name) {
  return object.contains(name) && object[name].is_object() ? object[name] : json::object();
}

absl::StatusOr<int> ListDatacenters(const ApiClient& client, const ParsedFlags&,
                                    std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("catalog/datacenters"));
  for (const json& name : json::parse(reply.body, nullptr, false)) {
    out << name.get<std::string>() << "\n";
  }
  return kExitOk;
}

absl::StatusOr<int> ListNodes(const ApiClient& client, const ParsedFlags& parsed,
                              std::ostream& out) {
  const std::string service(parsed.Last("service"));
  const std::string path =
      service.empty() ? "catalog/nodes" : "catalog/service/" + EncodePathPart(service);
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get(path, CommonQuery(parsed)));
  const bool detailed = parsed.Has("detailed");
  Rows rows;
  std::set<std::string> seen;  // A node may have several instances.
  for (const json& node : json::parse(reply.body, nullptr, false)) {
    const std::string name = node.value("Node", ""), id = node.value("ID", "");
    if (!seen.insert(name).second) continue;
    std::vector<std::string> row = {name, detailed ? id : id.substr(0, 8),
                                    node.value("Address", ""), node.value("Datacenter", "")};
    if (detailed) {
      row.push_back(JoinPairs(Member(node, "TaggedAddresses")));
      row.push_back(JoinPairs(Member(node, service.empty() ? "Meta" : "NodeMeta")));
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    out << "No nodes match the given query - try expanding your search\n";
    return kExitOk;
  }
  std::vector<std::string> head = {"Node", "ID", "Address", "DC"};
  if (detailed) head.insert(head.end(), {"TaggedAddresses", "Meta"});
  rows.insert(rows.begin(), head);
  out << FormatTable(rows);
  return kExitOk;
}

absl::StatusOr<int> ListServices(const ApiClient& client, const ParsedFlags& parsed,
                                 std::ostream& out) {
  std::map<std::string, std::set<std::string>> tags_by_name;
  const auto add_tags = [&tags_by_name](const std::string& name, const json& tags) {
    std::set<std::string>& all = tags_by_name[name];
    for (const json& tag : tags) all.insert(tag.get<std::string>());
  };
  const std::string node(parsed.Last("node"));
  if (node.empty()) {
    ASSIGN_OR_RETURN(const ApiReply reply, client.Get("catalog/services", CommonQuery(parsed)));
    const json services = json::parse(reply.body, nullptr, false);
    for (const auto& [name, tags] : services.items()) {
      add_tags(name, tags);
    }
  } else {
    ASSIGN_OR_RETURN(const ApiReply reply, client.Get("catalog/node/" + EncodePathPart(node)));
    const json services = Member(json::parse(reply.body, nullptr, false), "Services");
    for (const auto& [id, service] : services.items()) {
      add_tags(service.value("Service", ""), service.value("Tags", json::array()));
    }
  }
  Rows rows;
  for (const auto& [name, tags] : tags_by_name) {
    rows.push_back({name});
    if (parsed.Has("tags")) rows.back().push_back(absl::StrJoin(tags, ","));
  }
  out << FormatTable(rows);
  return kExitOk;
}

int RunDatacenters(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos catalog datacenters [options]\n\n  Lists the datacenters.",
                       {}, "Error listing datacenters", arguments, streams, ListDatacenters);
}

int RunNodes(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos catalog nodes [options]\n\n  Lists nodes.",
                       {{"detailed", "", "Show whole ids, tagged addresses and metadata."},
                        {"near", "node", "Order by distance from a node."},
                        {"node-meta", "key=value", "Only nodes with that; may be repeated."},
                        {"service", "name", "Only nodes with the service."},
                        {"filter", "expression", "Only what the expression fits."}},
                       "Error listing nodes", arguments, streams, ListNodes);
}

int RunServiceNames(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos catalog services [options]\n\n  Lists services.",
                       {{"node", "name", "Only services of a node."},
                        {"node-meta", "key=value", "Only of nodes with that; may be repeated."},
                        {"tags", "", "Show their tags."}},
                       "Error listing services", arguments, streams, ListServices);
}

constexpr Command kSubcommands[] = {
    {"datacenters", "Lists the datacenters", RunDatacenters},
    {"nodes", "Lists nodes", RunNodes},
    {"services", "Lists services", RunServiceNames},
};

}  // namespace

int RunCatalog(Arguments arguments, const Streams& streams) {
  return RunSubcommand("catalog", kSubcommands, arguments, streams);
}

}  // namespace pharos::agent
