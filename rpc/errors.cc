#include "rpc/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace pharos::rpc {
namespace {

constexpr size_t kExcerptOctets = 64;
constexpr char kTypePrefix[] = "type.googleapis.com/";

template <typename Message>
void AddDetail(absl::Status& status, const Message& message) {
  status.SetPayload(absl::StrCat(kTypePrefix, Message::descriptor()->full_name()),
                    absl::Cord(message.SerializeAsString()));
}

}  // namespace

void FieldProblems::Add(std::string_view field, std::string_view given, std::string_view expected) {
  if (bad_request_.field_violations_size() >= kFieldsMax) return;
  google::rpc::BadRequest::FieldViolation& violation = *bad_request_.add_field_violations();
  violation.set_field(std::string(field));
  violation.set_description(
      absl::StrFormat("%s is \"%s\"; expected %s", field, Excerpt(given), expected));
}

absl::Status FieldProblems::status() const {
  if (empty()) return absl::OkStatus();
  absl::Status status = absl::InvalidArgumentError(bad_request_.field_violations(0).description());
  AddDetail(status, bad_request_);
  return status;
}

absl::Status WithReason(absl::Status status, std::string_view reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("pharos");
  AddDetail(status, info);
  return status;
}

absl::Status WithRetry(absl::Status status, absl::Duration delay) {
  google::rpc::RetryInfo info;
  const absl::Duration rest = delay - absl::Trunc(delay, absl::Seconds(1));
  info.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(delay));
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  AddDetail(status, info);
  return status;
}

google::rpc::Status ToMessage(const absl::Status& status) {
  google::rpc::Status message;
  message.set_code(static_cast<int>(status.code()));
  message.set_message(std::string(status.message()));
  status.ForEachPayload([&message](absl::string_view type, const absl::Cord& value) {
    google::protobuf::Any& detail = *message.add_details();
    detail.set_type_url(std::string(type));
    detail.set_value(std::string(value));
  });
  return message;
}

::grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return ::grpc::Status::OK;
  const google::rpc::Status message = ToMessage(status);
  // Codes of absl are those of gRPC.
  return ::grpc::Status(static_cast<::grpc::StatusCode>(message.code()), message.message(),
                        message.details().empty() ? "" : message.SerializeAsString());
}

std::string Excerpt(std::string_view given) {
  std::string text(given.substr(0, kExcerptOctets));
  for (char& octet : text) {
    if (octet < 0x20 || octet > 0x7e) octet = '?';
  }
  return text;
}

}  // namespace pharos::rpc
