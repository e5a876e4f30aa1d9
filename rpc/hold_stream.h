// One Hold stream: a holder's requests, taken one at a time and answered in order.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "proto/discovery.pb.h"
#include "rpc/context.h"

namespace pharos::rpc {

// Takes its steps on the thread `grpc`; gRPC's threads only post. Owns itself until gRPC is done
// with it and nothing it asked of the registrar is outstanding.
class HoldStream final
    : public ::grpc::ServerBidiReactor<discovery::v1::HoldRequest, discovery::v1::HoldResponse>,
      public Stream,
      public std::enable_shared_from_this<HoldStream> {
 public:
  // Begins to read. What is returned belongs to gRPC until it is done.
  static HoldStream* Start(const Context& context);

  explicit HoldStream(const Context& context);

  // gRPC's threads.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void Stop() override { End(absl::OkStatus()); }
  // One response waits at most, and nothing is read until it is taken.
  void CheckProgress(uint64_t) override {}

 private:
  template <typename Step>
  void Post(Step step);

  void Take();
  void Open();
  void Change();
  void Release();
  void OnOpened(const absl::StatusOr<Registrar::Opened>& opened);
  void OnTaken(const absl::Status& why);
  void Respond(const absl::StatusOr<uint64_t>& outcome);
  void Write();
  // The holder is gone without a release, or is sent away.
  void End(const absl::Status& status);

  const Context& context_;
  StreamCount count_;
  std::shared_ptr<HoldStream> self_;
  discovery::v1::HoldRequest request_;
  discovery::v1::HoldResponse response_;
  std::optional<Registrar::Session> session_;
  bool released_ = false;
  bool finished_ = false;
  uint64_t request_number_ = 0;  // Of the request that is being taken.
  uint64_t taken_ns_ = 0;
};

}  // namespace pharos::rpc
