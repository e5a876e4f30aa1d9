// Who is told of DNS queries, as the configuration has it: dnstap, the query log, both or neither.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/config/config.h"
#include "dns/dnstap.h"
#include "dns/query_log.h"
#include "dns/query_observer.h"

namespace pharos::agent {

struct TapCounts {
  dns::DnstapCounts dnstap;
  uint64_t log_lines = 0;
  uint64_t log_dropped = 0;
};

// On the main thread, unless it says otherwise. Outlives the workers that its observers are given
// to, or is given others before.
class QueryTaps {
 public:
  // What a configuration wants that is not there yet; null where nothing, or nothing else, is
  // wanted.
  struct Prepared {
    std::unique_ptr<dns::Dnstap> dnstap;
    std::unique_ptr<dns::QueryLog> log;
  };

  // For so many DNS threads.
  explicit QueryTaps(int threads) : threads_(threads) {}

  // Opens what `config` wants, and also the file of a log that stays, anew: after it was moved away
  // a reload makes a new one. An error leaves everything as it was.
  absl::StatusOr<Prepared> Prepare(const DnsConfig& config) const;
  // Takes it on. `install` gives every worker the observers that MakeObservers has for it; what was
  // there before ends afterwards.
  template <typename Install>
  void Change(Prepared prepared, const DnsConfig& config, const Install& install);

  std::vector<std::unique_ptr<dns::QueryObserver>> MakeObservers(int thread) const;

  // From any thread.
  TapCounts counts() const;

 private:
  // Puts in place what `config` wants; returns what is not needed any more.
  Prepared Swap(Prepared prepared, const DnsConfig& config);

  const int threads_;
  // Other threads read counts while these change.
  mutable std::mutex mutex_;
  std::unique_ptr<dns::Dnstap> dnstap_;  // Written on the main thread, under the mutex.
  std::unique_ptr<dns::QueryLog> log_;   // As well.
};

template <typename Install>
void QueryTaps::Change(Prepared prepared, const DnsConfig& config, const Install& install) {
  const Prepared ending = Swap(std::move(prepared), config);
  install();
}

}  // namespace pharos::agent
