#include "dns/worker.h"

#include <uv.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "dns/forwarded_reply.h"
#include "dns/handler.h"
#include "dns/reply_writer.h"
#include "dns/reverse_name.h"

namespace pharos::dns {
namespace {

const std::vector<ExternalAnswer> kNothingResolved;

// Reading the clock twice for every batch of one would be felt.
constexpr uint64_t kBatchesPerSample = 16;

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

}  // namespace

// A query whose answer is not there yet. Shared by the callbacks that each bring a part of it.
struct Worker::Waiting {
  std::vector<uint8_t> request;
  std::vector<uint8_t> client_subnet;
  std::shared_ptr<const AnswerConfig> config;
  Query query;  // Borrows from `request`, `client_subnet` and `config`.
  ReplyPath path;
  Random random;  // As it was before the first try, so that every try makes the same choices.
  std::vector<ExternalAnswer> external;
  size_t missing = 0;
  int rounds = 0;
  // While Handle is still running, where its reply goes.
  bool at_once = true;
  MutableOctets reply_at_once;
  std::optional<size_t> reply_octets = std::nullopt;
};

Worker::Worker(const Published<registry::Snapshot>& catalog, std::unique_ptr<Resolver> resolver,
               const Clock& clock, std::shared_ptr<const AnswerConfig> config, uint64_t seed)
    : catalog_(catalog),
      resolver_(std::move(resolver)),
      clock_(clock),
      config_(std::move(config)),
      cookies_(config_->cookies),
      random_(seed),
      late_reply_(kMessageOctetsMax) {}

Worker::~Worker() = default;

void Worker::BeginBatch() {
  if (batch_depth_++ > 0) return;
  guard_.emplace(catalog_);
  batch_queries_ = 0;
  batch_began_ns_ = batches_++ % kBatchesPerSample == 0 ? uv_hrtime() : 0;
}

void Worker::EndBatch() {
  if (--batch_depth_ > 0) return;
  guard_.reset();
  if (batch_began_ns_ == 0 || batch_queries_ == 0) return;
  counters_.latency.Add(uv_hrtime() - batch_began_ns_, batch_queries_);
}

void Worker::Close(std::function<void()> closed) { resolver_->Close(std::move(closed)); }

void Worker::SetConfig(std::shared_ptr<const AnswerConfig> config) {
  config_ = std::move(config);
  cookies_ = CookieMaker(config_->cookies);
}

AnswerContext Worker::MakeContext(const ReplyPath& path, Random& random,
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
          .clock = &clock_};
}

std::optional<size_t> Worker::Handle(Octets request, const ReplyPath& path, MutableOctets reply) {
  (path.transport == Transport::kUdp ? counters_.queries_udp : counters_.queries_tcp).Add();
  const Random random_before = random_;
  Query query;
  const Handled handled =
      HandleQuery(request, MakeContext(path, random_, kNothingResolved), query, reply);
  ++batch_queries_;
  CountQuery(query);
  switch (handled.outcome) {
    case Outcome::kReply:
      CountReply(reply.first(handled.reply_octets));
      return handled.reply_octets;
    case Outcome::kDrop:
      counters_.dropped.Add();
      return 0;
    case Outcome::kForward:
      return waiting_count_ < kWaitingMax ? Forward(query, path, reply)
                                          : RefuseAtBound(query, reply);
    case Outcome::kResolve:
      return waiting_count_ < kWaitingMax
                 ? Resolve(request, random_before, handled.needed, path, reply)
                 : RefuseAtBound(query, reply);
  }
  return 0;
}

std::optional<size_t> Worker::Forward(const Query& query, const ReplyPath& path,
                                      MutableOctets reply) {
  counters_.forwarded.Add();
  auto waiting = std::make_shared<Waiting>(Waiting{
      .request = {query.question.begin(), query.question.end()},
      .client_subnet = {},
      .config = config_,
      .query = query,
      .path = path,
      .random = Random(0),
      .external = {},
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
  ++waiting_count_;
  resolver_->Resolve(QuestionOf(query), clock_.Now(),
                     [this, waiting](const UpstreamAnswer& answer) {
                       Deliver(waiting, WriteForwarded(*waiting, answer));
                     });
  waiting->at_once = false;
  return waiting->reply_octets;
}

size_t Worker::WriteForwarded(const Waiting& waiting, const UpstreamAnswer& answer) {
  const MutableOctets target = waiting.at_once ? waiting.reply_at_once : MutableOctets(late_reply_);
  if (answer.rcode == Rcode::kNxDomain) {
    if (const size_t octets = AnswerAboveOurs(waiting, target); octets > 0) return octets;
  }
  return WriteForwardedReply(waiting.query, answer,
                             OctetsMax(waiting.query, waiting.path.transport), target);
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
  auto waiting = std::make_shared<Waiting>(Waiting{
      .request = {request.begin(), request.end()},
      .client_subnet = {},
      .config = config_,
      .query = {},
      .path = path,
      .random = random_before,
      .external = {},
      .reply_at_once = reply,
  });
  ++waiting_count_;
  ResolveNext(waiting, needed);
  waiting->at_once = false;
  return waiting->reply_octets;
}

void Worker::ResolveNext(const std::shared_ptr<Waiting>& waiting,
                         const std::vector<UpstreamQuestion>& needed) {
  ++waiting->rounds;
  // One more than is asked, so that answers which come at once do not finish the round early.
  waiting->missing = needed.size() + 1;
  const auto arrived = [this, waiting] {
    if (--waiting->missing == 0) AnswerResolved(waiting);
  };
  for (const UpstreamQuestion& question : needed) {
    resolver_->Resolve(question, clock_.Now(),
                       [waiting, question, arrived](const UpstreamAnswer& answer) {
                         waiting->external.push_back({question, answer});
                         arrived();
                       });
  }
  arrived();
}

void Worker::AnswerResolved(const std::shared_ptr<Waiting>& waiting) {
  BeginBatch();
  // After the last round what is still missing counts as resolved to nothing.
  const bool last = waiting->rounds >= kResolveRoundsMax;
  Random random = waiting->random;
  AnswerContext context = MakeContext(waiting->path, random, waiting->external);
  context.may_resolve = !last;
  const MutableOctets target =
      waiting->at_once ? waiting->reply_at_once : MutableOctets(late_reply_);
  const Handled handled = HandleQuery(waiting->request, context, waiting->query, target);
  EndBatch();
  switch (handled.outcome) {
    case Outcome::kResolve:
      return ResolveNext(waiting, handled.needed);
    case Outcome::kReply:
      return Deliver(waiting, handled.reply_octets);
    case Outcome::kDrop:
    case Outcome::kForward: {
      // A reload has moved the zones from under the query. The client asks again.
      ReplyWriter writer(waiting->query, target, kPlainUdpOctetsMax, true);
      return Deliver(waiting, writer.Finish(Rcode::kServFail, kFlagRa));
    }
  }
}

void Worker::Deliver(const std::shared_ptr<Waiting>& waiting, size_t reply_octets) {
  --waiting_count_;
  if (waiting->at_once) {
    CountReply(waiting->reply_at_once.first(reply_octets));
    waiting->reply_octets = reply_octets;
    return;
  }
  const Octets reply = Octets(late_reply_).first(reply_octets);
  CountReply(reply);
  waiting->path.listener->Send(waiting->path, reply);
}

size_t Worker::RefuseAtBound(const Query& query, MutableOctets reply) {
  counters_.refused_at_bound.Add();
  ReplyWriter writer(query, reply, kPlainUdpOctetsMax, true);
  writer.SetError({InfoCode::kOther, "too many queries are waiting"});
  const size_t octets = writer.Finish(Rcode::kServFail, kFlagRa);
  CountReply(reply.first(octets));
  return octets;
}

void Worker::CountQuery(const Query& query) {
  if (query.question.empty()) return;
  const auto* const found = std::find(kCountedTypes.begin(), kCountedTypes.end(), query.qtype);
  counters_.queries_by_type[found - kCountedTypes.begin()].Add();
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
