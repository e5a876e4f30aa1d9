#include "dns/forwarder.h"

#include <algorithm>
#include <array>

#include "absl/hash/hash.h"

namespace pharos::dns {
namespace {

uint64_t Seed(const Forwarder::FillRandom& fill_random) {
  std::array<uint8_t, 8> octets;
  fill_random(octets);
  return uint64_t{LoadU32(octets.data())} << 32 | LoadU32(&octets[4]);
}

void DeliverTo(Resolver::Done waiter, UpstreamAnswer answer, ForwarderOutput& out) {
  ForwarderOutput::Delivery delivery{.waiters = {}, .answer = std::move(answer)};
  delivery.waiters.push_back(std::move(waiter));
  out.deliveries.push_back(std::move(delivery));
}

// A zone transfer is many messages, and nothing a recursor serves.
bool IsTransfer(RrType type) { return type == RrType::kAxfr || type == RrType::kIxfr; }

// What a server says that knows no EDNS (RFC 6891 section 7).
bool MayDislikeEdns(Rcode rcode) { return rcode == Rcode::kFormErr || rcode == Rcode::kNotImp; }

}  // namespace

size_t Forwarder::HashQuestion::operator()(const UpstreamQuestion& question) const {
  return absl::HashOf(question.qname, static_cast<uint16_t>(question.qtype),
                      static_cast<uint16_t>(question.qclass));
}

Forwarder::Forwarder(const ResolverOptions& options, FillRandom fill_random)
    : fill_random_(std::move(fill_random)),
      upstream_timeout_(options.upstream_timeout),
      upstreams_(Seed(fill_random_)),
      cache_(options.cache_octets) {
  upstreams_.Set(options.upstreams, options.strategy);
}

void Forwarder::Configure(const ResolverOptions& options) {
  upstream_timeout_ = options.upstream_timeout;
  upstreams_.Set(options.upstreams, options.strategy);
  cache_.SetOctetsMax(options.cache_octets);
}

void Forwarder::Ask(const UpstreamQuestion& question, absl::Time now, Resolver::Done done,
                    ForwarderOutput& out) {
  UpstreamAnswer answer;
  if (IsTransfer(question.qtype)) {
    answer.rcode = Rcode::kNotImp;
    return DeliverTo(std::move(done), std::move(answer), out);
  }
  const CacheResult cached = cache_.Find(question, now, answer);
  if (cached != CacheResult::kMiss) {
    DeliverTo(std::move(done), std::move(answer), out);
    const bool prefetch = cached == CacheResult::kPrefetch && has_upstreams() &&
                          flights_.size() < kInFlightMax && !by_question_.contains(question);
    if (prefetch) Start(question, nullptr, now, out);
    return;
  }
  if (const auto same = by_question_.find(question); same != by_question_.end()) {
    Flight& flight = *same->second;
    if (flight.waiters.size() < kWaitersMax) {
      counters_.coalesced.Add();
      flight.waiters.push_back(std::move(done));
      return;
    }
    counters_.dropped.Add();
    return DeliverTo(std::move(done), UpstreamAnswer(), out);
  }
  if (!has_upstreams()) {
    cache_.FindStale(question, now, answer);
    return DeliverTo(std::move(done), std::move(answer), out);
  }
  if (flights_.size() >= kInFlightMax) DropOldest(now, out);
  Start(question, std::move(done), now, out);
}

void Forwarder::Start(const UpstreamQuestion& question, Resolver::Done done, absl::Time now,
                      ForwarderOutput& out) {
  const FlightAt flight = flights_.emplace(flights_.end());
  flight->question = question;
  if (done) flight->waiters.push_back(std::move(done));
  flight->give_up = now + kAnswerPatience;
  flight->stale_at = now + kStalePatience;
  flight->plan = upstreams_.Plan(now);
  const absl::Duration share = kAnswerPatience / static_cast<int64_t>(flight->plan.size());
  flight->upstream_wait = std::max(std::min(upstream_timeout_, share), kUpstreamWaitMin);
  by_question_[question] = flight;
  counters_.in_flight.Set(flights_.size());
  StartExchange(flight, Transport::kUdp, true, now, out);
}

void Forwarder::StartExchange(FlightAt flight, Transport transport, bool edns, absl::Time now,
                              ForwarderOutput& out) {
  EndExchange(flight, out);
  QuerySecret secret;
  fill_random_(secret.id);
  fill_random_(secret.letter_case);
  flight->query = MakeUpstreamQuery(flight->question, secret, edns);
  flight->message.resize(kUpstreamQueryOctetsMax);
  flight->message.resize(WriteUpstreamQuery(flight->query, flight->message));

  flight->exchange = next_exchange_++;
  flight->transport = transport;
  flight->mismatches = 0;
  flight->sent = now;
  flight->exchange_ends = std::min(now + flight->upstream_wait, flight->give_up);
  flight->resend_at = absl::InfiniteFuture();
  if (transport == Transport::kUdp) {
    const absl::Duration round_trip = upstreams_.RoundTrip(flight->upstream());
    const absl::Duration half = flight->upstream_wait / 2;
    const bool known = round_trip > absl::ZeroDuration();
    flight->resend_at =
        now + (known ? std::min(std::max(round_trip * 4, kResendAfterMin), half) : half);
  } else {
    counters_.tcp.Add();
  }
  by_exchange_[flight->exchange] = flight;
  flight->wake = absl::InfiniteFuture();
  SetWake(flight);
  counters_.queries.Add();
  out.sends.push_back({flight->exchange, transport, flight->upstream(), flight->message});
}

void Forwarder::EndExchange(FlightAt flight, ForwarderOutput& out) {
  if (flight->exchange == 0) return;
  deadlines_.erase({flight->wake, flight->exchange});
  by_exchange_.erase(flight->exchange);
  out.closes.push_back(flight->exchange);
  flight->exchange = 0;
}

void Forwarder::SetWake(FlightAt flight) {
  deadlines_.erase({flight->wake, flight->exchange});
  flight->wake = std::min({flight->resend_at, flight->exchange_ends, flight->stale_at});
  deadlines_.insert({flight->wake, flight->exchange});
}

void Forwarder::Resend(FlightAt flight, ForwarderOutput& out) {
  // The same id and letter case again: a forger gains nothing, and either reply counts.
  flight->resend_at = absl::InfiniteFuture();
  counters_.queries.Add();
  out.sends.push_back({flight->exchange, Transport::kUdp, flight->upstream(), flight->message});
}

void Forwarder::TryNext(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  ++flight->plan_position;
  if (flight->plan_position == flight->plan.size() || now >= flight->give_up) {
    return Fail(flight, now, out);
  }
  StartExchange(flight, Transport::kUdp, true, now, out);
}

void Forwarder::OnReply(uint64_t exchange, const SocketAddress& source, MutableOctets message,
                        absl::Time now, ForwarderOutput& out) {
  const auto at = by_exchange_.find(exchange);
  if (at == by_exchange_.end()) return;
  const FlightAt flight = at->second;
  UpstreamAnswer answer;
  const ReplyKind kind = source == flight->upstream()
                             ? ReadUpstreamReply(flight->query, flight->transport, message, answer)
                             : ReplyKind::kMismatch;
  if (kind == ReplyKind::kMismatch) return OnMismatch(flight, now, out);
  counters_.replies.Add();
  // After a resend, which of the two was answered is not known (Karn).
  if (flight->transport == Transport::kUdp) {
    const bool resent = flight->resend_at == absl::InfiniteFuture();
    const absl::Duration known = upstreams_.RoundTrip(flight->upstream());
    upstreams_.NoteReply(flight->upstream(), resent ? known : now - flight->sent);
  }
  switch (kind) {
    case ReplyKind::kAnswer:
      return OnAnswer(flight, std::move(answer), now, out);
    case ReplyKind::kWrongCase:
      counters_.wrong_case.Add();
      return StartExchange(flight, Transport::kTcp, flight->query.edns, now, out);
    case ReplyKind::kTruncated:
      return StartExchange(flight, Transport::kTcp, flight->query.edns, now, out);
    case ReplyKind::kMalformed:
    case ReplyKind::kMismatch:
      counters_.malformed.Add();
      return TryNext(flight, now, out);
  }
}

void Forwarder::OnMismatch(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  counters_.mismatches.Add();
  if (flight->transport == Transport::kTcp) return TryNext(flight, now, out);
  if (++flight->mismatches < kMismatchesMax) return;
  StartExchange(flight, Transport::kTcp, flight->query.edns, now, out);
}

void Forwarder::OnAnswer(FlightAt flight, UpstreamAnswer answer, absl::Time now,
                         ForwarderOutput& out) {
  if (answer.rcode == Rcode::kNoError || answer.rcode == Rcode::kNxDomain) {
    cache_.Insert(flight->question, answer, now);
    return Finish(flight, std::move(answer), out);
  }
  if (MayDislikeEdns(answer.rcode) && flight->query.edns) {
    return StartExchange(flight, flight->transport, false, now, out);
  }
  TryNext(flight, now, out);
}

void Forwarder::OnFailure(uint64_t exchange, absl::Time now, ForwarderOutput& out) {
  const auto at = by_exchange_.find(exchange);
  if (at == by_exchange_.end()) return;
  const FlightAt flight = at->second;
  counters_.failures.Add();
  // An upstream that has no TCP may still be good over UDP.
  if (flight->transport == Transport::kUdp) upstreams_.NoteFailure(flight->upstream(), now);
  TryNext(flight, now, out);
}

absl::Time Forwarder::NextDeadline() const {
  return deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
}

void Forwarder::OnTime(absl::Time now, ForwarderOutput& out) {
  while (NextDeadline() <= now) {
    OnFlightTime(by_exchange_.find(deadlines_.begin()->second)->second, now, out);
  }
}

void Forwarder::OnFlightTime(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  if (now >= flight->stale_at) GiveStale(flight, now, out);
  if (now >= flight->exchange_ends) {
    counters_.timeouts.Add();
    if (flight->transport == Transport::kUdp) upstreams_.NoteFailure(flight->upstream(), now);
    return TryNext(flight, now, out);
  }
  if (now >= flight->resend_at) Resend(flight, out);
  SetWake(flight);
}

void Forwarder::GiveStale(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  flight->stale_at = absl::InfiniteFuture();
  UpstreamAnswer answer;
  if (flight->waiters.empty() || !cache_.FindStale(flight->question, now, answer)) return;
  // Who asks from now on gets it at once, until the upstreams have answered.
  cache_.InsertFailure(flight->question, now);
  out.deliveries.push_back({std::move(flight->waiters), std::move(answer)});
  flight->waiters.clear();
}

void Forwarder::Fail(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  counters_.unanswered.Add();
  UpstreamAnswer answer;
  answer.extended_error = {InfoCode::kNoReachableAuthority, "no recursor answered"};
  if (!flight->waiters.empty()) cache_.FindStale(flight->question, now, answer);
  cache_.InsertFailure(flight->question, now);
  Finish(flight, std::move(answer), out);
}

void Forwarder::DropOldest(absl::Time now, ForwarderOutput& out) {
  counters_.dropped.Add();
  const FlightAt oldest = flights_.begin();
  UpstreamAnswer answer;
  answer.extended_error = {InfoCode::kOther, "too many questions are under way"};
  if (!oldest->waiters.empty()) cache_.FindStale(oldest->question, now, answer);
  Finish(oldest, std::move(answer), out);
}

void Forwarder::Finish(FlightAt flight, UpstreamAnswer answer, ForwarderOutput& out) {
  EndExchange(flight, out);
  if (!flight->waiters.empty()) {
    out.deliveries.push_back({std::move(flight->waiters), std::move(answer)});
  }
  by_question_.erase(flight->question);
  flights_.erase(flight);
  counters_.in_flight.Set(flights_.size());
}

void Forwarder::Abandon(ForwarderOutput& out) {
  while (!flights_.empty()) Finish(flights_.begin(), UpstreamAnswer(), out);
}

}  // namespace pharos::dns
