#include "agent/metrics/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/metrics/consul_names.h"

namespace pharos::agent {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kMs = 1'000'000;

json ReadJson(const Families& before, const Families& now) {
  JsonWriter writer;
  WriteMetricsJson(before, now, 10, absl::UnixEpoch(), writer);
  return json::parse(writer.Take());
}

Families Reading(const DurationHistogram& histogram, double events) {
  Families families;
  Durations durations;
  durations.Add(histogram);
  families.Declare("consul_raft_commitTime", "consul.raft.commitTime", "", {});
  families.Histogram("pharos_wait_seconds", "", histogram);
  families.Summary("consul_took", "", durations, events);
  return families;
}

const json& Named(const json& list, const std::string& name) {
  static const json kNone;
  for (const json& each : list) {
    if (each["Name"] == name) return each;
  }
  return kNone;
}

TEST(MetricsJson, TellsSamplesOfTheIntervalAlone) {
  DurationHistogram histogram;
  histogram.Add(700 * kMs);
  const Families before = Reading(histogram, 1);
  DurationHistogram::BeginInterval();
  for (const uint64_t ms : {2, 4, 6}) histogram.Add(ms * kMs);
  const json found = ReadJson(before, Reading(histogram, 4));

  const json& seconds = Named(found["Samples"], "pharos.wait.seconds");
  EXPECT_EQ(seconds["Count"], 3);
  EXPECT_NEAR(seconds["Sum"], 0.012, 1e-9);
  EXPECT_DOUBLE_EQ(seconds["Min"], 0.002);
  EXPECT_DOUBLE_EQ(seconds["Max"], 0.006);
  EXPECT_NEAR(seconds["Mean"], 0.004, 1e-9);
  EXPECT_NEAR(seconds["Stddev"], 0.002, 1e-9);
  EXPECT_NEAR(Named(found["Samples"], "consul.took")["Mean"], 4, 1e-9) << "in milliseconds";
}

TEST(MetricsJson, LeavesOutWhatDidNotHappen) {
  DurationHistogram histogram;
  histogram.Add(kMs);
  const Families reading = Reading(histogram, 1);
  EXPECT_EQ(ReadJson(reading, reading)["Samples"], json::array());
}

TEST(MetricsJson, CountsEventsOfWhichSomeAreMeasured) {
  DurationHistogram histogram;
  histogram.Add(2 * kMs);
  const Families before = Reading(histogram, 10);
  DurationHistogram::BeginInterval();
  const json sample = Named(ReadJson(before, Reading(histogram, 15))["Samples"], "consul.took");
  EXPECT_EQ(sample["Count"], 5);
  EXPECT_DOUBLE_EQ(sample["Sum"], 10) << "none of the five was measured, so as those before";
  EXPECT_DOUBLE_EQ(sample["Max"], 2);
}

TEST(PrometheusText, HasQuantilesOfTheLastInterval) {
  DurationHistogram histogram;
  histogram.Add(700 * kMs);
  const Families before = Reading(histogram, 1);
  histogram.Add(kMs / 2, 100);
  const Families last = Reading(histogram, 101);
  histogram.Add(700 * kMs);
  const std::string text = PrometheusText(Reading(histogram, 102), before, last);
  EXPECT_THAT(text, HasSubstr("# TYPE consul_took summary"));
  EXPECT_THAT(text, HasSubstr("consul_took_count 102"));
  EXPECT_THAT(text, HasSubstr("consul_took_sum 1450"));
  EXPECT_THAT(text, HasSubstr(R"(consul_took{quantile="0.5"} 0.35)"));
  EXPECT_THAT(PrometheusText(last, last, last), HasSubstr(R"(consul_took{quantile="0.5"} Nan)"));
}

TEST(TelemetryOptions, ShowWhatTheLongestRuleSays) {
  TelemetryOptions options;
  options.prefix_filter = {"-consul.raft", "+consul.raft.apply", "-pharos"};
  EXPECT_TRUE(IsShown(options, "consul.dns.domain_query"));
  EXPECT_FALSE(IsShown(options, "consul.raft.commitTime"));
  EXPECT_TRUE(IsShown(options, "consul.raft.apply"));
  options.filter_default = false;
  EXPECT_FALSE(IsShown(options, "consul.dns.domain_query"));
  EXPECT_TRUE(IsShown(options, "consul.raft.apply"));

  Families families([&options](std::string_view name) { return IsShown(options, name); });
  families.Counter("pharos_hidden_total", "", 1);
  families.Declare("consul_raft_apply", "consul.raft.apply", "", prometheus::MetricType::Counter);
  families.Counter("consul_raft_apply", "", 1);
  const std::string text = PrometheusText(families, Families(), Families());
  EXPECT_THAT(text, HasSubstr("consul_raft_apply 1"));
  EXPECT_THAT(text, Not(HasSubstr("pharos_hidden")));
  EXPECT_EQ(ReadJson(Families(), families)["Counters"].size(), 1U);
}

}  // namespace
}  // namespace pharos::agent
