#include "dns/worker.h"

#include <uv.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "dns/forwarded_reply.h"
#include "dns/handler.h"
#include "dns/rebind.h"
#include "dns/reply_writer.h"
#include "dns/reverse_name.h"

namespace pharos::dns {
namespace {

const std::vector<ExternalAnswer> kNothingResolved;

// In place of an answer that could be used for rebinding: no records, and nothing to cache.
UpstreamAnswer MakeWithheld() {
  UpstreamAnswer withheld;
  withheld.rcode = Rcode::kNoError;
  withheld.extended_error = {InfoCode::kBlocked, "a private address of an outside name"};
  return withheld;
}

// Reading the clock twice for every batch of one would be felt.
constexpr uint64_t kBatchesPerSample = 16;
// How often the log may say that limiting began somewhere.
constexpr absl::Duration kLimitLogInterval = absl::Seconds(1);

size_t OctetsMax(const Query& query, Transport transport) {
  if (transport == Transport::kTcp) return kMessageOctetsMax;
  const size_t asked = query.edns ? query.edns->udp_octets : kPlainUdpOctetsMax;
  return std::clamp(asked, kPlainUdpOctetsMax, kUdpPayloadOctetsMax);
}

UpstreamQuestion QuestionOf(const Query& query) {
  return {.qname = query.qname,
          .qtype = query.qtype,
          .qclass = query.qclass,
          .recursion_desired = query.recursion_desired,
          .checking_disabled = query.checking_disabled,
          .dnssec_ok = query.edns && query.edns->dnssec_ok};
}

// Whether the client has shown that it is where it says, so that a reply cannot hit anybody else.
bool HasProvenItsAddress(const Query& query, const ReplyPath& path) {
  return path.transport == Transport::kTcp || query.HasValidCookie();
}

}  // namespace

// A query whose answer is not there yet.
struct Worker::Waiting {
  std::vector<uint8_t> request;
  std::vector<uint8_t> client_subnet;
  std::shared_ptr<const AnswerConfig> config;
  Query query;  // Borrows from `request`, `client_subnet` and `config`.
  ReplyPath path;
  Random random;  // As it was before the first try, so that every try makes the same choices.
  std::vector<ExternalAnswer> external;
  std::vector<NeededPart> unavailable = {};
  int part_rounds = 0;
  size_t missing = 0;
  int rounds = 0;
  absl::Time asked = {};
  // Where in waiting_, once it is there.
  std::optional<std::list<std::shared_ptr<Waiting>>::iterator> position = {};
  // While Handle is still running, where its reply goes.
  bool at_once = true;
  MutableOctets reply_at_once;
  std::optional<size_t> reply_octets = std::nullopt;

  // For a query that is answered from its beginning once what it lacks is there.
  static std::shared_ptr<Waiting> ToBeTriedAgain(Octets request,
                                                 std::shared_ptr<const AnswerConfig> config,
                                                 const ReplyPath& path, const Random& random,
                                                 absl::Time asked, MutableOctets reply) {
    return std::shared_ptr<Waiting>(new Waiting{
        .request = {request.begin(), request.end()},
        .client_subnet = {},
        .config = std::move(config),
        .query = {},
        .path = path,
        .random = random,
        .external = {},
        .asked = asked,
        .reply_at_once = reply,
    });
  }
};

Worker::Worker(const Published<registry::Snapshot>& catalog, std::unique_ptr<Resolver> resolver,
               const Clock& clock, std::shared_ptr<const AnswerConfig> config, uint64_t seed)
    : catalog_(catalog),
      resolver_(std::move(resolver)),
      clock_(clock),
      config_(std::move(config)),
      cookies_(config_->cookies),
      random_(seed),
      late_reply_(kMessageOctetsMax) {
  ready_.SetConfig(*config_);
}

Worker::~Worker() {
  if (remote_.mailbox != nullptr) remote_.mailbox->Close();
}

void Worker::BeginBatch() {
  if (batch_depth_++ > 0) return;
  guard_.emplace(catalog_);
  batch_queries_ = 0;
  batch_second_.reset();
  batch_began_ns_ = batches_++ % kBatchesPerSample == 0 ? uv_hrtime() : 0;
  if (inspecting_) batch_time_ = clock_.Now();
}

void Worker::EndBatch() {
  if (--batch_depth_ > 0) return;
  if (others_) {
    others_.reset();
    remote_guard_.reset();
  }
  guard_.reset();
  if (batch_began_ns_ == 0 || batch_queries_ == 0) return;
  counters_.latency.Add(uv_hrtime() - batch_began_ns_, batch_queries_);
}

// Who inspects is to see every query, so then none is answered this way.
void Worker::LookAhead(std::span<const Octets> requests) {
  // Nor while answers say that they are stale; and of what is asked for when it is needed, nobody
  // knows yet whether all is there.
  const bool ahead = !inspecting_ && IsFresh() && !remote_.own;
  ready_.LookAhead(ahead ? requests : std::span<const Octets>(), Transport::kUdp, **guard_);
}

size_t Worker::AnswerAhead(size_t i, MutableOctets reply) {
  const size_t octets = ready_.Answer(i, random_, scratch_, reply);
  if (octets == 0) return 0;
  counters_.queries_udp.Add();
  ++batch_queries_;
  CountType(ready_.qtype(i));
  CountReply(reply);
  return octets;
}

void Worker::Close(std::function<void()> closed) { resolver_->Close(std::move(closed)); }

void Worker::SetConfig(std::shared_ptr<const AnswerConfig> config) {
  config_ = std::move(config);
  cookies_ = CookieMaker(config_->cookies);
  ready_.SetConfig(*config_);
  recent_.Clear();
  other_configs_.clear();
}

void Worker::SetOptions(const WorkerOptions& options) {
  const bool same = limiter_ != nullptr && limiter_->options() == options.rate_limit;
  options_ = options;
  if (!same) {
    limiter_ = options.rate_limit.IsOn()
                   ? std::make_unique<RateLimiter>(options.rate_limit, SecureRandomU64())
                   : nullptr;
  }
  inspecting_ = limiter_ != nullptr || !observers_.empty();
}

void Worker::SetObservers(std::vector<std::unique_ptr<QueryObserver>> observers) {
  observers_ = std::move(observers);
  inspecting_ = limiter_ != nullptr || !observers_.empty();
}

AnswerContext Worker::MakeContext(const ReplyPath& path, Random& random,
                                  const std::vector<ExternalAnswer>& external) {
  if (remote_.published != nullptr && !others_) {
    remote_guard_.emplace(*remote_.published);
    others_.emplace(OtherDatacenters{**remote_guard_, other_configs_});
  }
  if (remote_.own) return WithOwnParts(MakeWholeContext(path, random, external));
  return MakeWholeContext(path, random, external);
}

AnswerContext Worker::MakeWholeContext(const ReplyPath& path, Random& random,
                                       const std::vector<ExternalAnswer>& external) {
  return {.config = *config_,
          .snapshot = **guard_,
          .transport = path.transport,
          .random = random,
          .scratch = scratch_,
          .external = external,
          .client = path.client.ip,
          .idle_timeout = path.idle_timeout,
          .cookies = &cookies_,
          .clock = &clock_,
          .freshness = freshness(),
          .others = others_ ? &*others_ : nullptr};
}

int64_t Worker::BatchSecond() {
  if (!batch_second_) batch_second_ = absl::ToUnixSeconds(clock_.Now());
  return *batch_second_;
}

size_t Worker::GiveAgain(Octets request, const ReplyPath& path, MutableOctets reply) {
  if (!config_->MayRecurse(path.client.ip)) return 0;
  const RecentReplies::Found found = recent_.Find(request, BatchSecond(), reply);
  if (found.octets == 0) return 0;
  counters_.queries_udp.Add();
  ++batch_queries_;
  counters_.forwarded.Add();
  counters_.given_again.Add();
  if (found.qtype == RrType::kPtr) counters_.reverse_forwarded.Add();
  CountType(found.qtype);
  CountReply(reply.first(found.octets));
  return found.octets;
}

std::optional<size_t> Worker::Handle(Octets request, const ReplyPath& path, MutableOctets reply) {
  const bool may_repeat =
      path.transport == Transport::kUdp && !inspecting_ && config_->recursion_available;
  if (may_repeat) {
    if (const size_t octets = GiveAgain(request, path, reply); octets > 0) return octets;
  }
  (path.transport == Transport::kUdp ? counters_.queries_udp : counters_.queries_tcp).Add();
  const Random random_before = random_;
  Query query;
  const Handled handled =
      HandleQuery(request, MakeContext(path, random_, kNothingResolved), query, reply);
  ++batch_queries_;
  CountQuery(query);
  if (!IsFresh()) counters_.stale.Add();
  if (!inspecting_ && handled.outcome == Outcome::kReply) [[likely]] {
    CountReply(reply.first(handled.reply_octets));
    return handled.reply_octets;
  }
  for (const auto& observer : observers_) observer->OnQuery(path, request, batch_time_);
  switch (handled.outcome) {
    case Outcome::kReply:
      return Release({path, query, {}, AnswerSource::kZone, batch_time_, batch_time_}, reply,
                     handled.reply_octets);
    case Outcome::kDrop:
    case Outcome::kElsewhere:
      counters_.dropped.Add();
      return 0;
    case Outcome::kForward:
      if (!config_->MayRecurse(path.client.ip)) return RefuseRecursion(query, path, reply);
      if (!MayWait(path.client.ip)) return Refuse(query, path, batch_time_, reply);
      {
        const std::optional<size_t> octets = Forward(query, path, reply);
        const bool plain =
            !query.edns || (!query.edns->has_options && query.edns->client_subnet.empty());
        if (may_repeat && plain && octets.value_or(0) > 0) {
          recent_.Add(request, query.question.size(), reply.first(*octets), BatchSecond());
        }
        return octets;
      }
    case Outcome::kNeedsPart:
      if (!MayWait(path.client.ip)) return Refuse(query, path, batch_time_, reply);
      return WaitForPart(request, random_before, *handled.part, path, reply);
    case Outcome::kResolve:
      if (!MayWait(path.client.ip)) return Refuse(query, path, batch_time_, reply);
      return Resolve(request, random_before, handled.needed, path, reply);
  }
  return 0;
}

bool Worker::MayWait(const IpAddress& client) {
  if (clients_waiting_.Of(client) >= options_.forwards_per_client_max) {
    counters_.refused_at_client_bound.Add();
    return false;
  }
  if (questions_ < kQuestionsMax) return true;
  counters_.refused_at_bound.Add();
  return false;
}

void Worker::ShedOldest() {
  // A TCP client that gets its SERVFAIL may have its next query handled before Send returns; were
  // that to shed in turn, there would be no end to it. So it may take one place too many.
  if (std::exchange(shedding_, true)) return;
  const std::shared_ptr<Waiting> oldest = waiting_.front();
  EndWaiting(*oldest);
  counters_.shed.Add();
  // One that waits for host names was not read from its own copy of the request yet.
  if (oldest->query.question.empty()) ParseQuery(oldest->request, oldest->query);
  std::array<uint8_t, kPlainUdpOctetsMax> reply;
  const size_t octets = Refuse(oldest->query, oldest->path, oldest->asked, reply);
  if (octets > 0) oldest->path.listener->Send(oldest->path, Octets(reply).first(octets));
  shedding_ = false;
}

std::optional<size_t> Worker::Forward(const Query& query, const ReplyPath& path,
                                      MutableOctets reply) {
  counters_.forwarded.Add();
  if (query.qtype == RrType::kPtr) counters_.reverse_forwarded.Add();
  // Not make_shared, whose memory is kept as long as anybody knows of it.
  const std::shared_ptr<Waiting> waiting(new Waiting{
      .request = {query.question.begin(), query.question.end()},
      .client_subnet = {},
      .config = config_,
      .query = query,
      .path = path,
      .random = Random(0),
      .external = {},
      .asked = batch_time_,
      .reply_at_once = reply,
  });
  // The query borrows from the request, which is gone by then.
  waiting->query.question = waiting->request;
  if (query.edns) {
    const Octets subnet = query.edns->client_subnet;
    waiting->client_subnet.assign(subnet.begin(), subnet.end());
    waiting->query.edns->client_subnet = waiting->client_subnet;
    waiting->query.edns->cookie = {};
  }
  ++questions_;
  resolver_->Resolve(QuestionOf(query), clock_.Now(),
                     [this, known = std::weak_ptr(waiting)](const UpstreamAnswer& answer) {
                       --questions_;
                       const std::shared_ptr<Waiting> found = known.lock();
                       if (found == nullptr) return;  // It was given up.
                       Deliver(found, WriteForwarded(*found, answer));
                     });
  return Leave(waiting);
}

std::optional<size_t> Worker::Leave(const std::shared_ptr<Waiting>& waiting) {
  waiting->at_once = false;
  if (waiting->reply_octets) return waiting->reply_octets;
  if (waiting_.size() >= kWaitingMax) ShedOldest();
  waiting->position = waiting_.insert(waiting_.end(), waiting);
  clients_waiting_.Add(waiting->path.client.ip);
  return std::nullopt;
}

void Worker::EndWaiting(Waiting& waiting) {
  if (!waiting.position) return;
  clients_waiting_.Remove(waiting.path.client.ip);
  waiting_.erase(*std::exchange(waiting.position, std::nullopt));
}

size_t Worker::WriteForwarded(const Waiting& waiting, const UpstreamAnswer& answer) {
  const MutableOctets target = waiting.at_once ? waiting.reply_at_once : MutableOctets(late_reply_);
  const size_t octets_max = OctetsMax(waiting.query, waiting.path.transport);
  if (IsRebinding(*config_, waiting.query.qname, answer)) {
    counters_.rebindings.Add();
    return WriteForwardedReply(waiting.query, MakeWithheld(), octets_max, target,
                               config_->compression);
  }
  if (answer.rcode == Rcode::kNxDomain) {
    if (const size_t octets = AnswerAboveOurs(waiting, target); octets > 0) return octets;
  }
  return WriteForwardedReply(waiting.query, answer, octets_max, target, config_->compression);
}

size_t Worker::AnswerAboveOurs(const Waiting& waiting, MutableOctets target) {
  size_t octets = 0;
  BeginBatch();
  if (IsAboveRegistered(waiting.query.qname, **guard_)) {
    AnswerContext context = MakeContext(waiting.path, random_, kNothingResolved);
    context.may_resolve = false;
    octets = Answer(waiting.query, context, target).reply_octets;
  }
  EndBatch();
  return octets;
}

std::optional<size_t> Worker::Resolve(Octets request, const Random& random_before,
                                      const std::vector<UpstreamQuestion>& needed,
                                      const ReplyPath& path, MutableOctets reply) {
  counters_.resolved.Add();
  const std::shared_ptr<Waiting> waiting =
      Waiting::ToBeTriedAgain(request, config_, path, random_before, batch_time_, reply);
  ResolveNext(waiting, needed);
  return Leave(waiting);
}

std::optional<size_t> Worker::WaitForPart(Octets request, const Random& random_before,
                                          const NeededPart& part, const ReplyPath& path,
                                          MutableOctets reply) {
  counters_.remote.Add();
  const std::shared_ptr<Waiting> waiting =
      Waiting::ToBeTriedAgain(request, config_, path, random_before, batch_time_, reply);
  WantPart(waiting, part);
  return Leave(waiting);
}

void Worker::WantPart(const std::shared_ptr<Waiting>& waiting, const NeededPart& part) {
  ++questions_;
  // After the last round nothing more is asked for.
  const bool last = ++waiting->part_rounds >= kPartRoundsMax;
  if (last) waiting->unavailable.push_back(part);
  remote_.want(part, [this, known = std::weak_ptr(waiting), part](bool there) {
    --questions_;
    const std::shared_ptr<Waiting> found = known.lock();
    if (found == nullptr) return;  // It was given up.
    if (!there) found->unavailable.push_back(part);
    AnswerResolved(found);
  });
}

void Worker::ResolveNext(const std::shared_ptr<Waiting>& waiting,
                         const std::vector<UpstreamQuestion>& needed) {
  ++waiting->rounds;
  // One more than is asked, so that answers which come at once do not finish the round early.
  waiting->missing = needed.size() + 1;
  for (const UpstreamQuestion& question : needed) {
    ++questions_;
    resolver_->Resolve(
        question, clock_.Now(),
        [this, known = std::weak_ptr(waiting), question](const UpstreamAnswer& answer) {
          --questions_;
          const std::shared_ptr<Waiting> found = known.lock();
          if (found == nullptr) return;  // It was given up.
          found->external.push_back({question, answer});
          OnResolved(found);
        });
  }
  OnResolved(waiting);
}

void Worker::OnResolved(const std::shared_ptr<Waiting>& waiting) {
  if (--waiting->missing == 0) AnswerResolved(waiting);
}

void Worker::AnswerResolved(const std::shared_ptr<Waiting>& waiting) {
  BeginBatch();
  // After the last round what is still missing counts as resolved to nothing.
  const bool last = waiting->rounds >= kResolveRoundsMax;
  Random random = waiting->random;
  AnswerContext context = MakeContext(waiting->path, random, waiting->external);
  context.may_resolve = !last;
  context.unavailable = &waiting->unavailable;
  const MutableOctets target =
      waiting->at_once ? waiting->reply_at_once : MutableOctets(late_reply_);
  const Handled handled = HandleQuery(waiting->request, context, waiting->query, target);
  EndBatch();
  switch (handled.outcome) {
    case Outcome::kResolve:
      return ResolveNext(waiting, handled.needed);
    case Outcome::kNeedsPart:
      return WantPart(waiting, *handled.part);
    case Outcome::kReply:
      return Deliver(waiting, handled.reply_octets);
    case Outcome::kDrop:
    case Outcome::kElsewhere:
    case Outcome::kForward: {
      // A reload has moved the zones from under the query. The client asks again.
      ReplyWriter writer(waiting->query, target, kPlainUdpOctetsMax, true);
      return Deliver(waiting, writer.Finish(Rcode::kServFail, kFlagRa));
    }
  }
}

void Worker::Deliver(const std::shared_ptr<Waiting>& waiting, size_t reply_octets) {
  const auto release = [&](AnswerSource source, MutableOctets reply) {
    return Release({waiting->path, waiting->query, {}, source, waiting->asked, waiting->asked},
                   reply, reply_octets);
  };
  if (waiting->at_once) {
    waiting->reply_octets = release(AnswerSource::kCache, waiting->reply_at_once);
    return;
  }
  EndWaiting(*waiting);
  const size_t octets = release(AnswerSource::kUpstream, late_reply_);
  if (octets > 0) {
    waiting->path.listener->Send(waiting->path, Octets(late_reply_).first(octets));
  }
}

size_t Worker::RefuseRecursion(const Query& query, const ReplyPath& path, MutableOctets reply) {
  size_t octets = 0;
  if (IsAboveRegistered(query.qname, **guard_)) {
    AnswerContext context = MakeContext(path, random_, kNothingResolved);
    context.may_resolve = false;
    octets = Answer(query, context, reply).reply_octets;
  } else {
    counters_.refused_recursion.Add();
    ReplyWriter writer(query, reply, OctetsMax(query, path.transport), true);
    writer.SetError({InfoCode::kProhibited, "outside names are not for this client"});
    // Without RA, as recursion is not available to who asks.
    octets = writer.Finish(Rcode::kRefused, 0);
  }
  return Release({path, query, {}, AnswerSource::kZone, batch_time_, batch_time_}, reply, octets);
}

size_t Worker::Refuse(const Query& query, const ReplyPath& path, absl::Time asked,
                      MutableOctets reply) {
  ReplyWriter writer(query, reply, kPlainUdpOctetsMax, true);
  writer.SetError({InfoCode::kOther, "too many queries are waiting"});
  return Release({path, query, {}, AnswerSource::kBound, asked, asked}, reply,
                 writer.Finish(Rcode::kServFail, kFlagRa));
}

size_t Worker::Release(const AnsweredQuery& answered, MutableOctets reply, size_t octets) {
  if (inspecting_) octets = Inspect(answered, reply, octets);
  CountReply(reply.first(octets));
  return octets;
}

size_t Worker::Inspect(AnsweredQuery answered, MutableOctets reply, size_t octets) {
  answered.answered = clock_.Now();
  if (limiter_ != nullptr && octets > 0 && !HasProvenItsAddress(answered.query, answered.path)) {
    const size_t left = LimitRate(answered, reply, octets);
    if (left != octets) answered.source = AnswerSource::kRateLimit;
    octets = left;
  }
  answered.reply = reply.first(octets);
  for (const auto& observer : observers_) observer->OnAnswered(answered);
  return octets;
}

size_t Worker::LimitRate(const AnsweredQuery& answered, MutableOctets reply, size_t octets) {
  const IpAddress& client = answered.path.client.ip;
  const RateLimitDecision decision = limiter_->Judge(
      client, ClassifyResponse(answered.query, reply.first(octets)), answered.answered);
  if (decision.began) LogLimiting(client, answered.answered);
  switch (decision.verdict) {
    case RateLimitDecision::kSend:
      return octets;
    case RateLimitDecision::kDrop:
      return 0;
    case RateLimitDecision::kSlip:
      break;
  }
  const uint16_t flags = LoadU16(&reply[2]);
  const auto rcode = static_cast<Rcode>(flags & 0x0f);
  // Errors are as small as a truncated reply, and TCP would bring no other.
  if (rcode != Rcode::kNoError && rcode != Rcode::kNxDomain) return octets;
  ReplyWriter writer(answered.query, reply, kPlainUdpOctetsMax, true);
  return writer.Finish(rcode, static_cast<uint16_t>((flags & (kFlagAa | kFlagRa)) | kFlagTc));
}

void Worker::LogLimiting(const IpAddress& client, absl::Time now) {
  if (now >= limit_logged_ && now - limit_logged_ < kLimitLogInterval) {
    ++limits_unlogged_;
    return;
  }
  limit_logged_ = now;
  const RateLimitOptions& options = limiter_->options();
  PHAROS_LOG(kWarn, "agent.dns", "rate limit: limiting replies: network=%s/%d others_since=%d",
             NetworkOf(client, options).ToString(),
             client.is_v4() ? options.ipv4_prefix : options.ipv6_prefix,
             std::exchange(limits_unlogged_, 0));
}

void Worker::CountType(RrType type) {
  const auto* const found = std::find(kCountedTypes.begin(), kCountedTypes.end(), type);
  counters_.queries_by_type[found - kCountedTypes.begin()].Add();
}

void Worker::CountQuery(const Query& query) {
  if (query.question.empty()) return;
  CountType(query.qtype);
  if (!query.edns || query.edns->cookie_state == CookieState::kNone) return;
  const CookieState state = query.edns->cookie_state;
  Counter& cookies = state == CookieState::kValid     ? counters_.cookies_valid
                     : state == CookieState::kInvalid ? counters_.cookies_invalid
                                                      : counters_.cookies_client_only;
  cookies.Add();
}

void Worker::CountReply(Octets reply) {
  if (reply.size() < kHeaderOctets) return;
  const uint16_t rcode = LoadU16(&reply[2]) & 0x0f;
  if (rcode < std::size(counters_.replies_by_rcode)) counters_.replies_by_rcode[rcode].Add();
}

}  // namespace pharos::dns
