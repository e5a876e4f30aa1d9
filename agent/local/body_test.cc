#include "agent/local/body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pharos::agent {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(ParseServiceBody, ReadsADefinition) {
  const auto service = ParseServiceBody(R"({
    "name": "web", "ID": "web-1", "tags": ["a", "b"], "Port": 80, "address": "10.0.0.1",
    "Meta": {"v": "1"}, "enable_tag_override": true, "Weights": {"Passing": 3, "Warning": 0},
    "TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 99}},
    "Check": {"TTL": "15s", "Status": "passing"},
    "Checks": [{"HTTP": "http://x/", "Interval": "10s", "Header": {"A": ["b", "c"]}, "Name": "n"}],
    "Connect": {}, "Proxy": null})",
                                        false);
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_EQ(service->id, "web-1");
  EXPECT_THAT(service->tags, ElementsAre("a", "b"));
  EXPECT_EQ(service->weight_passing, 3);
  EXPECT_EQ(service->weight_warning, 0);
  EXPECT_TRUE(service->enable_tag_override);
  EXPECT_EQ(service->tagged_addresses.at(0).port, 99);
  ASSERT_EQ(service->checks.size(), 2U);
  EXPECT_EQ(service->checks[0].id, "service:web-1:1");
  EXPECT_EQ(service->checks[0].name, "Service 'web' check");
  EXPECT_EQ(service->checks[0].ttl, absl::Seconds(15));
  EXPECT_EQ(service->checks[1].id, "service:web-1:2");
  EXPECT_EQ(service->checks[1].name, "n");
  EXPECT_EQ(service->checks[1].service_id, "web-1");
  EXPECT_THAT(service->checks[1].header, ElementsAre(Pair("A", ElementsAre("b", "c"))));
}

TEST(ParseServiceBody, RefusesInConsulsWords) {
  const struct {
    std::string body, text;
  } kRows[] = {
      {R"({"Name":""})", "Missing service name"},
      {R"({"Name":"a","Bogus":1})", "Request decode failed: json: unknown field \"Bogus\""},
      {R"({"Name":"a","Check":{"HTTP":"x"}})",
       "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks"},
      {R"({"Name":"a","Check":{"TTL":"5x"}})",
       "Request decode failed: time: unknown unit \"x\" in duration \"5x\""},
      {R"({"Name":"a","Check":{"Name":"x"}})", "Invalid check: TTL must be > 0 for TTL checks"},
      {R"({"Name":"a","Weights":{"Passing":0,"Warning":1}})",
       "Invalid Weights: Passing must be greater than 0"},
      {R"({"Name":"a","Weights":{"Passing":70000,"Warning":1}})",
       "Invalid Weights: DNS Weight must be between 0 and 65535"},
      {R"({"Name":"a","Meta":{"a b":"2"}})",
       "Invalid Service Meta: Couldn't load metadata pair ('a b', '2'): Key contains invalid "
       "characters"},
      {R"({"Name":"a","Check":{"Status":"zz","TTL":"5s"}})",
       "Status for checks must 'passing', 'warning', 'critical'"},
      {R"({"Name":"a","Check":{"Args":["x"],"Interval":"5s"}})",
       "Scripts are disabled on this agent from remote calls; to enable, configure "
       "'enable_script_checks' to true"},
      {R"({"Name":"a","Address":"0.0.0.0"})", "Invalid service address"},
      {R"({"Name":"a","Port":65536})", "Port is 65536; expected a port from 0 to 65535"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(std::string(ParseServiceBody(row.body, false).status().message()), row.text)
        << row.body;
  }
  EXPECT_TRUE(ParseServiceBody(kRows[9].body, true).ok()) << "scripts where they are enabled";
}

TEST(ParseCheckBody, RefusesInConsulsWords) {
  const struct {
    std::string body, text;
  } kRows[] = {
      {"{}", "Missing check name"},
      {R"({"Name":"c"})", "Invalid check: TTL must be > 0 for TTL checks"},
      {R"({"Name":"c","TTL":"5s","Status":"q"})", "Bad check status"},
      {R"({"Name":"c","HTTP":"x","Interval":"0s"})",
       "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(std::string(ParseCheckBody(row.body, false).status().message()), row.text);
  }
  const auto check = ParseCheckBody(R"({"Name":"c","TTL":15000000000})", false);
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check->id, "c");
  EXPECT_EQ(check->ttl, absl::Seconds(15)) << "nanoseconds";
}

TEST(ParseCheckUpdateBody, ReadsAStatusAndItsOutput) {
  const auto update = ParseCheckUpdateBody(R"({"Status":"warning","Output":"hot"})");
  ASSERT_TRUE(update.ok());
  EXPECT_EQ(update->status, registry::Health::kWarning);
  EXPECT_EQ(update->output, "hot");
  EXPECT_EQ(std::string(ParseCheckUpdateBody(R"({"Status":"zzz"})").status().message()),
            "Invalid check status: 'zzz'");
}

}  // namespace
}  // namespace pharos::agent
