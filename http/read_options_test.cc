#include "http/read_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/request_parser.h"

namespace pharos::http {
namespace {

using testing::ElementsAre;
using testing::Pair;

ReadDefaults Defaults() {
  return {.datacenter = "dc1",
          .wait = absl::Minutes(5),
          .wait_max = absl::Minutes(10),
          .pretty = false};
}

absl::StatusOr<ReadOptions> Read(const std::string& query,
                                 const ReadDefaults& defaults = Defaults()) {
  Request request;
  EXPECT_TRUE(ReadTarget("/v1/x?" + query, request));
  return ParseReadOptions(request, defaults);
}

TEST(ParseReadOptions, ReadsEveryParameter) {
  const auto options = Read(
      "index=7&wait=90s&stale&cached&pretty&near=_agent&filter=a+%3D%3D+1&hash=ab&tag=x&tag=y&"
      "node-meta=rack:r1&node-meta=alone&dc=DC1&ns=default&passing");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->index, 7U);
  EXPECT_EQ(options->wait, absl::Seconds(90));
  EXPECT_EQ(options->consistency, Consistency::kStale);
  EXPECT_TRUE(options->cached && options->pretty);
  EXPECT_EQ(options->near, "_agent");
  EXPECT_EQ(options->filter, "a == 1");
  EXPECT_EQ(options->hash, "ab");
  EXPECT_THAT(options->tags, ElementsAre("x", "y"));
  EXPECT_THAT(options->node_meta, ElementsAre(Pair("rack", "r1"), Pair("alone", "")));
}

TEST(ParseReadOptions, WaitsNoLongerThanAllowed) {
  EXPECT_EQ(Read("")->wait, absl::Minutes(5)) << "unless it says";
  EXPECT_EQ(Read("wait=1h")->wait, absl::Minutes(10));
  EXPECT_EQ(Read("wait=0s")->wait, absl::Minutes(5));
}

TEST(ParseReadOptions, FollowsTheConfiguration) {
  ReadDefaults defaults = Defaults();
  defaults.use_cache = false;
  defaults.stale = true;
  defaults.translate = true;
  const auto options = Read("cached", defaults);
  EXPECT_FALSE(options->cached);
  EXPECT_EQ(options->consistency, Consistency::kStale);
  EXPECT_TRUE(options->translate);
  EXPECT_EQ(Read("consistent", defaults)->consistency, Consistency::kConsistent)
      << "what a request says counts";
}

TEST(ParseReadOptions, RefusesInConsulsWords) {
  const struct {
    std::string query;
    absl::StatusCode code;
    std::string text;
  } kRows[] = {
      {"index=x", absl::StatusCode::kInvalidArgument, "Invalid index"},
      {"index=-1", absl::StatusCode::kInvalidArgument, "Invalid index"},
      {"wait=10", absl::StatusCode::kInvalidArgument, "Invalid wait time"},
      {"stale&consistent", absl::StatusCode::kInvalidArgument,
       "Cannot specify ?stale with ?consistent, conflicting semantics."},
      {"cached&consistent", absl::StatusCode::kInvalidArgument,
       "Cannot specify ?cached with ?consistent, conflicting semantics."},
      {"dc=dc2", absl::StatusCode::kInternal, "No path to datacenter"},
      {"max_stale=x", absl::StatusCode::kInvalidArgument, "Invalid max_stale value \"x\""},
  };
  for (const auto& row : kRows) {
    const auto options = Read(row.query);
    EXPECT_EQ(options.status().code(), row.code) << row.query;
    EXPECT_EQ(std::string(options.status().message()), row.text) << row.query;
  }
}

}  // namespace
}  // namespace pharos::http
