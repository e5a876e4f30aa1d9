#include "rpc/validate.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rpc/errors.h"

namespace pharos::rpc {
namespace {

using discovery::v1::HoldRequest;
using testing::ElementsAreArray;

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

std::vector<std::string> FieldsOf(const absl::Status& status) {
  std::vector<std::string> fields;
  const google::rpc::Status message = ToMessage(status);
  for (const google::protobuf::Any& detail : message.details()) {
    google::rpc::BadRequest bad_request;
    if (!detail.UnpackTo(&bad_request)) continue;
    for (const auto& violation : bad_request.field_violations()) {
      fields.push_back(violation.field());
    }
  }
  return fields;
}

TEST(Validate, NamesWhatIsWrongInAHold) {
  const struct {
    std::string_view shows;
    std::string request;
    std::vector<std::string> fields;
  } kRows[] = {
      {"nothing is asked for", "", {"request"}},
      {"a lease without instances is good", "open {}", {}},
      {"all fields within their bounds",
       R"(open { ttl_ms: 1000 grace_ms: 1 instances {
            id: "a b" service: "web-1" port: 65535 address: "host.example" tags: "v=1"
            meta { key: "k_-9" value: "" } weights { passing: 1 } health: HEALTH_CRITICAL } })",
       {}},
      {"a ttl that is too short", "open { ttl_ms: 999 }", {"open.ttl_ms"}},
      {"a grace that is too long", "open { grace_ms: 86400001 }", {"open.grace_ms"}},
      {"the same id twice",
       R"(open { instances { service: "web" } instances { service: "web" } })",
       {"open.instances[1].id"}},
      {"a dash at the end",
       R"(register { instance { service: "web-" } })",
       {"register.instance.service"}},
      {"an underscore",
       R"(register { instance { service: "_web" } })",
       {"register.instance.service"}},
      {"an address of no machine",
       R"(register { instance { service: "web" address: "0.0.0.0" } })",
       {"register.instance.address"}},
      {"an address that is no name",
       R"(register { instance { service: "web" address: "a b" } })",
       {"register.instance.address"}},
      {"weights that say nothing are not absent ones",
       R"(register { instance { service: "web" weights {} } })",
       {"register.instance.weights.passing"}},
      {"a key kept for others",
       R"(register { instance { service: "web" meta { key: "consul-x" value: "" } } })",
       {"register.instance.meta"}},
      {"an id is needed", "deregister {}", {"deregister.id"}},
      {"and for health, too", "health {}", {"health.id"}},
      {"output that is too long",
       absl::StrCat("health { id: 'x' output: '", std::string(4097, 'o'), "' }"),
       {"health.output"}},
      {"a release needs nothing", "release {}", {}},
  };
  for (const auto& row : kRows) {
    const absl::Status status = Validate(FromText<HoldRequest>(row.request));
    EXPECT_EQ(status.ok(), row.fields.empty()) << row.shows << ": " << status;
    EXPECT_THAT(FieldsOf(status), ElementsAreArray(row.fields)) << row.shows;
  }
}

TEST(Validate, RefusesALeaseThatIsTooLarge) {
  HoldRequest request;
  for (int i = 0; i <= kInstancesPerLeaseMax; ++i) {
    request.mutable_open()->add_instances()->set_service(absl::StrCat("s", i));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(Validate(request)));
  request.mutable_open()->mutable_instances()->RemoveLast();
  EXPECT_TRUE(Validate(request).ok());
}

TEST(Errors, ShowLittleOfWhatWasGivenAndNothingThatCannotBePrinted) {
  EXPECT_EQ(Excerpt("a\x1b[31m\xc3\xa9\n"), "a?[31m???");
  EXPECT_EQ(Excerpt(std::string(1000, 'x')).size(), 64U);
  FieldProblems problems;
  for (int i = 0; i < 1000; ++i) problems.Add(absl::StrCat("f", i), "", "");
  EXPECT_EQ(FieldsOf(problems.status()).size(), static_cast<size_t>(FieldProblems::kFieldsMax));
}

TEST(Errors, CarryDetailsToTheClient) {
  const absl::Status status =
      WithRetry(WithReason(absl::ResourceExhaustedError("full"), "FULL"), absl::Milliseconds(1500));
  const ::grpc::Status sent = ToGrpcStatus(status);
  EXPECT_EQ(sent.error_code(), ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status message;
  ASSERT_TRUE(message.ParseFromString(sent.error_details()));
  EXPECT_EQ(message.code(), 8);
  EXPECT_EQ(message.message(), "full");
  google::rpc::RetryInfo retry;
  google::rpc::ErrorInfo info;
  for (const auto& detail : message.details()) {
    detail.UnpackTo(&retry);
    detail.UnpackTo(&info);
  }
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
  EXPECT_EQ(info.reason(), "FULL");
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

}  // namespace
}  // namespace pharos::rpc
