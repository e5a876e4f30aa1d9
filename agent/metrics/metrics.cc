#include "agent/metrics/metrics.h"

#include <utility>

#include "agent/metrics/collect.h"

namespace pharos::agent {

Metrics::Metrics(const cluster::Consensus& consensus, LocalAgent& local, const Clock& clock,
                 TelemetryOptions options)
    : consensus_(consensus),
      local_(local),
      clock_(clock),
      started_(clock.Now()),
      options_(std::move(options)),
      interval_end_(started_) {}

void Metrics::SetServers(dns::Server* dns, http::Server* http, const QueryTaps* taps) {
  const std::lock_guard lock(mutex_);
  dns_ = dns;
  http_ = http;
  taps_ = taps;
}

void Metrics::SetPools(std::function<std::vector<PoolFigures>()> read) {
  const std::lock_guard lock(mutex_);
  read_pools_ = std::move(read);
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
    if (dns_ != nullptr) CollectDns(*dns_, families);
    CollectTaps(taps_ == nullptr ? TapCounts() : taps_->counts(), families);
    if (http_ != nullptr) CollectHttp(*http_, families);
    const std::vector<PoolFigures> pools = read_pools_ ? read_pools_() : std::vector<PoolFigures>();
    CollectGossip(pools, families);
    CollectConsulNames(options_, dns_, http_, consensus_.counters(), catalog, pools, families);
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

std::string Metrics::Json(JsonWriter json) {
  WriteMetricsJson(before_, last_, absl::ToDoubleSeconds(kInterval), interval_end_, json);
  return json.Take();
}

}  // namespace pharos::agent
