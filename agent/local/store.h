// What was registered at this agent by request, kept in its data directory over restarts: a file
// for each registration, and one for what each TTL check was last told.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "registry/types.h"

namespace pharos::agent {

// A lease survives the process alone: its holder's connection is lost with the machine.
enum class Kept { kService, kCheck, kMaintenance, kLease };

struct KeptRegistration {
  std::string id;    // Of a maintenance, the service's; empty for the node's.
  std::string body;  // As it was requested: JSON, or of a maintenance its reason.
};

struct KeptTtl {
  registry::Health status = registry::Health::kCritical;
  std::string output;
  absl::Time deadline;
};

// One thread.
class Store {
 public:
  // An empty path keeps nothing (-dev).
  explicit Store(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  // Durable when it returns, but for leases.
  absl::Status Put(Kept kept, const std::string& id, std::string_view body);
  absl::Status Remove(Kept kept, const std::string& id);
  // Everything of a kind, by id. What cannot be read is left where it is, and said in the log.
  std::vector<KeptRegistration> Load(Kept kept) const;

  // Survives the process, but perhaps not the machine: a check is told again within its TTL.
  void PutTtl(const std::string& id, const KeptTtl& ttl);
  void RemoveTtl(const std::string& id);
  // nullopt: nothing is known, or it cannot be read.
  std::optional<KeptTtl> LoadTtl(const std::string& id) const;

 private:
  std::string FolderOf(Kept kept) const;
  std::string PathOf(const std::string& folder, const std::string& id) const;

  std::string data_dir_;
};

}  // namespace pharos::agent
