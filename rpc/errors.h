// Statuses as gRPC clients get them: a code that says what to do, words for people, and details
// (google.rpc messages) for programs. Details travel as payloads of absl::Status until the edge.
#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/rpc_status.pb.h"

namespace pharos::rpc {

// What is wrong with the fields of one request. At most kFieldsMax are named.
class FieldProblems {
 public:
  static constexpr int kFieldsMax = 16;

  // `given` may be long or hostile: its beginning is shown, with `?` for what cannot be printed.
  void Add(std::string_view field, std::string_view given, std::string_view expected);
  bool empty() const { return bad_request_.field_violations_size() == 0; }
  // OK when there are none; else InvalidArgument in the words of the first, with google.rpc.
  // BadRequest.
  absl::Status status() const;

 private:
  google::rpc::BadRequest bad_request_;
};

// Adds google.rpc.ErrorInfo with the domain "pharos"; `reason` is a word in capitals.
absl::Status WithReason(absl::Status status, std::string_view reason);
// Adds google.rpc.RetryInfo.
absl::Status WithRetry(absl::Status status, absl::Duration delay);

// The status with its details, as google.rpc.Status.
google::rpc::Status ToMessage(const absl::Status& status);
// The same for the edge: the details go to `grpc-status-details-bin`.
::grpc::Status ToGrpcStatus(const absl::Status& status);

// The beginning of what a client sent, fit for a message: at most 64 octets, printable ASCII.
std::string Excerpt(std::string_view given);

}  // namespace pharos::rpc
