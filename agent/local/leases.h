// What holders hold by gRPC (proto/discovery.proto, Registration.Hold): instances that are there
// for as long as somebody holds them. A lease outlives its stream by its grace, and the agent by
// its ttl.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/local/local_agent.h"
#include "agent/local/store.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/random.h"
#include "proto/discovery.pb.h"
#include "rpc/registrar.h"

namespace pharos::agent {

// An instance as it was described by gRPC, in the form that the agent keeps.
ServiceDefinition MakeDefinition(const discovery::v1::InstanceSpec& instance);

struct LeaseCounts {
  uint64_t leases = 0;
  uint64_t orphans = 0;    // Of these, those that wait for their holder.
  uint64_t instances = 0;  // That are held.
  uint64_t expired = 0;    // Leases that ended without a release.
  uint64_t refused = 0;    // Opened or enlarged beyond a bound.
};

// On the thread `checks`.
class Leases {
 public:
  // Of this agent.
  static constexpr size_t kLeasesMax = 65'536;
  static constexpr size_t kInstancesMax = 65'536;
  // For how long a report of health may be known to this process only.
  static constexpr absl::Duration kKeepDelay = absl::Seconds(1);

  // What is borrowed outlives this.
  Leases(LocalAgent& agent, Store& store, const Clock& clock, Loop& loop, uint64_t seed);

  // Takes up what an agent before this one kept; each lease waits for its holder.
  void Restore();

  // As rpc::Registrar has them.
  void Open(discovery::v1::HoldOpen request, rpc::Registrar::Taken taken,
            rpc::Registrar::OpenDone done);
  void Change(rpc::Registrar::Session session, const discovery::v1::HoldRequest& request,
              rpc::Registrar::Done done);
  void Release(rpc::Registrar::Session session, rpc::Registrar::Done done);
  void Lost(rpc::Registrar::Session session);

  // Whether a lease holds an instance of this id.
  bool Holds(const std::string& id) const;
  // A file, or a request by HTTP, has put something else in the place of what is held.
  void OnTaken(const std::string& id);

  LeaseCounts counts() const;

 private:
  struct Lease {
    std::string id;
    uint32_t ttl_ms = 0;
    uint32_t grace_ms = 0;
    // By id in lower case, each with its present health.
    std::map<std::string, discovery::v1::InstanceSpec> instances;
    rpc::Registrar::Session session = 0;  // 0: its holder is away.
    rpc::Registrar::Taken taken;
    absl::Time deadline = absl::InfiniteFuture();  // Without a holder.
    bool unkept = false;                           // What is on disk lacks a report.
  };

  Lease* FindSession(rpc::Registrar::Session session);
  Lease& NewLease();
  // Whether the lease may hold the instance; takes it from a lease whose holder is away.
  absl::Status Claim(const discovery::v1::InstanceSpec& instance, const Lease* lease);
  absl::Status CheckRoom(size_t more) const;
  void Register(Lease& lease, discovery::v1::InstanceSpec instance, rpc::Registrar::Done done);
  void Deregister(Lease& lease, const std::string& id, rpc::Registrar::Done done);
  void Report(Lease& lease, const discovery::v1::HoldHealth& report, rpc::Registrar::Done done);
  // Takes an instance out of whichever lease has it.
  void Forget(const std::string& lower_id);
  // Ends the lease and returns the ids of what it held.
  std::vector<std::string> Erase(const std::string& lease_id);
  void Keep(Lease& lease);
  void KeepLater(Lease& lease);
  void SetDeadline(Lease& lease, absl::Time deadline);
  void SetTimer();
  void Expire();

  LocalAgent& agent_;
  Store& store_;
  const Clock& clock_;
  Random random_;
  LoopTimer expiry_timer_, keep_timer_;
  absl::flat_hash_map<std::string, std::unique_ptr<Lease>> leases_;
  absl::flat_hash_map<rpc::Registrar::Session, Lease*> sessions_;
  absl::flat_hash_map<std::string, Lease*> owners_;  // By the instance's id in lower case.
  std::set<std::pair<absl::Time, std::string>> deadlines_;
  std::set<std::string> unkept_;  // Ids of leases.
  rpc::Registrar::Session last_session_ = 0;
  uint64_t expired_ = 0, refused_ = 0;
};

}  // namespace pharos::agent
