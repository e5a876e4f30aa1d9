// Commands about the pools: `pharos event`, `pharos keyring`, `pharos rtt`.

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"
#include "cluster/gossip/coordinate.h"

namespace pharos::agent {
namespace {

using gossip::Coordinate;
using nlohmann::json;

absl::StatusOr<int> SendEvent(const ApiClient& client, const ParsedFlags& parsed,
                              std::ostream& out) {
  const std::string name(parsed.Last("name", ""));
  if (name.empty()) return absl::InvalidArgumentError("Event name missing; expected -name");
  if (parsed.arguments.size() > 1) {
    return absl::InvalidArgumentError("Too many command line arguments; expected one payload");
  }
  QueryPairs query;
  for (const char* filter : {"node", "service", "tag"}) {
    const std::string text(parsed.Last(filter, ""));
    if (!text.empty()) query.emplace_back(filter, text);
  }
  const std::string payload(parsed.arguments.empty() ? "" : parsed.arguments[0]);
  ASSIGN_OR_RETURN(const ApiReply reply,
                   client.Ask("PUT", "event/fire/" + EncodePathPart(name), query, payload));
  if (reply.status != 200) return absl::UnavailableError(reply.body);
  const json event = json::parse(reply.body, nullptr, false);
  out << "Event ID: " << (event.is_object() ? event.value("ID", "") : "") << "\n";
  return kExitOk;
}

// Rings as the API lists them.
absl::Status PrintRings(const std::string& body, const char* counts, std::ostream& out) {
  const json rings = json::parse(body, nullptr, false);
  if (!rings.is_array()) return absl::InternalError("the agent's answer is no list");
  for (const json& ring : rings) {
    const bool wan = ring.value("WAN", false);
    out << "\n" << (wan ? "WAN" : ring.value("Datacenter", "") + " (LAN)") << ":\n";
    const json messages = ring.value("Messages", json::object());
    for (const auto& [node, message] : messages.items()) {
      out << "  ===> " << node << ": " << message.get<std::string>() << "\n";
    }
    const json keys = ring.value(counts, json::object());
    for (const auto& [key, nodes] : keys.items()) {
      out << absl::StrFormat("  %s [%d/%d]\n", key, nodes.get<int>(), ring.value("NumNodes", 0));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> RunKeyringCommand(const ApiClient& client, const ParsedFlags& parsed,
                                      std::ostream& out) {
  const struct {
    const char *flag, *method, *says;
  } kChanges[] = {{"install", "POST", "==> Installing new gossip encryption key..."},
                  {"use", "PUT", "==> Changing primary gossip encryption key..."},
                  {"remove", "DELETE", "==> Removing gossip encryption key..."}};
  const bool list = parsed.Has("list"), list_primary = parsed.Has("list-primary");
  int wanted = (list ? 1 : 0) + (list_primary ? 1 : 0);
  for (const auto& change : kChanges) wanted += parsed.Last(change.flag).empty() ? 0 : 1;
  if (wanted != 1) {
    return absl::InvalidArgumentError(
        "Only a single action is allowed; expected one of -list, -list-primary, -install, -use and "
        "-remove");
  }
  QueryPairs query;
  if (!parsed.Last("relay-factor").empty()) {
    query.emplace_back("relay-factor", std::string(parsed.Last("relay-factor", "")));
  }
  if (parsed.Has("local-only")) query.emplace_back("local-only", "true");
  if (list || list_primary) {
    out << "==> Gathering installed encryption keys...\n" << std::flush;
    ASSIGN_OR_RETURN(const ApiReply reply, client.Get("operator/keyring", query));
    RETURN_IF_ERROR(PrintRings(reply.body, list ? "Keys" : "PrimaryKeys", out));
    return kExitOk;
  }
  for (const auto& change : kChanges) {
    if (parsed.Last(change.flag).empty()) continue;
    out << change.says << "\n" << std::flush;
    json body = json::object();
    body["Key"] = std::string(parsed.Last(change.flag, ""));
    ASSIGN_OR_RETURN(const ApiReply reply,
                     client.Ask(change.method, "operator/keyring", query, body.dump()));
    if (reply.status != 200) return absl::UnavailableError(reply.body);
  }
  return kExitOk;
}

std::optional<Coordinate> ReadCoordinate(const json& entry) {
  const json given = entry.value("Coord", json());
  if (!given.is_object()) return std::nullopt;
  Coordinate coordinate;
  coordinate.vec = given.value("Vec", std::vector<double>());
  coordinate.error = given.value("Error", 0.0);
  coordinate.adjustment = given.value("Adjustment", 0.0);
  coordinate.height = given.value("Height", 0.0);
  if (!coordinate.IsValid()) return std::nullopt;
  return coordinate;
}

absl::StatusOr<Coordinate> FindCoordinate(const json& nodes, const std::string& name) {
  for (const json& entry : nodes) {
    const std::string node = entry.value("Node", "");
    if (!absl::EqualsIgnoreCase(node, name)) continue;
    if (const std::optional<Coordinate> coordinate = ReadCoordinate(entry)) return *coordinate;
  }
  return absl::NotFoundError(absl::StrFormat("Could not find a coordinate for node \"%s\"", name));
}

absl::StatusOr<int> EstimateRtt(const ApiClient& client, const ParsedFlags& parsed,
                                std::ostream& out) {
  if (parsed.arguments.empty() || parsed.arguments.size() > 2) {
    return absl::InvalidArgumentError("expected the names of one or two nodes");
  }
  const bool wan = parsed.Has("wan");
  std::vector<std::string> names(parsed.arguments.begin(), parsed.arguments.end());
  if (names.size() == 1) {
    ASSIGN_OR_RETURN(const ApiReply self, client.Get("agent/self"));
    const json config = json::parse(self.body, nullptr, false).value("Config", json::object());
    const std::string own = config.value("NodeName", "");
    names.push_back(wan ? absl::StrCat(own, ".", config.value("Datacenter", "")) : own);
  }
  json nodes = json::array();
  ASSIGN_OR_RETURN(const ApiReply reply,
                   client.Get(wan ? "coordinate/datacenters" : "coordinate/nodes"));
  const json answer = json::parse(reply.body, nullptr, false);
  if (!answer.is_array()) return absl::InternalError("the agent's answer is no list");
  if (wan) {
    for (const json& datacenter : answer) {
      const json listed = datacenter.value("Coordinates", json::array());
      nodes.insert(nodes.end(), listed.begin(), listed.end());
    }
  } else {
    nodes = answer;
  }
  ASSIGN_OR_RETURN(const Coordinate first, FindCoordinate(nodes, names[0]));
  ASSIGN_OR_RETURN(const Coordinate second, FindCoordinate(nodes, names[1]));
  out << absl::StrFormat(
      "Estimated %s <-> %s rtt: %.3f ms (using %s coordinates)\n", names[0], names[1],
      absl::ToDoubleMilliseconds(gossip::EstimateRoundTrip(first, second)), wan ? "WAN" : "LAN");
  return kExitOk;
}

}  // namespace

int RunEvent(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos event [options] [PAYLOAD]\n\n  Sends an event to the agents of the cluster.",
      {{"name", "name", "Name of the event; needed."},
       {"node", "regex", "Only nodes whose name fits."},
       {"service", "regex", "Only nodes with a service whose name fits."},
       {"tag", "regex", "Only nodes with such a service with a tag that fits."}},
      "Error firing event", arguments, streams, SendEvent);
}

int RunKeyring(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos keyring [options]\n\n  Shows and changes the keys of the gossip encryption.",
      {{"list", "", "Show the keys and how many nodes have them."},
       {"list-primary", "", "Show the keys that nodes encrypt with."},
       {"install", "key", "Give a key to all nodes."},
       {"use", "key", "Let all nodes encrypt with an installed key."},
       {"remove", "key", "Take a key, which no node encrypts with, from all nodes."},
       {"relay-factor", "count", "Let each answer also go by so many other nodes, 0 to 5."},
       {"local-only", "", "Only the pool of this datacenter."}},
      "Error", arguments, streams, RunKeyringCommand);
}

int RunRtt(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos rtt [options] NODE1 [NODE2]\n\n  Estimates the round-trip time between two "
      "nodes; the second is the agent's unless given.",
      {{"wan", "", "Nodes of the WAN pool, as NODE.DATACENTER."}}, "Error", arguments, streams,
      EstimateRtt);
}

}  // namespace pharos::agent
