// `pharos maint`: takes the node or a service out of the answers, and back. Also `info` and
// `monitor`, which only show.

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

constexpr std::string_view kServicePrefix = "_service_maintenance:";

absl::Status ListMaintenance(const ApiClient& client, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("agent/checks"));
  const json checks = json::parse(reply.body, nullptr, false);
  for (const auto& [id, check] : checks.items()) {
    if (id == "_node_maintenance") {
      out << absl::StrFormat("Node:\n  Name:   %s\n  Reason: %s\n\n", check.value("Node", ""),
                             check.value("Notes", ""));
    } else if (id.starts_with(kServicePrefix)) {
      out << absl::StrFormat("Service:\n  ID:     %s\n  Reason: %s\n\n",
                             id.substr(kServicePrefix.size()), check.value("Notes", ""));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Maintain(const ApiClient& client, const ParsedFlags& parsed,
                             std::ostream& out) {
  const bool enable = parsed.Has("enable"), disable = parsed.Has("disable");
  const std::string service(parsed.Last("service")), reason(parsed.Last("reason"));
  if (enable && disable) {
    return absl::InvalidArgumentError("Only one of -enable or -disable may be specified");
  }
  if (!enable && !disable) {
    if (!service.empty() || !reason.empty()) {
      return absl::InvalidArgumentError("-service and -reason need -enable or -disable");
    }
    RETURN_IF_ERROR(ListMaintenance(client, out));
    return kExitOk;
  }
  const std::string path = service.empty() ? "agent/maintenance"
                                           : "agent/service/maintenance/" + EncodePathPart(service);
  RETURN_IF_ERROR(client.Put(path, {{"enable", enable ? "true" : "false"}, {"reason", reason}}));
  const char* now = enable ? "enabled" : "disabled";
  if (service.empty()) {
    out << "Node maintenance is now " << now << "\n";
  } else {
    out << absl::StrFormat("Service maintenance is now %s for \"%s\"\n", now, service);
  }
  return kExitOk;
}

absl::StatusOr<int> ShowInfo(const ApiClient& client, const ParsedFlags&, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("agent/self"));
  // nlohmann's objects are sorted by key.
  const json self = json::parse(reply.body, nullptr, false);
  const json sections = self.value("Stats", json::object());
  for (const auto& [section, values] : sections.items()) {
    out << section << ":\n";
    for (const auto& [key, value] : values.items()) {
      out << "\t" << key << " = " << value.get<std::string>() << "\n";
    }
  }
  return kExitOk;
}

absl::StatusOr<int> Monitor(const ApiClient& client, const ParsedFlags& parsed, std::ostream& out) {
  QueryPairs query = {{"loglevel", std::string(parsed.Last("log-level", "INFO"))}};
  if (parsed.Has("log-json")) query.emplace_back("logjson", "true");
  RETURN_IF_ERROR(client.Stream("agent/monitor", query, [&out](std::string_view piece) {
    out << piece << std::flush;
    return out.good();
  }));
  return kExitOk;
}

}  // namespace

int RunMaint(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos maint [options]\n\n  Puts the node or a service into maintenance, or lists "
      "what is in it.",
      {{"enable", "", "Begin."},
       {"disable", "", "End."},
       {"reason", "text", "Why."},
       {"service", "id", "A service instead of the node."}},
      "Error changing maintenance", arguments, streams, Maintain);
}

int RunInfo(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos info [options]\n\n  Shows figures of the agent.", {},
                       "Error querying agent", arguments, streams, ShowInfo);
}

int RunMonitor(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos monitor [options]\n\n  Shows the agent's log as it is written.",
      {{"log-level", "level", "TRACE, DEBUG, INFO, WARN or ERR; INFO unless given."},
       {"log-json", "", "As JSON."}},
      "Error starting monitor", arguments, streams, Monitor);
}

}  // namespace pharos::agent
