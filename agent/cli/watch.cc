// `pharos watch`: shows, or runs a command at, each change of what is registered.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/cli/api_command.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kRetryDelay(5);

struct Watched {
  std::string path;
  QueryPairs query;
};

absl::StatusOr<Watched> ReadWatched(const ParsedFlags& parsed) {
  const std::string type(parsed.Last("type")), service(parsed.Last("service"));
  const std::string state(parsed.Last("state"));
  Watched watched;
  if (const std::string filter(parsed.Last("filter")); !filter.empty()) {
    watched.query.emplace_back("filter", filter);
  }
  if (type == "services" || type == "nodes") {
    watched.path = "catalog/" + type;
  } else if (type == "service" && !service.empty()) {
    watched.path = "health/service/" + EncodePathPart(service);
    for (const auto& [name, value] : parsed.values) {
      if (name == "tag") watched.query.emplace_back("tag", value);
    }
    if (parsed.Has("passingonly")) watched.query.emplace_back("passing", "1");
  } else if (type == "service") {
    return absl::InvalidArgumentError("a watch of type service needs -service");
  } else if (type == "checks" && !service.empty()) {
    watched.path = "health/checks/" + EncodePathPart(service);
  } else if (type == "checks") {
    watched.path = "health/state/" + EncodePathPart(state.empty() ? "any" : state);
  } else {
    return absl::InvalidArgumentError(
        absl::StrFormat("-type is \"%s\"; expected services, nodes, service or checks", type));
  }
  return watched;
}

// Runs the command with the result on its standard input; its exit status.
int RunCommand(const std::string& command, const std::string& input, uint64_t index) {
  setenv("CONSUL_INDEX", absl::StrCat(index).c_str(), 1);
  FILE* child = popen(command.c_str(), "w");
  if (child == nullptr) return kExitError;
  fwrite(input.data(), 1, input.size(), child);
  const int status = pclose(child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kExitError;
}

// For a shell, so that it takes each argument as it was given.
std::string Quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string CommandOf(const ParsedFlags& parsed) {
  if (parsed.Last("shell", "true") == "true") return absl::StrJoin(parsed.arguments, " ");
  std::vector<std::string> words;
  for (const std::string& argument : parsed.arguments) words.push_back(Quoted(argument));
  return absl::StrJoin(words, " ");
}

absl::StatusOr<int> Watch(const ApiClient& client, const ParsedFlags& parsed, std::ostream& out,
                          std::ostream& err) {
  ASSIGN_OR_RETURN(const Watched watched, ReadWatched(parsed));
  if (parsed.arguments.empty()) {
    ASSIGN_OR_RETURN(const ApiReply reply, client.Get(watched.path, watched.query));
    out << json::parse(reply.body, nullptr, false).dump(4) << "\n";
    return kExitOk;
  }
  uint64_t index = 0;
  std::string last;
  while (true) {
    QueryPairs query = watched.query;
    if (index > 0) query.emplace_back("index", absl::StrCat(index));
    const absl::StatusOr<ApiReply> reply = client.Get(watched.path, query);
    if (!reply.ok()) {
      err << "Error watching: " << std::string(reply.status().message()) << "\n";
      std::this_thread::sleep_for(kRetryDelay);
      continue;
    }
    uint64_t now = 0;
    const auto found = reply->headers.find("x-consul-index");
    if (found == reply->headers.end() || !absl::SimpleAtoi(found->second, &now)) now = 1;
    // An index that went back is of another history: begin anew.
    index = now < index ? 0 : now;
    if (reply->body == last) continue;
    last = reply->body;
    if (const int status = RunCommand(CommandOf(parsed), last, now); status != kExitOk) {
      err << "the command ended with status " << status << "\n";
    }
  }
}

}  // namespace

int RunWatch(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos watch [options] [COMMAND...]\n\n  Runs COMMAND at each change, with the new "
      "state as JSON on its standard input and its index in CONSUL_INDEX. Without COMMAND it "
      "prints the state once.",
      {{"type", "type", "services, nodes, service or checks."},
       {"service", "name", "The service."},
       {"tag", "tag", "Only instances with the tag; may be repeated."},
       {"passingonly", "", "Only instances that pass all checks."},
       {"state", "state", "Only checks in the state."},
       {"filter", "expression", "Only what the expression fits."},
       {"shell", "", "Run COMMAND by a shell; so unless =false."}},
      "Error watching", arguments, streams,
      [&streams](const ApiClient& client, const ParsedFlags& parsed, std::ostream& out) {
        return Watch(client, parsed, out, streams.err);
      });
}

}  // namespace pharos::agent
