#include "agent/metrics/families.h"

#include <prometheus/text_serializer.h>

#include <algorithm>

#include "absl/strings/str_replace.h"

namespace pharos::agent {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kNanosecondsPerSecond = 1e9;
constexpr double kMicrosecondsPerSecond = 1e6;

// pharos_dns_queries_total as pharos.dns.queries
std::string DottedName(const std::string& name) {
  std::string base = name;
  if (base.ends_with("_total")) base.resize(base.size() - 6);
  return absl::StrReplaceAll(base, {{"_", "."}});
}

void WriteLabels(const ClientMetric& metric, JsonWriter& json) {
  json.Key("Labels");
  json.BeginObject();
  for (const auto& label : metric.label) json.Field(label.name, label.value);
  json.EndObject();
}

// The value of the same counter in an earlier reading; 0 if it was not there.
double ValueIn(const Families& before, const std::string& name, const ClientMetric& metric) {
  for (const MetricFamily& family : before.all()) {
    if (family.name != name) continue;
    for (const ClientMetric& old : family.metric) {
      if (old.label == metric.label) return old.counter.value;
    }
  }
  return 0;
}

template <typename Write>
void WriteAll(const Families& families, MetricType type, std::string_view key, Write write,
              JsonWriter& json) {
  json.Key(key);
  json.BeginArray();
  for (const MetricFamily& family : families.all()) {
    if (family.type != type) continue;
    for (const ClientMetric& metric : family.metric) write(family.name, metric);
  }
  json.EndArray();
}

}  // namespace

ClientMetric& Families::Metric(const std::string& name, const std::string& help, MetricType type,
                               const Labels& labels) {
  const auto [found, added] = by_name_.try_emplace(name, families_.size());
  if (added) {
    MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
  }
  std::vector<ClientMetric::Label> wanted;
  for (const auto& [key, value] : labels) {
    ClientMetric::Label label;
    label.name = key;
    label.value = value;
    wanted.push_back(std::move(label));
  }
  std::vector<ClientMetric>& metrics = families_[found->second].metric;
  const auto same = std::find_if(metrics.begin(), metrics.end(),
                                 [&wanted](const auto& metric) { return metric.label == wanted; });
  if (same != metrics.end()) return *same;
  metrics.emplace_back().label = std::move(wanted);
  return metrics.back();
}

void Families::Counter(const std::string& name, const std::string& help, double value,
                       const Labels& labels) {
  Metric(name, help, MetricType::Counter, labels).counter.value += value;
}

void Families::Gauge(const std::string& name, const std::string& help, double value,
                     const Labels& labels) {
  Metric(name, help, MetricType::Gauge, labels).gauge.value += value;
}

void Families::Histogram(const std::string& name, const std::string& help,
                         const DurationHistogram& histogram, const Labels& labels) {
  ClientMetric::Histogram& metric = Metric(name, help, MetricType::Histogram, labels).histogram;
  metric.bucket.resize(DurationHistogram::kBoundsUs.size());
  uint64_t count = 0;
  for (size_t i = 0; i < metric.bucket.size(); ++i) {
    count += histogram.bucket(i);
    metric.bucket[i].upper_bound =
        static_cast<double>(DurationHistogram::kBoundsUs[i]) / kMicrosecondsPerSecond;
    metric.bucket[i].cumulative_count += count;
  }
  metric.sample_count += count + histogram.bucket(metric.bucket.size());
  metric.sample_sum += static_cast<double>(histogram.sum_ns()) / kNanosecondsPerSecond;
}

std::string PrometheusText(const Families& families) {
  return prometheus::TextSerializer().Serialize(families.all());
}

void WriteMetricsJson(const Families& before, const Families& now, double seconds, absl::Time end,
                      JsonWriter& json) {
  json.BeginObject();
  json.Field("Timestamp",
             absl::FormatTime("%Y-%m-%d %H:%M:%S +0000 UTC", end, absl::UTCTimeZone()));
  WriteAll(
      now, MetricType::Gauge, "Gauges",
      [&](const std::string& name, const ClientMetric& metric) {
        json.BeginObject();
        json.Field("Name", DottedName(name));
        json.Key("Value");
        json.Double(metric.gauge.value);
        WriteLabels(metric, json);
        json.EndObject();
      },
      json);
  json.Key("Points");
  json.BeginArray();
  json.EndArray();
  WriteAll(
      now, MetricType::Counter, "Counters",
      [&](const std::string& name, const ClientMetric& metric) {
        const double added = metric.counter.value - ValueIn(before, name, metric);
        if (added <= 0) return;
        json.BeginObject();
        json.Field("Name", DottedName(name));
        json.Key("Count");
        json.Double(added);
        json.Key("Rate");
        json.Double(seconds > 0 ? added / seconds : 0);
        json.Key("Sum");
        json.Double(added);
        // Every event counts one.
        json.IntField("Min", 1);
        json.IntField("Max", 1);
        json.IntField("Mean", 1);
        json.IntField("Stddev", 0);
        WriteLabels(metric, json);
        json.EndObject();
      },
      json);
  json.Key("Samples");
  json.BeginArray();
  json.EndArray();
  json.EndObject();
}

}  // namespace pharos::agent
