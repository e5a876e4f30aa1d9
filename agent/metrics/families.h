// Metrics as families (a name, a type, and a value for each set of labels), and the two forms that
// they are read in.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/counter.h"
#include "base/json_writer.h"

namespace pharos::agent {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  // Each adds one value to the family `name`, which is made with the first; `help` says what it is.
  // Values of the same name and labels add up, as each thread has its own.
  void Counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void Gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  void Histogram(const std::string& name, const std::string& help,
                 const DurationHistogram& histogram, const Labels& labels = {});

  const std::vector<prometheus::MetricFamily>& all() const { return families_; }

 private:
  prometheus::ClientMetric& Metric(const std::string& name, const std::string& help,
                                   prometheus::MetricType type, const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, size_t> by_name_;
};

// Text exposition format 0.0.4.
std::string PrometheusText(const Families& families);

// What happened between two readings `seconds` apart, in the shape of Consul's /v1/agent/metrics:
// names with dots, gauges as they are, counters as what was added.
void WriteMetricsJson(const Families& before, const Families& now, double seconds, absl::Time end,
                      JsonWriter& json);

}  // namespace pharos::agent
