#include "agent/metrics/families.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_replace.h"

namespace pharos::agent {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kNanosecondsPerSecond = 1e9;
constexpr double kMicrosecondsPerSecond = 1e6;
constexpr double kMillisecondsPerSecond = 1e3;
constexpr std::array<double, 3> kQuantiles = {0.5, 0.9, 0.99};

// pharos_dns_queries_total as pharos.dns.queries
std::string DottedName(const std::string& name) {
  std::string base = name;
  if (base.ends_with("_total")) base.resize(base.size() - 6);
  return absl::StrReplaceAll(base, {{"_", "."}});
}

Labels LabelsOf(const ClientMetric& metric) {
  Labels labels;
  for (const auto& label : metric.label) labels.emplace_back(label.name, label.value);
  return labels;
}

// Of bucket `i`; the last one has no upper bound, and is taken to end at its lower one.
double LowerBound(size_t i) {
  return i == 0 ? 0
                : static_cast<double>(DurationHistogram::kBoundsUs[i - 1]) / kMicrosecondsPerSecond;
}
double UpperBound(size_t i) {
  return LowerBound(std::min(i + 1, DurationHistogram::kBoundsUs.size()));
}

// What a histogram or summary has that an earlier reading has not.
Families::Timing Since(const Families& before, const std::string& name, const Labels& labels,
                       const Families::Timing& now) {
  const Families::Timing* earlier = before.FindTiming(name, labels);
  if (earlier == nullptr) return now;
  return {.durations = now.durations.Since(earlier->durations),
          .events = now.events - earlier->events};
}

void FillQuantiles(const Families& before, const Families& last, MetricFamily& family) {
  for (ClientMetric& metric : family.metric) {
    const Labels labels = LabelsOf(metric);
    const Families::Timing* timing = last.FindTiming(family.name, labels);
    Durations durations;
    if (timing != nullptr) durations = Since(before, family.name, labels, *timing).durations;
    metric.summary.quantile.clear();
    for (const double share : kQuantiles) {
      const double value = durations.count() == 0 ? std::numeric_limits<double>::quiet_NaN()
                                                  : durations.Quantile(share);
      metric.summary.quantile.push_back(
          {.quantile = share, .value = value * kMillisecondsPerSecond});
    }
  }
}

// The parts of Consul's JSON.

template <typename Write>
void WriteAll(const Families& families, std::string_view key,
              std::initializer_list<MetricType> types, Write write, JsonWriter& json) {
  json.Key(key);
  json.BeginArray();
  for (const Families::Family& family : families.all()) {
    if (!family.shown || std::count(types.begin(), types.end(), family.metrics.type) == 0) continue;
    for (size_t i = 0; i < family.metrics.metric.size(); ++i) write(family, i);
  }
  json.EndArray();
}

void WriteLabels(const Labels& labels, JsonWriter& json) {
  json.Key("Labels");
  json.BeginObject();
  for (const auto& [name, value] : labels) json.Field(name, value);
  json.EndObject();
}

void DoubleField(std::string_view name, double value, JsonWriter& json) {
  json.Key(name);
  json.Double(value);
}

void WriteGauge(const Families::Family& family, const ClientMetric& metric, JsonWriter& json) {
  json.BeginObject();
  json.Field("Name", family.dotted);
  DoubleField("Value", metric.gauge.value, json);
  WriteLabels(LabelsOf(metric), json);
  json.EndObject();
}

void WriteCounter(const Families::Family& family, const ClientMetric& metric,
                  const Families& before, double seconds, JsonWriter& json) {
  const Labels labels = LabelsOf(metric);
  const ClientMetric* earlier = before.Find(family.metrics.name, labels);
  const double added = metric.counter.value - (earlier == nullptr ? 0 : earlier->counter.value);
  if (added <= 0) return;
  json.BeginObject();
  json.Field("Name", family.dotted);
  DoubleField("Count", added, json);
  DoubleField("Rate", seconds > 0 ? added / seconds : 0, json);
  DoubleField("Sum", added, json);
  // Every event counts one.
  json.IntField("Min", 1);
  json.IntField("Max", 1);
  json.IntField("Mean", 1);
  json.IntField("Stddev", 0);
  WriteLabels(labels, json);
  json.EndObject();
}

void WriteSample(const Families::Family& family, size_t i, const Families& before, double seconds,
                 JsonWriter& json) {
  const Labels labels = LabelsOf(family.metrics.metric[i]);
  const Families::Timing& timing = family.timings[i];
  const Families::Timing added = Since(before, family.metrics.name, labels, timing);
  if (added.events <= 0) return;
  // Where none of the few events was measured, as all that ever were.
  const bool measured = added.durations.count() > 0;
  const Durations& durations = measured ? added.durations : timing.durations;
  const double unit = family.metrics.type == MetricType::Summary ? kMillisecondsPerSecond : 1;
  const double mean = durations.mean_s() * unit;
  json.BeginObject();
  json.Field("Name", family.dotted);
  DoubleField("Count", added.events, json);
  DoubleField("Rate", seconds > 0 ? mean * added.events / seconds : 0, json);
  DoubleField("Sum", mean * added.events, json);
  DoubleField("Min", measured ? durations.shortest_s * unit : mean, json);
  DoubleField("Max", measured ? durations.longest_s * unit : mean, json);
  DoubleField("Mean", mean, json);
  DoubleField("Stddev", measured ? durations.deviation_s() * unit : 0, json);
  WriteLabels(labels, json);
  json.EndObject();
}

}  // namespace

void Durations::Add(const DurationHistogram& histogram) {
  for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += histogram.bucket(i);
  sum_s += static_cast<double>(histogram.sum_ns()) / kNanosecondsPerSecond;
  squares_s2 += histogram.squares_us2() / (kMicrosecondsPerSecond * kMicrosecondsPerSecond);
  if (!histogram.has_extremes()) return;
  const double shortest = static_cast<double>(histogram.shortest_ns()) / kNanosecondsPerSecond;
  shortest_s = shortest_s == 0 ? shortest : std::min(shortest_s, shortest);
  longest_s =
      std::max(longest_s, static_cast<double>(histogram.longest_ns()) / kNanosecondsPerSecond);
}

uint64_t Durations::count() const {
  uint64_t count = 0;
  for (const uint64_t bucket : buckets) count += bucket;
  return count;
}

Durations Durations::Since(const Durations& earlier) const {
  Durations since = *this;
  for (size_t i = 0; i < buckets.size(); ++i) since.buckets[i] -= earlier.buckets[i];
  since.sum_s -= earlier.sum_s;
  since.squares_s2 -= earlier.squares_s2;
  return since;
}

double Durations::mean_s() const {
  const uint64_t events = count();
  return events == 0 ? 0 : sum_s / static_cast<double>(events);
}

double Durations::deviation_s() const {
  const uint64_t events = count();
  if (events < 2) return 0;
  const double n = static_cast<double>(events);
  return std::sqrt(std::max(0.0, (squares_s2 - sum_s * sum_s / n) / (n - 1)));
}

double Durations::Quantile(double share) const {
  const double wanted = share * static_cast<double>(count());
  double below = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    const auto here = static_cast<double>(buckets[i]);
    if (here > 0 && below + here >= wanted) {
      return LowerBound(i) + (UpperBound(i) - LowerBound(i)) * (wanted - below) / here;
    }
    below += here;
  }
  return 0;
}

void Families::Declare(const std::string& name, const std::string& dotted, const std::string& help,
                       MetricType type) {
  const auto [found, added] = by_name_.try_emplace(name, families_.size());
  if (!added) return;
  Family& family = families_.emplace_back();
  family.metrics.name = name;
  family.metrics.help = help;
  family.metrics.type = type;
  family.dotted = dotted;
  family.shown = shows_ == nullptr || shows_(dotted);
}

Families::Family& Families::FamilyOf(const std::string& name, const std::string& help,
                                     MetricType type) {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return families_[found->second];
  Declare(name, DottedName(name), help, type);
  return families_.back();
}

size_t Families::PlaceOf(Family& family, const Labels& labels) {
  const auto [found, added] = family.by_labels.try_emplace(labels, family.metrics.metric.size());
  if (added) {
    ClientMetric& metric = family.metrics.metric.emplace_back();
    for (const auto& [name, value] : labels) {
      ClientMetric::Label label;
      label.name = name;
      label.value = value;
      metric.label.push_back(std::move(label));
    }
    family.timings.emplace_back();
  }
  return found->second;
}

const ClientMetric* Families::Find(const std::string& name, const Labels& labels) const {
  const auto family = by_name_.find(name);
  if (family == by_name_.end()) return nullptr;
  const Family& found = families_[family->second];
  const auto place = found.by_labels.find(labels);
  return place == found.by_labels.end() ? nullptr : &found.metrics.metric[place->second];
}

const Families::Timing* Families::FindTiming(const std::string& name, const Labels& labels) const {
  const auto family = by_name_.find(name);
  if (family == by_name_.end()) return nullptr;
  const Family& found = families_[family->second];
  const auto place = found.by_labels.find(labels);
  return place == found.by_labels.end() ? nullptr : &found.timings[place->second];
}

void Families::Counter(const std::string& name, const std::string& help, double value,
                       const Labels& labels) {
  Family& family = FamilyOf(name, help, MetricType::Counter);
  family.metrics.metric[PlaceOf(family, labels)].counter.value += value;
}

void Families::Gauge(const std::string& name, const std::string& help, double value,
                     const Labels& labels) {
  Family& family = FamilyOf(name, help, MetricType::Gauge);
  family.metrics.metric[PlaceOf(family, labels)].gauge.value += value;
}

void Families::Histogram(const std::string& name, const std::string& help,
                         const DurationHistogram& histogram, const Labels& labels) {
  Family& family = FamilyOf(name, help, MetricType::Histogram);
  const size_t place = PlaceOf(family, labels);
  Timing& timing = family.timings[place];
  timing.durations.Add(histogram);
  timing.events = static_cast<double>(timing.durations.count());
  ClientMetric::Histogram& metric = family.metrics.metric[place].histogram;
  metric.bucket.resize(DurationHistogram::kBoundsUs.size());
  uint64_t count = 0;
  for (size_t i = 0; i < metric.bucket.size(); ++i) {
    count += timing.durations.buckets[i];
    metric.bucket[i].upper_bound = UpperBound(i);
    metric.bucket[i].cumulative_count = count;
  }
  metric.sample_count = timing.durations.count();
  metric.sample_sum = timing.durations.sum_s;
}

void Families::Summary(const std::string& name, const std::string& help, const Durations& durations,
                       double events, const Labels& labels) {
  Family& family = FamilyOf(name, help, MetricType::Summary);
  const size_t place = PlaceOf(family, labels);
  family.timings[place] = {.durations = durations, .events = events};
  ClientMetric::Summary& metric = family.metrics.metric[place].summary;
  metric.sample_count = static_cast<uint64_t>(events);
  metric.sample_sum = durations.mean_s() * events * kMillisecondsPerSecond;
}

std::string PrometheusText(const Families& now, const Families& before, const Families& last) {
  std::vector<MetricFamily> shown;
  for (const Families::Family& family : now.all()) {
    if (!family.shown) continue;
    shown.push_back(family.metrics);
    if (family.metrics.type == MetricType::Summary) FillQuantiles(before, last, shown.back());
  }
  return prometheus::TextSerializer().Serialize(shown);
}

void WriteMetricsJson(const Families& before, const Families& now, double seconds, absl::Time end,
                      JsonWriter& json) {
  json.BeginObject();
  json.Field("Timestamp",
             absl::FormatTime("%Y-%m-%d %H:%M:%S +0000 UTC", end, absl::UTCTimeZone()));
  WriteAll(
      now, "Gauges", {MetricType::Gauge},
      [&](const Families::Family& family, size_t i) {
        WriteGauge(family, family.metrics.metric[i], json);
      },
      json);
  json.Key("Points");
  json.BeginArray();
  json.EndArray();
  WriteAll(
      now, "Counters", {MetricType::Counter},
      [&](const Families::Family& family, size_t i) {
        WriteCounter(family, family.metrics.metric[i], before, seconds, json);
      },
      json);
  WriteAll(
      now, "Samples", {MetricType::Histogram, MetricType::Summary},
      [&](const Families::Family& family, size_t i) {
        WriteSample(family, i, before, seconds, json);
      },
      json);
  json.EndObject();
}

}  // namespace pharos::agent
