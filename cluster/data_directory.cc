#include "cluster/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status_macros.h"

namespace pharos::cluster {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kFileOctetsMax = size_t{1} << 20;

// What to do when nothing in the directory can be used any more.
constexpr char kStartOver[] =
    "If other servers have the catalog, move %s away and start again: this server joins them as a "
    "new one. Else restore a backup (docs/operating.md)";

absl::StatusOr<json> ReadJson(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileOctetsMax));
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) return absl::DataLossError(absl::StrFormat("%s is no JSON object", path));
  return value;
}

std::string TextOf(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

bool IsEmpty(const std::string& path) {
  std::error_code failed;
  const std::filesystem::directory_iterator first(path, failed);
  return failed || first == std::filesystem::directory_iterator();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::Open(const std::string& data_dir,
                                                                   const std::string& node_id) {
  std::unique_ptr<DataDirectory> directory(new DataDirectory(data_dir + "/raft", node_id));
  if (Exists(directory->path_ + "/raft.db") || Exists(directory->path_ + "/wal")) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s holds the Raft log of Consul, which Pharos cannot read. Give Pharos a data_dir of its "
        "own, and bring the catalog over with the HTTP API",
        directory->path_));
  }
  RETURN_IF_ERROR(CreateDirectories(directory->log_path()));
  RETURN_IF_ERROR(directory->Lock());
  RETURN_IF_ERROR(directory->Load());
  return directory;
}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) close(lock_);
}

absl::Status DataDirectory::Lock() {
  const std::string path = path_ + "/LOCK";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) {
    return absl::InternalError(absl::StrFormat("cannot open %s: %s", path, std::strerror(errno)));
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "another process uses %s: stop it first, or give each agent a data_dir of its own", path_));
}

absl::Status DataDirectory::Load() {
  const std::string path = path_ + "/server.json";
  if (!Exists(path)) {
    if (!IsEmpty(log_path())) {
      return absl::DataLossError(
          absl::StrFormat("%s has a log but no server.json, so nobody knows whose log it is. %s",
                          path_, absl::StrFormat(kStartOver, path_)));
    }
    // One bit less, as some show it as a signed number.
    do {
      raft_id_ = SecureRandomU64() >> 1;
    } while (raft_id_ == 0);
    return Save();
  }
  const absl::StatusOr<json> value = ReadJson(path);
  if (!value.ok()) {
    return absl::DataLossError(absl::StrFormat("%s. %s", std::string(value.status().message()),
                                               absl::StrFormat(kStartOver, path_)));
  }
  const auto format = value->find("format");
  if (format == value->end() || !format->is_number_integer()) {
    return absl::DataLossError(absl::StrFormat("%s does not say its format. %s", path,
                                               absl::StrFormat(kStartOver, path_)));
  }
  if (format->get<int64_t>() > kFormat) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s is of format %d, from a newer version of Pharos; this one knows format %d. Upgrade it",
        path_, format->get<int64_t>(), kFormat));
  }
  if (!absl::SimpleAtoi(TextOf(*value, "raft_id"), &raft_id_) || raft_id_ == 0) {
    return absl::DataLossError(
        absl::StrFormat("%s has no raft_id. %s", path, absl::StrFormat(kStartOver, path_)));
  }
  cluster_id_ = TextOf(*value, "cluster_id");
  const std::string reached = TextOf(*value, "reached_index");
  if (!reached.empty() && !absl::SimpleAtoi(reached, &reached_index_)) {
    return absl::DataLossError(absl::StrFormat("%s has \"%s\" as reached_index. %s", path, reached,
                                               absl::StrFormat(kStartOver, path_)));
  }
  const std::string node_id = TextOf(*value, "node_id");
  if (!node_id.empty() && node_id != node_id_) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s is of the node with the id %s, and this one is %s: it seems to be a copy. Two servers "
        "must never run from copies of one directory: move it away, and this server joins as a new "
        "one",
        path_, node_id, node_id_));
  }
  return absl::OkStatus();
}

absl::Status DataDirectory::Save() const {
  const json value = {{"format", kFormat},
                      {"raft_id", absl::StrCat(raft_id_)},
                      {"cluster_id", cluster_id_},
                      {"node_id", node_id_},
                      {"reached_index", absl::StrCat(reached_index_)}};
  return ReplaceFile(path_ + "/server.json", value.dump(2) + "\n");
}

absl::Status DataDirectory::SetClusterId(const std::string& cluster_id) {
  if (cluster_id == cluster_id_) return absl::OkStatus();
  if (!cluster_id_.empty()) {
    // Others' messages are compared before, so this is what the server's own log has begun again.
    return absl::FailedPreconditionError(
        absl::StrFormat("%s is of the cluster %s, and its log of the cluster %s: the log is "
                        "damaged, and what it had "
                        "at its beginning is gone. %s",
                        path_, cluster_id_, cluster_id, absl::StrFormat(kStartOver, path_)));
  }
  cluster_id_ = cluster_id;
  return Save();
}

absl::Status DataDirectory::SetReachedIndex(uint64_t index) {
  if (index <= reached_index_) return absl::OkStatus();
  reached_index_ = index;
  return Save();
}

std::vector<peer::v1::Server> DataDirectory::LoadPeers() const {
  std::vector<peer::v1::Server> peers;
  const absl::StatusOr<json> value = ReadJson(path_ + "/peers.json");
  if (!value.ok()) return peers;
  const auto list = value->find("servers");
  if (list == value->end() || !list->is_array()) return peers;
  for (const json& each : *list) {
    peer::v1::Server server;
    uint64_t raft_id = 0;
    if (!each.is_object() || !absl::SimpleAtoi(TextOf(each, "raft_id"), &raft_id)) continue;
    server.set_raft_id(raft_id);
    server.set_name(TextOf(each, "name"));
    server.set_node_id(TextOf(each, "node_id"));
    server.set_address(TextOf(each, "address"));
    server.set_datacenter(TextOf(each, "datacenter"));
    peers.push_back(std::move(server));
  }
  return peers;
}

absl::Status DataDirectory::SavePeers(const std::vector<peer::v1::Server>& peers) {
  json list = json::array();
  for (const peer::v1::Server& peer : peers) {
    list.push_back({{"raft_id", absl::StrCat(peer.raft_id())},
                    {"name", peer.name()},
                    {"node_id", peer.node_id()},
                    {"address", peer.address()},
                    {"datacenter", peer.datacenter()}});
  }
  return ReplaceFile(
      path_ + "/peers.json",
      json{{"servers", list}}.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace pharos::cluster
