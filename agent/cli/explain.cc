// `pharos explain`: why DNS answers a question as it does.

#include <nlohmann/json.hpp>
#include <string>

#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

absl::StatusOr<int> Show(const ApiClient& client, const ParsedFlags& parsed, std::ostream& out) {
  const std::vector<std::string>& asked = parsed.arguments;
  if (asked.empty() || asked.size() > 2) {
    return absl::InvalidArgumentError("expected a name, and perhaps a type");
  }
  QueryPairs query = {{"name", asked[0]}};
  if (asked.size() == 2) query.emplace_back("type", asked[1]);
  if (parsed.Has("tcp")) query.emplace_back("transport", "tcp");
  for (const char* name : {"edns", "client"}) {
    const std::string value(parsed.Last(name));
    if (!value.empty()) query.emplace_back(name, value);
  }
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("dns/explain", query));
  const json explained = json::parse(reply.body, nullptr, false);
  std::vector<std::vector<std::string>> rows;
  for (const json& step : explained.value("Steps", json::array())) {
    rows.push_back({step.value("Topic", ""), step.value("Text", "")});
  }
  out << FormatTable(rows);
  if (explained.contains("Reply")) out << "\n" << explained.value("Reply", "");
  return kExitOk;
}

}  // namespace

int RunExplain(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos explain [options] NAME [TYPE]\n\n  Says step by step why DNS answers the "
      "question as it does: what the name means, which\n  instances are taken or left out and "
      "why, what limits the answer, and the reply itself.",
      {{"client", "address", "Who asks; 127.0.0.1 unless given."},
       {"edns", "octets", "What the client takes by UDP; 1232 unless given, 0 for no EDNS."},
       {"tcp", "", "As asked by TCP."}},
      "Error explaining the answer", arguments, streams, Show);
}

}  // namespace pharos::agent
