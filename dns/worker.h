// One DNS thread's answers: takes messages from its listeners, reads the published snapshot, and
// sees to those answers that need the recursors first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/loop_mailbox.h"
#include "base/published.h"
#include "dns/answer.h"
#include "dns/client_counts.h"
#include "dns/listener.h"
#include "dns/query.h"
#include "dns/query_observer.h"
#include "dns/rate_limit.h"
#include "dns/ready_answer.h"
#include "dns/recent_replies.h"
#include "dns/resolver.h"
#include "dns/server.h"
#include "registry/freshness.h"
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
  Counter dropped;                  // Messages that get no reply.
  Counter forwarded;                // Questions for the recursors.
  Counter given_again;              // Of them, those whose reply was just given (recent_replies.h).
  Counter reverse_forwarded;        // Of them, those for PTR records.
  Counter resolved;                 // Own answers that led to host names outside.
  Counter refused_recursion;        // REFUSED to clients who may not ask about outside names.
  Counter rebindings;               // Answers of recursors withheld (dns/rebind.h).
  Counter shed;                     // SERVFAIL to who waited longest, as too many were waiting.
  Counter refused_at_bound;         // SERVFAIL at once, as too many questions were under way.
  Counter refused_at_client_bound;  // SERVFAIL at once, as too many of that client were waiting.
  Counter replies_by_rcode[6];      // NOERROR to REFUSED; others are not counted here.
  Counter queries_by_type[kCountedTypes.size() + 1];  // The last: all other types.
  Counter remote;  // Queries that waited for a part of another datacenter.
  Counter stale;   // Queries while the catalog was stale, or too old to be served.
  // Queries with a cookie, by what it was worth (RFC 7873).
  Counter cookies_client_only, cookies_valid, cookies_invalid;
  // From a batch's first query to its last answer, for each query of every 16th batch.
  DurationHistogram latency;
};

// What guards a worker against abuse.
struct WorkerOptions {
  RateLimitOptions rate_limit = {};
  // Answers to one client address that wait for recursors; a query beyond gets SERVFAIL at once.
  size_t forwards_per_client_max = 256;
};

// Where parts of catalogs come from.
struct RemoteSource {
  const Published<registry::RemoteCatalogs>* published = nullptr;  // Null: there are none.
  bool own = false;  // Of its own datacenter, too, the agent has no more than parts.
  // Has a part put into what is published; `done` is called on the worker's thread, once, in a
  // later turn: whether it is there.
  std::function<void(const NeededPart& part, std::function<void(bool there)> done)> want;
  // What `done` comes by; the worker closes it at its end.
  std::shared_ptr<LoopMailbox> mailbox;
};

class Worker : public ThreadHandler {
 public:
  // How many parts one answer may turn out to need, one after the other.
  static constexpr int kPartRoundsMax = 8;
  // Answers that wait for recursors at one time. One more takes the place of that which has waited
  // longest, whose client has most likely given up: it gets SERVFAIL.
  static constexpr size_t kWaitingMax = 8192;
  // Questions under way, also for answers that were given up; a query beyond gets SERVFAIL at once.
  static constexpr size_t kQuestionsMax = 4 * kWaitingMax;
  // How often one answer may turn out to need further host names.
  static constexpr int kResolveRoundsMax = 3;

  // `catalog` and `clock` are borrowed and outlive the worker.
  Worker(const Published<registry::Snapshot>& catalog, std::unique_ptr<Resolver> resolver,
         const Clock& clock, std::shared_ptr<const AnswerConfig> config, uint64_t seed);
  ~Worker() override;

  void BeginBatch() override;
  void EndBatch() override;
  void LookAhead(std::span<const Octets> requests) override;
  size_t AnswerAhead(size_t i, MutableOctets reply) override;
  std::optional<size_t> Handle(Octets request, const ReplyPath& path, MutableOctets reply) override;
  void Close(std::function<void()> closed) override;

  // On the worker's thread, between batches: from the next query on.
  void SetConfig(std::shared_ptr<const AnswerConfig> config);
  // The same for the guards. A rate limit that has not changed remembers what it counted.
  void SetOptions(const WorkerOptions& options);
  // Before the first query: how far the catalog may be believed; else it always may. Borrowed.
  void SetFreshness(const registry::SharedFreshness& freshness) { freshness_ = &freshness; }
  // Before the first query. What is borrowed outlives the worker.
  void SetRemote(RemoteSource remote) { remote_ = std::move(remote); }
  // Who is told of queries from now on, in the place of those who were.
  void SetObservers(std::vector<std::unique_ptr<QueryObserver>> observers);
  Resolver& resolver() { return *resolver_; }
  // Replies that were just given are not given again: the cache has changed.
  void ForgetReplies() { recent_.Clear(); }
  // Null when nothing is limited.
  const RateLimiter* rate_limiter() const { return limiter_.get(); }
  const WorkerCounters& counters() const { return counters_; }

 private:
  struct Waiting;

  AnswerContext MakeContext(const ReplyPath& path, Random& random,
                            const std::vector<ExternalAnswer>& external);
  AnswerContext MakeWholeContext(const ReplyPath& path, Random& random,
                                 const std::vector<ExternalAnswer>& external);
  // Whether more may be asked for the client; counts what is refused.
  bool MayWait(const IpAddress& client);
  void ShedOldest();
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
  // Has the part put where answers are made from, then answers the query; as Forward.
  std::optional<size_t> WaitForPart(Octets request, const Random& random_before,
                                    const NeededPart& part, const ReplyPath& path,
                                    MutableOctets reply);
  void WantPart(const std::shared_ptr<Waiting>& waiting, const NeededPart& part);
  void ResolveNext(const std::shared_ptr<Waiting>& waiting,
                   const std::vector<UpstreamQuestion>& needed);
  void OnResolved(const std::shared_ptr<Waiting>& waiting);
  void AnswerResolved(const std::shared_ptr<Waiting>& waiting);
  void Deliver(const std::shared_ptr<Waiting>& waiting, size_t reply_octets);
  // What a client gets that may ask about our own names only: REFUSED, but for names above those of
  // registered addresses, which exist.
  size_t RefuseRecursion(const Query& query, const ReplyPath& path, MutableOctets reply);
  // Handle returns: the answer is there, or waits from now on.
  std::optional<size_t> Leave(const std::shared_ptr<Waiting>& waiting);
  void EndWaiting(Waiting& waiting);
  size_t Refuse(const Query& query, const ReplyPath& path, absl::Time asked, MutableOctets reply);

  // The reply to a question about an outside name that was just given to the very same; 0 if none.
  size_t GiveAgain(Octets request, const ReplyPath& path, MutableOctets reply);
  int64_t BatchSecond();
  // What every reply passes before it leaves: counts it, and shows it to the rate limit and to the
  // observers. It is the first `octets` of `reply`; returns how many of them are to be sent.
  size_t Release(const AnsweredQuery& answered, MutableOctets reply, size_t octets);
  size_t Inspect(AnsweredQuery answered, MutableOctets reply, size_t octets);
  // The same of what the rate limit makes of it.
  size_t LimitRate(const AnsweredQuery& answered, MutableOctets reply, size_t octets);
  void LogLimiting(const IpAddress& client, absl::Time now);
  void CountType(RrType type);
  void CountQuery(const Query& query);
  void CountReply(Octets reply);

  bool IsFresh() const { return freshness() == registry::Freshness::kFresh; }
  registry::Freshness freshness() const {
    return freshness_ == nullptr ? registry::Freshness::kFresh
                                 : freshness_->load(std::memory_order_relaxed);
  }

  const Published<registry::Snapshot>& catalog_;
  const registry::SharedFreshness* freshness_ = nullptr;
  RemoteSource remote_;
  std::map<std::string, std::shared_ptr<const AnswerConfig>, std::less<>> other_configs_;
  // Of one batch, once something in it is not answered from what is ready.
  std::optional<Published<registry::RemoteCatalogs>::ReadGuard> remote_guard_;
  std::optional<OtherDatacenters> others_;
  std::unique_ptr<Resolver> resolver_;
  const Clock& clock_;
  std::shared_ptr<const AnswerConfig> config_;
  CookieMaker cookies_;
  Random random_;
  AnswerScratch scratch_;
  ReadyAnswers ready_;
  RecentReplies recent_;
  std::optional<int64_t> batch_second_;
  std::optional<Published<registry::Snapshot>::ReadGuard> guard_;
  // Batches can nest: an answer that comes during one may let another connection's queries go on.
  int batch_depth_ = 0;
  uint64_t batches_ = 0;
  uint64_t batch_began_ns_ = 0;  // Of one whose latency is taken; else 0.
  uint64_t batch_queries_ = 0;
  std::vector<uint8_t> late_reply_;  // Where answers that come later are written.
  // Oldest first. It owns what waits, so that who is given up costs no more memory; those who bring
  // the parts only know it.
  std::list<std::shared_ptr<Waiting>> waiting_;
  ClientCounts clients_waiting_;
  size_t questions_ = 0;  // Under way at the resolver.
  bool shedding_ = false;

  WorkerOptions options_;
  std::unique_ptr<RateLimiter> limiter_;
  std::vector<std::unique_ptr<QueryObserver>> observers_;
  bool inspecting_ = false;  // Whether there is either.
  absl::Time batch_time_;    // When the batch began; known while inspecting_.
  absl::Time limit_logged_ = absl::InfinitePast();
  uint64_t limits_unlogged_ = 0;
  WorkerCounters counters_;
};

}  // namespace pharos::dns
