#include "agent/metrics/metrics.h"

#include <utility>

#include "agent/metrics/collect.h"

namespace pharos::agent {

Metrics::Metrics(const cluster::Consensus& consensus, LocalAgent& local, const Clock& clock)
    : consensus_(consensus),
      local_(local),
      clock_(clock),
      started_(clock.Now()),
      interval_end_(started_) {}

void Metrics::SetServers(dns::Server* dns, http::Server* http, const QueryTaps* taps) {
  const std::lock_guard lock(mutex_);
  dns_ = dns;
  http_ = http;
  taps_ = taps;
}

Families Metrics::Collect() {
  Families families;
  const absl::Time now = clock_.Now();
  {
    const std::lock_guard lock(mutex_);
    if (dns_ != nullptr) CollectDns(*dns_, families);
    CollectTaps(taps_ == nullptr ? TapCounts() : taps_->counts(), families);
    if (http_ != nullptr) CollectHttp(*http_, families);
  }
  CollectCatalog(consensus_, now, families);
  CollectLocal(local_, now, families);
  CollectProcess(started_, families);
  return families;
}

void Metrics::Tick() {
  before_ = std::exchange(last_, Collect());
  interval_end_ = clock_.Now();
}

std::string Metrics::Text() { return PrometheusText(Collect()); }

std::string Metrics::Json(JsonWriter json) {
  WriteMetricsJson(before_, last_, absl::ToDoubleSeconds(kInterval), interval_end_, json);
  return json.Take();
}

}  // namespace pharos::agent
