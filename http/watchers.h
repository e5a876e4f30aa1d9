// Requests that wait for the catalog to change (blocking queries), on one HTTP thread. A change
// wakes those it concerns and no others, and what many of them wait for is encoded once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/loop.h"
#include "base/random.h"
#include "cluster/catalog_access.h"
#include "cluster/change_feed.h"
#include "cluster/topics.h"
#include "http/cache_marks.h"
#include "http/exchange.h"
#include "http/read_options.h"
#include "registry/snapshot.h"

namespace pharos::http {

using cluster::ChecksTopic;
using cluster::ConnectTopic;
using cluster::IngressTopic;
using cluster::NodesTopic;
using cluster::NodeTopic;
using cluster::QueriesTopic;
using cluster::ServicesTopic;
using cluster::ServiceTopic;

// One read of the catalog: what it waits for and how it is answered. Functions of the snapshot and
// of what they hold; called on the thread that the request came to, any number of times.
struct Reading {
  // Any of these changing may change the answer.
  std::vector<std::string> topics;
  // The index at which the answer last changed.
  std::function<uint64_t(const registry::Snapshot&)> index;
  // The answer as JSON; an error is answered as such (http/errors.h).
  std::function<absl::Status(const registry::Snapshot&, JsonWriter&)> write;
};

struct WatcherCounters {
  uint64_t asked = 0, waiting = 0, woken = 0, timed_out = 0, encoded = 0;
};

class Watchers {
 public:
  // On the loop's thread; what is borrowed outlives this.
  Watchers(Loop& loop, cluster::CatalogAccess& consensus, const Clock& clock,
           CacheMarks& cache_marks, uint64_t seed);
  // On the loop's thread, or once it has ended, this ends; those who wait are forgotten.
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  // Answers at once, or when the reading's index is above options.index, or when the wait is over.
  void Answer(const std::shared_ptr<Exchange>& exchange, const ReadOptions& options,
              Reading reading);

  WatcherCounters counters() const { return counters_; }

 private:
  struct Waiter {
    std::shared_ptr<Exchange> exchange;
    Reading reading;
    ReadStyle style;
    uint64_t index;  // What the client has.
    absl::Time deadline;
    uint64_t id;
  };
  // Bodies made in one round, by what was asked.
  using Encoded = absl::flat_hash_map<std::string, std::shared_ptr<const Body>>;

  void WakeChanged(const std::set<std::string>& topics);
  void WakeExpired();
  void Add(Waiter waiter);
  void Remove(uint64_t id);
  void SetTimer();
  void Respond(Exchange& exchange, const Reading& reading, const ReadStyle& style,
               const registry::Snapshot& snapshot, Encoded& encoded);

  cluster::CatalogAccess& consensus_;
  const Clock& clock_;
  CacheMarks& cache_marks_;
  Random random_;
  cluster::ChangeFeed feed_;
  LoopTimer timer_;
  uint64_t next_id_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Waiter>> waiters_;
  absl::flat_hash_map<std::string, absl::flat_hash_set<uint64_t>> by_topic_;
  std::set<std::pair<absl::Time, uint64_t>> by_deadline_;
  WatcherCounters counters_;
};

}  // namespace pharos::http
