// `pharos members`, and the commands that change who is one: join, leave, force-leave, reload.

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

constexpr int kExitNoMatch = 2;
constexpr const char* kStatusNames[] = {"none", "alive", "leaving", "left", "failed"};

struct Member {
  std::string name, address, status;
  std::map<std::string, std::string> tags;

  std::string Tag(const std::string& key) const {
    const auto found = tags.find(key);
    return found == tags.end() ? "" : found->second;
  }
};

std::string SegmentOf(const Member& member) {
  if (member.Tag("role") == "consul") return "<all>";
  const std::string segment = member.Tag("segment");
  return segment.empty() ? "<default>" : segment;
}

// Servers first.
std::vector<Member> ReadMembers(const std::string& body) {
  std::vector<Member> members;
  for (const json& given : json::parse(body, nullptr, false)) {
    Member member;
    member.name = given.value("Name", "");
    const std::string ip = given.value("Addr", "");
    member.address = absl::StrCat(ip.find(':') == std::string::npos ? ip : "[" + ip + "]", ":",
                                  given.value("Port", 0));
    const int status = given.value("Status", 0);
    member.status = status >= 0 && status < 5 ? kStatusNames[status] : "unknown";
    const json tags = given.value("Tags", json::object());
    for (const auto& [key, value] : tags.items()) {
      member.tags[key] = value.is_string() ? value.get<std::string>() : "";
    }
    members.push_back(std::move(member));
  }
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
    return std::pair(SegmentOf(a), a.name) < std::pair(SegmentOf(b), b.name);
  });
  return members;
}

std::vector<std::string> StandardRow(const Member& member) {
  const bool server = member.Tag("role") == "consul";
  const std::string build = member.Tag("build");
  return {member.name,
          member.address,
          member.status,
          server ? "server" : "client",
          build.substr(0, build.find(':')),
          member.Tag("vsn"),
          member.Tag("dc"),
          SegmentOf(member)};
}

std::vector<std::string> DetailedRow(const Member& member) {
  return {member.name, member.address, member.status,
          absl::StrJoin(member.tags, ",", absl::PairFormatter("="))};
}

absl::StatusOr<int> ListMembers(const ApiClient& client, const ParsedFlags& parsed,
                                std::ostream& out) {
  const RE2 wanted(std::string(parsed.Last("status", ".*")), RE2::Quiet);
  if (!wanted.ok()) {
    return absl::InvalidArgumentError("-status is no regular expression: " + wanted.error());
  }
  QueryPairs query = {{"segment", "_all"}};
  if (parsed.Has("wan")) query = {{"wan", "1"}};
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("agent/members", query));
  const bool detailed = parsed.Has("detailed");
  std::vector<std::vector<std::string>> rows;
  for (const Member& member : ReadMembers(reply.body)) {
    if (!RE2::PartialMatch(member.status, wanted)) continue;
    rows.push_back(detailed ? DetailedRow(member) : StandardRow(member));
  }
  if (rows.empty()) return kExitNoMatch;
  rows.insert(rows.begin(), detailed
                                ? std::vector<std::string>{"Node", "Address", "Status", "Tags"}
                                : std::vector<std::string>{"Node", "Address", "Status", "Type",
                                                           "Build", "Protocol", "DC", "Segment"});
  out << FormatTable(rows);
  return kExitOk;
}

// A write without an answer; says `done` if that is not empty.
int RunWrite(std::string_view usage, std::string_view failed, const std::string& path,
             std::string_view done, Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      usage, {}, failed, arguments, streams,
      [&](const ApiClient& client, const ParsedFlags&, std::ostream& out) -> absl::StatusOr<int> {
        RETURN_IF_ERROR(client.Put(path));
        out << done << "\n";
        return kExitOk;
      });
}

}  // namespace

int RunMembers(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos members [options]\n\n  Lists the members of the cluster.",
                       {{"detailed", "", "Show all tags."},
                        {"status", "regex", "Only members whose status fits; .* unless given."},
                        {"wan", "", "The servers of all datacenters."},
                        {"segment", "name", "Taken, and not used."}},
                       "Error retrieving members", arguments, streams, ListMembers);
}

int RunReload(Arguments arguments, const Streams& streams) {
  return RunWrite("Usage: pharos reload [options]\n\n  Lets the agent read its files again.",
                  "Error reloading", "agent/reload", "Configuration reload triggered", arguments,
                  streams);
}

int RunLeave(Arguments arguments, const Streams& streams) {
  return RunWrite("Usage: pharos leave [options]\n\n  Lets the agent leave its cluster and stop.",
                  "Error leaving", "agent/leave", "Graceful leave complete", arguments, streams);
}

int RunForceLeave(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos force-leave [options] NODE\n\n  Takes a failed node for one that has left.",
      {{"prune", "", "Forget it altogether."}, {"wan", "", "In the pool of all datacenters."}},
      "Error force leaving", arguments, streams,
      [](const ApiClient& client, const ParsedFlags& parsed, std::ostream&) -> absl::StatusOr<int> {
        if (parsed.arguments.size() != 1) {
          return absl::InvalidArgumentError("expected the name of one node");
        }
        QueryPairs query;
        if (parsed.Has("prune")) query.emplace_back("prune", "1");
        if (parsed.Has("wan")) query.emplace_back("wan", "1");
        RETURN_IF_ERROR(
            client.Put("agent/force-leave/" + EncodePathPart(parsed.arguments[0]), query));
        return kExitOk;
      });
}

int RunJoin(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos join [options] ADDRESS...\n\n  Lets the agent join a cluster.",
      {{"wan", "", "In the pool of all datacenters."}}, "Error joining", arguments, streams,
      [&streams](const ApiClient& client, const ParsedFlags& parsed,
                 std::ostream& out) -> absl::StatusOr<int> {
        int joined = 0;
        for (const std::string& address : parsed.arguments) {
          QueryPairs query;
          if (parsed.Has("wan")) query.emplace_back("wan", "1");
          const absl::Status status = client.Put("agent/join/" + EncodePathPart(address), query);
          joined += status.ok() ? 1 : 0;
          if (status.ok()) continue;
          streams.err << "Error joining address '" << address
                      << "': " << std::string(status.message()) << "\n";
        }
        if (joined == 0) return absl::UnavailableError("Failed to join any nodes.");
        out << "Successfully joined cluster by contacting " << joined << " nodes.\n";
        return kExitOk;
      });
}

}  // namespace pharos::agent
