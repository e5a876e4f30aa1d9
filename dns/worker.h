// One DNS thread's answers: takes messages from its listeners, reads the published snapshot, and
// sees to those answers that need the recursors first.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/counter.h"
#include "base/published.h"
#include "dns/answer.h"
#include "dns/listener.h"
#include "dns/query.h"
#include "dns/resolver.h"
#include "dns/server.h"
#include "registry/snapshot.h"

namespace pharos::dns {

// The types that are counted each by itself.
inline constexpr std::array<RrType, 9> kCountedTypes = {
    RrType::kA,   RrType::kAaaa, RrType::kSrv, RrType::kTxt,  RrType::kPtr,
    RrType::kAny, RrType::kSoa,  RrType::kNs,  RrType::kCname};

// What a worker counted since it started. One thread writes, any thread reads.
struct WorkerCounters {
  Counter queries_udp;
  Counter queries_tcp;
  Counter dropped;              // Messages that get no reply.
  Counter forwarded;            // Questions for the recursors.
  Counter resolved;             // Own answers that led to host names outside.
  Counter refused_at_bound;     // SERVFAIL because too many were waiting.
  Counter replies_by_rcode[6];  // NOERROR to REFUSED; others are not counted here.
  Counter queries_by_type[kCountedTypes.size() + 1];  // The last: all other types.
  // Queries with a cookie, by what it was worth (RFC 7873).
  Counter cookies_client_only, cookies_valid, cookies_invalid;
  // From a batch's first query to its last answer, for each query of every 16th batch.
  DurationHistogram latency;
};

class Worker : public ThreadHandler {
 public:
  // Answers that wait for recursors at one time; a query beyond gets SERVFAIL at once.
  static constexpr size_t kWaitingMax = 8192;
  // How often one answer may turn out to need further host names.
  static constexpr int kResolveRoundsMax = 3;

  // `catalog` and `clock` are borrowed and outlive the worker.
  Worker(const Published<registry::Snapshot>& catalog, std::unique_ptr<Resolver> resolver,
         const Clock& clock, std::shared_ptr<const AnswerConfig> config, uint64_t seed);
  ~Worker() override;

  void BeginBatch() override;
  void EndBatch() override;
  std::optional<size_t> Handle(Octets request, const ReplyPath& path, MutableOctets reply) override;
  void Close(std::function<void()> closed) override;

  // On the worker's thread, between batches: from the next query on.
  void SetConfig(std::shared_ptr<const AnswerConfig> config);
  Resolver& resolver() { return *resolver_; }
  const WorkerCounters& counters() const { return counters_; }

 private:
  struct Waiting;

  AnswerContext MakeContext(const ReplyPath& path, Random& random,
                            const std::vector<ExternalAnswer>& external);
  // Asks the recursors what the query asks. The answer goes into `reply` if it is there at once
  // (its length is returned), else to the path when it comes (nullopt).
  std::optional<size_t> Forward(const Query& query, const ReplyPath& path, MutableOctets reply);
  size_t WriteForwarded(const Waiting& waiting, const UpstreamAnswer& answer);
  // The recursors deny a name that is above a reverse name of ours, so it exists: a resolver that
  // asks for one label after the other (RFC 9156) would else not come to ours. Returns the length
  // of the reply that says so, or 0 if the name is no such one.
  size_t AnswerAboveOurs(const Waiting& waiting, MutableOctets target);
  // Resolves the host names, then answers the query with them; as Forward.
  std::optional<size_t> Resolve(Octets request, const Random& random_before,
                                const std::vector<UpstreamQuestion>& needed, const ReplyPath& path,
                                MutableOctets reply);
  void ResolveNext(const std::shared_ptr<Waiting>& waiting,
                   const std::vector<UpstreamQuestion>& needed);
  void AnswerResolved(const std::shared_ptr<Waiting>& waiting);
  void Deliver(const std::shared_ptr<Waiting>& waiting, size_t reply_octets);
  size_t RefuseAtBound(const Query& query, MutableOctets reply);
  void CountQuery(const Query& query);
  void CountReply(Octets reply);

  const Published<registry::Snapshot>& catalog_;
  std::unique_ptr<Resolver> resolver_;
  const Clock& clock_;
  std::shared_ptr<const AnswerConfig> config_;
  CookieMaker cookies_;
  Random random_;
  AnswerScratch scratch_;
  std::optional<Published<registry::Snapshot>::ReadGuard> guard_;
  // Batches can nest: an answer that comes during one may let another connection's queries go on.
  int batch_depth_ = 0;
  uint64_t batches_ = 0;
  uint64_t batch_began_ns_ = 0;  // Of one whose latency is taken; else 0.
  uint64_t batch_queries_ = 0;
  std::vector<uint8_t> late_reply_;  // Where answers that come later are written.
  size_t waiting_count_ = 0;
  WorkerCounters counters_;
};

}  // namespace pharos::dns
