#include "agent/query_taps.h"

#include <utility>

#include "base/status_macros.h"

namespace pharos::agent {

absl::StatusOr<QueryTaps::Prepared> QueryTaps::Prepare(const DnsConfig& config) const {
  Prepared prepared;
  const bool new_dnstap =
      !config.dnstap.socket.empty() && (dnstap_ == nullptr || dnstap_->options() != config.dnstap);
  const bool log_wanted = !config.query_log.file.empty();
  const bool new_log = log_wanted && (log_ == nullptr || log_->options() != config.query_log);
  if (new_dnstap) {
    ASSIGN_OR_RETURN(prepared.dnstap, dns::Dnstap::Start(config.dnstap, threads_));
  }
  if (new_log) {
    ASSIGN_OR_RETURN(prepared.log, dns::QueryLog::Open(config.query_log, threads_));
  } else if (log_wanted) {
    RETURN_IF_ERROR(log_->Reopen());
  }
  return prepared;
}

QueryTaps::Prepared QueryTaps::Swap(Prepared prepared, const DnsConfig& config) {
  const bool keep_dnstap = prepared.dnstap == nullptr && !config.dnstap.socket.empty();
  const bool keep_log = prepared.log == nullptr && !config.query_log.file.empty();
  const std::lock_guard lock(mutex_);
  if (!keep_dnstap) std::swap(dnstap_, prepared.dnstap);
  if (!keep_log) std::swap(log_, prepared.log);
  return prepared;
}

std::vector<std::unique_ptr<dns::QueryObserver>> QueryTaps::MakeObservers(int thread) const {
  std::vector<std::unique_ptr<dns::QueryObserver>> observers;
  if (dnstap_ != nullptr) observers.push_back(dnstap_->MakeObserver(thread));
  if (log_ != nullptr) observers.push_back(log_->MakeObserver(thread));
  return observers;
}

TapCounts QueryTaps::counts() const {
  const std::lock_guard lock(mutex_);
  TapCounts counts;
  if (dnstap_ != nullptr) counts.dnstap = dnstap_->counts();
  if (log_ != nullptr) {
    counts.log_lines = log_->written();
    counts.log_dropped = log_->dropped();
  }
  return counts;
}

}  // namespace pharos::agent
