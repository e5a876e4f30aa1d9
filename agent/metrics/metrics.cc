#include "agent/metrics/metrics.h"

#include <algorithm>
#include <utility>

#include "agent/metrics/collect.h"
#include "proto/discovery.pb.h"
#include "rpc/server.h"

namespace pharos::agent {

Metrics::Metrics(const cluster::CatalogAccess& consensus, LocalAgent& local, const Clock& clock,
                 TelemetryOptions options)
    : consensus_(consensus),
      local_(local),
      clock_(clock),
      started_(clock.Now()),
      options_(std::move(options)),
      interval_end_(started_) {}

void Metrics::SetServers(const Servers& servers) {
  const std::lock_guard lock(mutex_);
  servers_ = servers;
}

void Metrics::SetPools(std::function<std::vector<PoolFigures>()> read) {
  const std::lock_guard lock(mutex_);
  read_pools_ = std::move(read);
}

void Metrics::SetParts(const cluster::RemoteCatalogCounters* parts) {
  const std::lock_guard lock(mutex_);
  parts_ = parts;
}

void Metrics::SetFilter(std::vector<std::string> prefix_filter) {
  local_.loop().PostAndWait([&] { options_.prefix_filter = std::move(prefix_filter); });
}

Families Metrics::Collect() {
  Families families([this](std::string_view name) { return IsShown(options_, name); });
  const absl::Time now = clock_.Now();
  const CatalogCounts catalog = CollectCatalog(consensus_, now, families);
  {
    const std::lock_guard lock(mutex_);
    if (servers_.dns != nullptr) CollectDns(*servers_.dns, families);
    CollectTaps(servers_.taps == nullptr ? TapCounts() : servers_.taps->counts(), families);
    if (servers_.http != nullptr) CollectHttp(*servers_.http, families);
    if (servers_.grpc != nullptr) CollectGrpc(servers_.grpc->counters(), families);
    if (parts_ != nullptr) CollectParts(*parts_, families);
    const std::vector<PoolFigures> pools = read_pools_ ? read_pools_() : std::vector<PoolFigures>();
    CollectGossip(pools, families);
    CollectConsulNames(options_, servers_.dns, servers_.http, consensus_.counters(), catalog, pools,
                       families);
  }
  CollectLocal(local_, now, families);
  CollectProcess(started_, families);
  return families;
}

void Metrics::Tick() {
  before_ = std::exchange(last_, Collect());
  DurationHistogram::BeginInterval();
  interval_end_ = clock_.Now();
  if (listeners_.empty()) return;
  const std::string line = Json(JsonWriter()) + "\n";
  std::erase_if(listeners_, [&line](const Listener& listener) { return !listener(line); });
}

void Metrics::Follow(Listener listener) {
  if (listener(Json(JsonWriter()) + "\n")) listeners_.push_back(std::move(listener));
}

std::string Metrics::Text() { return PrometheusText(Collect(), before_, last_); }

void Metrics::List(const std::string& prefix, discovery::v1::GetMetricsResponse& response) {
  const Families families = Collect();
  const auto add = [&](const std::string& name, const prometheus::ClientMetric& metric,
                       double value) {
    discovery::v1::Metric& listed = *response.add_metrics();
    listed.set_name(name);
    for (const auto& label : metric.label) (*listed.mutable_labels())[label.name] = label.value;
    listed.set_value(value);
  };
  for (const Families::Family& family : families.all()) {
    const std::string& name = family.metrics.name;
    if (!family.shown || !name.starts_with(prefix)) continue;
    for (size_t i = 0; i < family.metrics.metric.size(); ++i) {
      const prometheus::ClientMetric& metric = family.metrics.metric[i];
      switch (family.metrics.type) {
        case prometheus::MetricType::Counter:
          add(name, metric, metric.counter.value);
          break;
        case prometheus::MetricType::Gauge:
          add(name, metric, metric.gauge.value);
          break;
        default:
          if (i >= family.timings.size()) break;
          add(name + "_count", metric, static_cast<double>(family.timings[i].durations.count()));
          add(name + "_sum", metric, family.timings[i].durations.sum_s);
      }
    }
  }
  std::stable_sort(response.mutable_metrics()->begin(), response.mutable_metrics()->end(),
                   [](const auto& a, const auto& b) { return a.name() < b.name(); });
}

std::string Metrics::Json(JsonWriter json) {
  WriteMetricsJson(before_, last_, absl::ToDoubleSeconds(kInterval), interval_end_, json);
  return json.Take();
}

}  // namespace pharos::agent
