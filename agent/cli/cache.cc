// `pharos cache`: the answers of recursors that an agent keeps.

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

constexpr const char* kPath = "dns/cache";

absl::StatusOr<int> Flush(const ApiClient& client, const ParsedFlags& parsed, std::ostream& out) {
  if (parsed.arguments.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d names were given; expected one or none", parsed.arguments.size()));
  }
  QueryPairs query;
  if (!parsed.arguments.empty()) query.emplace_back("name", parsed.arguments[0]);
  ASSIGN_OR_RETURN(const ApiReply reply, client.Ask("DELETE", kPath, query));
  if (reply.status != 200) {
    return absl::UnknownError(
        absl::StrFormat("Unexpected response code: %d (%s)", reply.status, reply.body));
  }
  const json flushed = json::parse(reply.body, nullptr, false);
  out << absl::StrFormat("%d answers forgotten\n", flushed.value("Flushed", uint64_t{0}));
  return kExitOk;
}

std::string Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? ""
                    : absl::StrFormat(" (%.1f %%)", 100.0 * static_cast<double>(part) /
                                                        static_cast<double>(whole));
}

absl::StatusOr<int> Stats(const ApiClient& client, const ParsedFlags&, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get(kPath));
  const json stats = json::parse(reply.body, nullptr, false);
  const auto number = [&stats](const char* key) { return stats.value(key, uint64_t{0}); };
  const uint64_t hits = number("Hits"), misses = number("Misses");
  Rows rows = {
      {"Entries:", absl::StrFormat("%d", number("Entries"))},
      {"Bytes:", absl::StrFormat("%d of %d%s", number("Bytes"), number("BytesMax"),
                                 Share(number("Bytes"), number("BytesMax")))},
      {"Hits:", absl::StrFormat("%d%s", hits, Share(hits, hits + misses))},
      {"Misses:", absl::StrFormat("%d", misses)},
      {"Stale answers:", absl::StrFormat("%d", number("Stale"))},
      {"Known failures:", absl::StrFormat("%d", number("Failures"))},
      {"Prefetches:", absl::StrFormat("%d", number("Prefetches"))},
      {"Evictions:", absl::StrFormat("%d", number("Evictions"))},
      {"Flushed:", absl::StrFormat("%d", number("Flushed"))},
  };
  out << FormatTable(rows);
  const json upstreams = stats.value("Upstreams", json::array());
  if (upstreams.empty()) return kExitOk;
  rows = {{"Recursor", "State", "Round trip", "Queries", "Replies", "Failures"}};
  for (const json& upstream : upstreams) {
    const json& round_trip = upstream["RoundTripMs"];
    rows.push_back(
        {upstream.value("Address", ""), upstream.value("State", ""),
         round_trip.is_number() ? absl::StrFormat("%.1f ms", round_trip.get<double>()) : "-",
         absl::StrFormat("%d", upstream.value("Queries", uint64_t{0})),
         absl::StrFormat("%d", upstream.value("Replies", uint64_t{0})),
         absl::StrFormat("%d", upstream.value("Failures", uint64_t{0}))});
  }
  out << "\n" << FormatTable(rows);
  return kExitOk;
}

int RunFlush(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos cache flush [options] [NAME]\n\n  Forgets the recursors' answers about NAME "
      "and "
      "all names below it, or all answers.",
      {}, "Error flushing the cache", arguments, streams, Flush);
}

int RunStats(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos cache stats [options]\n\n  Shows how much is kept, how often it helped, and "
      "how "
      "the recursors do.",
      {}, "Error reading the cache's figures", arguments, streams, Stats);
}

constexpr Command kSubcommands[] = {
    {"flush", "Forgets answers of recursors", RunFlush},
    {"stats", "Shows what the cache holds and how recursors do", RunStats},
};

}  // namespace

int RunCache(Arguments arguments, const Streams& streams) {
  return RunSubcommand("cache", kSubcommands, arguments, streams);
}

}  // namespace pharos::agent
