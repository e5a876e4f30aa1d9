// Metrics as families (a name, a type, and a value for each set of labels), and the two forms that
// they are read in.
#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/counter.h"
#include "base/json_writer.h"

namespace pharos::agent {

using Labels = std::vector<std::pair<std::string, std::string>>;

// What histograms said when they were read; those of several threads add up.
struct Durations {
  std::array<uint64_t, DurationHistogram::kBoundsUs.size() + 1> buckets{};
  double sum_s = 0;
  double squares_s2 = 0;
  // Of the interval that was then under way; 0 if nothing was measured in it.
  double shortest_s = 0, longest_s = 0;

  void Add(const DurationHistogram& histogram);
  uint64_t count() const;
  // Without what an earlier reading of the same has already. The extremes stay.
  Durations Since(const Durations& earlier) const;
  double mean_s() const;
  double deviation_s() const;
  // The duration that `share` (0 to 1) of them are at most, between the bounds of its bucket.
  double Quantile(double share) const;
};

class Families {
 public:
  // Whether metrics of a name with dots are shown; all of them unless said.
  using Shows = std::function<bool(std::string_view dotted_name)>;
  explicit Families(Shows shows = nullptr) : shows_(std::move(shows)) {}

  // Makes the family `name`, if it is not there: in JSON its name is `dotted`. What is not declared
  // is made with its first value, and has dots for its underscores.
  void Declare(const std::string& name, const std::string& dotted, const std::string& help,
               prometheus::MetricType type);
  // Each adds one value to the family `name`; `help` says what it is. Values of the same name and
  // labels add up, as each thread has its own.
  void Counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void Gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  void Histogram(const std::string& name, const std::string& help,
                 const DurationHistogram& histogram, const Labels& labels = {});
  // Quantiles of the last interval, and in milliseconds, as Consul's. `events` are how many there
  // were where `durations` are of some of them only.
  void Summary(const std::string& name, const std::string& help, const Durations& durations,
               double events, const Labels& labels = {});

  // What of a family belongs to one set of labels.
  struct Timing {
    Durations durations;
    double events = 0;
  };
  struct Family {
    prometheus::MetricFamily metrics;
    std::string dotted;
    bool shown = true;
    std::vector<Timing> timings;  // As metrics.metric; of histograms and summaries.
    std::map<Labels, size_t> by_labels;
  };
  const std::vector<Family>& all() const { return families_; }
  // Where the metric of a family is in this reading; null if it is not.
  const prometheus::ClientMetric* Find(const std::string& name, const Labels& labels) const;
  const Timing* FindTiming(const std::string& name, const Labels& labels) const;

 private:
  Family& FamilyOf(const std::string& name, const std::string& help, prometheus::MetricType type);
  // The place of a metric in its family, which it is added to if it is not there.
  static size_t PlaceOf(Family& family, const Labels& labels);

  Shows shows_;
  std::vector<Family> families_;
  std::map<std::string, size_t> by_name_;
};

// Text exposition format 0.0.4. Quantiles are of what happened between the other two readings.
std::string PrometheusText(const Families& now, const Families& before, const Families& last);

// What happened between two readings `seconds` apart, in the shape of Consul's /v1/agent/metrics:
// names with dots, gauges as they are, counters as what was added, and histograms and summaries
// that were added to.
void WriteMetricsJson(const Families& before, const Families& now, double seconds, absl::Time end,
                      JsonWriter& json);

}  // namespace pharos::agent
