// What services register with: the agent's own side of the catalog, as gRPC needs it. Implemented
// by the agent (agent/grpc_registrar.h), so that what is registered by gRPC is kept in step with
// the catalog just as everything else that is registered at the agent.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/discovery.pb.h"

namespace pharos::rpc {

// All calls from any thread, with messages that Validate (rpc/validate.h) took. Callbacks run on
// the registrar's thread, each once, and none after the registrar has ended.
class Registrar {
 public:
  // The catalog index from which on the change is visible, or why nothing was changed.
  using Done = std::function<void(const absl::StatusOr<uint64_t>&)>;

  virtual ~Registrar() = default;

  virtual void Register(discovery::v1::RegisterRequest request, Done done) = 0;
  virtual void Deregister(discovery::v1::DeregisterRequest request, Done done) = 0;
  virtual void UpdateHealth(discovery::v1::UpdateHealthRequest request, Done done) = 0;

  // One stream's time with a lease; never used again.
  using Session = uint64_t;
  struct Opened {
    Session session = 0;
    discovery::v1::HoldOpened response;
  };
  using OpenDone = std::function<void(const absl::StatusOr<Opened>&)>;
  // The stream has lost its lease to another, or to the agent; Close need not be called any more.
  using Taken = std::function<void(const absl::Status&)>;

  // Begins or resumes a lease.
  virtual void Open(discovery::v1::HoldOpen request, Taken taken, OpenDone done) = 0;
  // register, deregister or health of an open session, in the order called. Aborted when the
  // session is over.
  virtual void Change(Session session, discovery::v1::HoldRequest request, Done done) = 0;
  // Gives all of it up.
  virtual void Release(Session session, Done done) = 0;
  // The stream broke: the lease's grace begins.
  virtual void Lost(Session session) = 0;
};

}  // namespace pharos::rpc
