#include "cluster/gossip/snapshot_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/socket.h"
#include "base/status_macros.h"

namespace pharos::gossip {
namespace {

constexpr size_t kFileOctetsMax = 64 << 20;
constexpr size_t kRewriteOctets = 128 << 10;
constexpr size_t kOctetsOfMember = 128;

// What is behind `prefix` in a line that begins with it.
std::optional<std::string_view> Behind(std::string_view line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return std::nullopt;
  return line.substr(prefix.size());
}

void ReadClock(std::string_view text, LamportTime& clock) {
  LamportTime read = 0;
  if (absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &read)) clock = read;
}

void ReadLine(std::string_view line, bool rejoin_after_leave, PoolMemory& memory) {
  if (const auto alive = Behind(line, "alive: ")) {
    // Names may hold blanks, addresses do not.
    const size_t blank = alive->rfind(' ');
    if (blank == std::string_view::npos || blank == 0) return;
    memory.alive[std::string(alive->substr(0, blank))] = alive->substr(blank + 1);
  } else if (const auto gone = Behind(line, "not-alive: ")) {
    memory.alive.erase(std::string(*gone));
  } else if (const auto clock = Behind(line, "clock: ")) {
    ReadClock(*clock, memory.clock);
  } else if (const auto event_clock = Behind(line, "event-clock: ")) {
    ReadClock(*event_clock, memory.event_clock);
  } else if (const auto query_clock = Behind(line, "query-clock: ")) {
    ReadClock(*query_clock, memory.query_clock);
  } else if (line == "leave" && !rejoin_after_leave) {
    memory = {};
  }
}

}  // namespace

PoolMemory ParsePoolMemory(std::string_view text, bool rejoin_after_leave) {
  PoolMemory memory;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // The last line was cut off with the process.
    ReadLine(text.substr(0, end), rejoin_after_leave, memory);
    text.remove_prefix(end + 1);
  }
  return memory;
}

absl::StatusOr<std::unique_ptr<SnapshotFile>> SnapshotFile::Open(std::string path,
                                                                 bool rejoin_after_leave) {
  std::unique_ptr<SnapshotFile> file(new SnapshotFile(std::move(path)));
  absl::StatusOr<std::string> text = ReadFile(file->path_, kFileOctetsMax);
  if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
  if (text.ok()) file->memory_ = ParsePoolMemory(*text, rejoin_after_leave);
  RETURN_IF_ERROR(file->Rewrite());
  return file;
}

void SnapshotFile::SetAlive(const std::string& name, const std::string& address) {
  // A name with a line break in it would be read as two lines.
  if (name.find('\n') != std::string::npos) return;
  std::string& known = memory_.alive[name];
  if (known == address) return;
  known = address;
  absl::StrAppend(&pending_, "alive: ", name, " ", address, "\n");
}

void SnapshotFile::SetGone(const std::string& name) {
  if (memory_.alive.erase(name) > 0) absl::StrAppend(&pending_, "not-alive: ", name, "\n");
}

void SnapshotFile::SetClocks(LamportTime clock, LamportTime event_clock, LamportTime query_clock) {
  if (clock != memory_.clock) absl::StrAppend(&pending_, "clock: ", clock, "\n");
  if (event_clock != memory_.event_clock) {
    absl::StrAppend(&pending_, "event-clock: ", event_clock, "\n");
  }
  if (query_clock != memory_.query_clock) {
    absl::StrAppend(&pending_, "query-clock: ", query_clock, "\n");
  }
  memory_.clock = clock;
  memory_.event_clock = event_clock;
  memory_.query_clock = query_clock;
}

void SnapshotFile::SetLeft() { pending_ += "leave\n"; }

absl::Status SnapshotFile::Flush() {
  if (pending_.empty()) return absl::OkStatus();
  const size_t octets_max = std::max(kRewriteOctets, 2 * kOctetsOfMember * memory_.alive.size());
  const bool left = pending_.ends_with("leave\n");
  if (file_octets_ + pending_.size() > octets_max && !left) return Rewrite();
  const Socket file(open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  const ssize_t written = file.fd() < 0 ? -1 : write(file.fd(), pending_.data(), pending_.size());
  if (written != static_cast<ssize_t>(pending_.size())) {
    return absl::UnavailableError(
        absl::StrFormat("cannot write %s: %s", path_, std::generic_category().message(errno)));
  }
  file_octets_ += pending_.size();
  pending_.clear();
  return absl::OkStatus();
}

absl::Status SnapshotFile::Rewrite() {
  std::string text;
  for (const auto& [name, address] : memory_.alive) {
    absl::StrAppend(&text, "alive: ", name, " ", address, "\n");
  }
  absl::StrAppend(&text, "clock: ", memory_.clock, "\nevent-clock: ", memory_.event_clock,
                  "\nquery-clock: ", memory_.query_clock, "\n");
  RETURN_IF_ERROR(ReplaceFileLoosely(path_, text));
  file_octets_ = text.size();
  pending_.clear();
  return absl::OkStatus();
}

}  // namespace pharos::gossip
