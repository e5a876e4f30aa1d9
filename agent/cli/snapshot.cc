// `pharos snapshot`: backups of the catalog.

#include <fstream>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "agent/cli/api_command.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cluster/state_machine.h"
#include "http/gzip.h"

namespace pharos::agent {
namespace {

constexpr size_t kFileOctetsMax = size_t{2} << 30;

absl::StatusOr<cluster::StateMachine::Contents> CheckFile(std::string_view packed) {
  ASSIGN_OR_RETURN(const std::string image, http::GunzipAll(packed));
  return cluster::StateMachine::Check(AsOctets(image));
}

absl::StatusOr<int> Save(const ApiClient& client, const ParsedFlags& parsed, std::ostream& out) {
  if (parsed.arguments.size() != 1) {
    return absl::InvalidArgumentError("expected one argument: the file to write");
  }
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("snapshot"));
  // What would not be taken back is no backup.
  ASSIGN_OR_RETURN(const auto contents, CheckFile(reply.body));
  RETURN_IF_ERROR(ReplaceFile(std::string(parsed.arguments[0]), reply.body));
  out << absl::StrFormat("Saved and verified snapshot to index %d\n", contents.info.index());
  return kExitOk;
}

absl::StatusOr<int> Restore(const ApiClient& client, const ParsedFlags& parsed, std::ostream& out) {
  if (parsed.arguments.size() != 1) {
    return absl::InvalidArgumentError("expected one argument: the file to read");
  }
  ASSIGN_OR_RETURN(const std::string packed,
                   ReadFile(std::string(parsed.arguments[0]), kFileOctetsMax));
  RETURN_IF_ERROR(client.Put("snapshot", {}, packed));
  out << "Restored snapshot\n";
  return kExitOk;
}

absl::StatusOr<int> Inspect(const ApiClient&, const ParsedFlags& parsed, std::ostream& out) {
  if (parsed.arguments.size() != 1) {
    return absl::InvalidArgumentError("expected one argument: the file to look at");
  }
  ASSIGN_OR_RETURN(const std::string packed,
                   ReadFile(std::string(parsed.arguments[0]), kFileOctetsMax));
  ASSIGN_OR_RETURN(const auto contents, CheckFile(packed));
  const auto& info = contents.info;
  out << FormatTable(
      {{"ID", absl::StrFormat("%d-%d-%d", info.term(), info.index(), info.time_unix_ms())},
       {"Size", absl::StrFormat("%d", packed.size())},
       {"Index", absl::StrFormat("%d", info.index())},
       {"Term", absl::StrFormat("%d", info.term())},
       {"Version", "1"},
       {"Datacenter", contents.header.datacenter()},
       {"Cluster", info.cluster_id()},
       {"Nodes", absl::StrFormat("%d", contents.header.nodes())},
       {"Queries", absl::StrFormat("%d", contents.header.queries())}});
  return kExitOk;
}

int RunSave(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos snapshot save [options] FILE\n\n  Writes the catalog to a file.", {},
      "Error saving snapshot", arguments, streams, Save);
}
int RunRestore(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos snapshot restore [options] FILE\n\n  Puts the catalog of a file in the place "
      "of "
      "the present one.",
      {}, "Error restoring snapshot", arguments, streams, Restore);
}
int RunInspect(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos snapshot inspect FILE\n\n  Says what is in a file.", {},
                       "Error inspecting snapshot", arguments, streams, Inspect);
}

constexpr Command kCommands[] = {
    {"inspect", "Says what is in a snapshot", RunInspect},
    {"restore", "Puts the catalog of a snapshot in the place of the present one", RunRestore},
    {"save", "Writes a snapshot of the catalog", RunSave},
};

}  // namespace

int RunSnapshot(Arguments arguments, const Streams& streams) {
  return RunSubcommand("snapshot", kCommands, arguments, streams);
}

}  // namespace pharos::agent
