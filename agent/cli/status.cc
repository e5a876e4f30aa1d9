// `pharos status`: one screen that says whether this node is healthy, and why not.

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

constexpr int kSyncAgeMaxS = 300;
constexpr size_t kOutputOctetsShown = 100;

std::string FirstLine(const std::string& text) {
  return text.substr(0, std::min(text.find('\n'), kOutputOctetsShown));
}

// What speaks against the node's health is added to `reasons`.
void ShowChecks(const json& checks, std::ostream& out, std::vector<std::string>& reasons) {
  std::map<std::string, int> counts = {{"passing", 0}, {"warning", 0}, {"critical", 0}};
  std::vector<std::vector<std::string>> failing;
  for (const auto& [id, check] : checks.items()) {
    const std::string status = check.value("Status", "");
    ++counts[status];
    if (status == "passing") continue;
    const std::string service = check.value("ServiceName", "");
    const std::string output = check.value("Output", ""), notes = check.value("Notes", "");
    failing.push_back({"  " + status, id, service.empty() ? "(node)" : service,
                       FirstLine(output.empty() ? notes : output)});
    if (id == "_node_maintenance") reasons.push_back("the node is in maintenance");
  }
  out << absl::StrFormat("Checks:   %d passing, %d warning, %d critical\n", counts["passing"],
                         counts["warning"], counts["critical"]);
  out << FormatTable(failing);
  if (counts["critical"] > 0) {
    reasons.push_back(absl::StrFormat("%d critical checks", counts["critical"]));
  }
}

absl::StatusOr<int> Show(const ApiClient& client, const ParsedFlags&, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply self_reply, client.Get("agent/self"));
  ASSIGN_OR_RETURN(const ApiReply leader_reply, client.Get("status/leader"));
  ASSIGN_OR_RETURN(const ApiReply services_reply, client.Get("agent/services"));
  ASSIGN_OR_RETURN(const ApiReply checks_reply, client.Get("agent/checks"));
  const json self = json::parse(self_reply.body, nullptr, false);
  const json leader = json::parse(leader_reply.body, nullptr, false);
  std::vector<std::string> reasons;

  const json config = self.value("Config", json::object());
  const json debug = self.value("DebugConfig", json::object());
  out << absl::StrFormat("Node:     %s in %s (%s), version %s\n", config.value("NodeName", ""),
                         config.value("Datacenter", ""),
                         config.value("Server", false) ? "server" : "client",
                         config.value("Version", ""));
  const std::string leads = leader.is_string() ? leader.get<std::string>() : "";
  out << "Leader:   " << (leads.empty() ? "none" : leads) << "\n";
  if (leads.empty()) reasons.push_back("no server leads");
  out << absl::StrFormat("DNS:      port %d, zone %s\n", debug.value("DNSPort", -1),
                         debug.value("DNSDomain", ""));
  out << absl::StrFormat("Services: %d\n", json::parse(services_reply.body, nullptr, false).size());

  const std::string age = self.value("Stats", json::object())
                              .value("agent", json::object())
                              .value("last_sync_s", "never");
  int age_s = 0;
  const bool synced = absl::SimpleAtoi(age, &age_s);
  out << "Synced:   " << (synced ? absl::StrCat(age_s, " s ago") : "never") << "\n";
  if (!synced || age_s > kSyncAgeMaxS) {
    reasons.push_back("the catalog has not been in step with this agent for long");
  }
  ShowChecks(json::parse(checks_reply.body, nullptr, false), out, reasons);
  if (reasons.empty()) {
    out << "healthy\n";
    return kExitOk;
  }
  out << "NOT healthy: " << absl::StrJoin(reasons, "; ") << "\n";
  return kExitError;
}

}  // namespace

int RunStatus(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos status [options]\n\n  Says on one screen whether this node is healthy, and "
      "why not. The exit status is 0 if it is.",
      {}, "NOT healthy: the agent does not answer", arguments, streams, Show);
}

}  // namespace pharos::agent
