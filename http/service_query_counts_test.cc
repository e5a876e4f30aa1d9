#include "http/service_query_counts.h"

#include <gtest/gtest.h>

namespace pharos::http {
namespace {

uint64_t Asked(const ServiceQueryCounts& counts, const std::string& service,
               const std::string& tags = "") {
  const auto found = counts.counts().find({AskedIn::kHealth, service, tags});
  return found == counts.counts().end() ? 0 : found->second.asked;
}

TEST(ServiceQueryCounts, CountsEachServiceAndSetOfTags) {
  ServiceQueryCounts counts;
  counts.Add(AskedIn::kHealth, "web", {}, true);
  counts.Add(AskedIn::kHealth, "web", {"b", "a"}, false);
  counts.Add(AskedIn::kHealth, "web", {"a", "b"}, true);
  counts.Add(AskedIn::kCatalog, "web", {}, true);
  EXPECT_EQ(Asked(counts, "web"), 1U);
  EXPECT_EQ(Asked(counts, "web", "a,b"), 2U) << "the order of tags does not matter";
  EXPECT_EQ(counts.counts().at({AskedIn::kHealth, "web", "a,b"}).not_found, 1U);
}

TEST(ServiceQueryCounts, PutsWhatIsBeyondItsBoundTogether) {
  ServiceQueryCounts counts;
  for (size_t i = 0; i < ServiceQueryCounts::kCountedMax + 5; ++i) {
    counts.Add(AskedIn::kHealth, "service-" + std::to_string(i), {}, false);
  }
  EXPECT_EQ(counts.counts().size(), ServiceQueryCounts::kCountedMax + 1);
  EXPECT_EQ(Asked(counts, "*"), 5U);
  counts.Add(AskedIn::kHealth, "service-0", {}, true);
  EXPECT_EQ(Asked(counts, "service-0"), 2U) << "those that are counted stay so";
}

}  // namespace
}  // namespace pharos::http
