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

// Probes leave room for questions.
constexpr size_t kProbesInFlightMax = kInFlightMax / 2;

// A zone transfer is many messages, and nothing a recursor serves.
bool IsTransfer(RrType type) { return type == RrType::kAxfr || type == RrType::kIxfr; }

Transport FirstTransport(bool tls) { return tls ? Transport::kTcp : Transport::kUdp; }

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
      deadline_(options.deadline),
      loop_probe_(options.loop_token),
      upstreams_(Seed(fill_random_)),
      cache_(options.cache_octets) {
  upstreams_.Set(options.upstreams, options.forward_zones, options.strategy);
}

void Forwarder::Configure(const ResolverOptions& options) {
  upstream_timeout_ = options.upstream_timeout;
  deadline_ = options.deadline;
  loop_probe_ = LoopProbe(options.loop_token);
  upstreams_.Set(options.upstreams, options.forward_zones, options.strategy);
  // Without probes nobody would find out that a circle has ended.
  if (!loop_probe_.enabled()) {
    for (const UpstreamHandle& upstream : upstreams_.all()) upstream->NoteLoop(false);
  }
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
    const bool prefetch = cached == CacheResult::kPrefetch && flights_.size() < kInFlightMax &&
                          !by_question_.contains(question);
    if (prefetch) Start(question, nullptr, now, out);
    return;
  }
  if (const auto same = by_question_.find(question); same != by_question_.end()) {
    return Join(same->second, question, std::move(done), out);
  }
  if (loop_probe_.IsOwn(question)) {
    return DeliverTo(std::move(done), loop_probe_.MakeAnswer(question), out);
  }
  if (flights_.size() >= kInFlightMax) DropOldest(now, out);
  Start(question, std::move(done), now, out);
}

void Forwarder::Join(FlightAt flight, const UpstreamQuestion& question, Resolver::Done done,
                     ForwarderOutput& out) {
  if (IsOwnSpelling(flight->query.spelled, question.qname)) {
    // It would wait for itself. SERVFAIL goes back the way it came, so that each of the circle may
    // ask somebody else.
    counters_.loops.Add();
    UpstreamAnswer answer;
    answer.extended_error = {InfoCode::kOther, "the question came back to where it was asked"};
    return DeliverTo(std::move(done), std::move(answer), out);
  }
  if (flight->waiters.size() < kWaitersMax) {
    counters_.coalesced.Add();
    flight->waiters.push_back(std::move(done));
    return;
  }
  counters_.dropped.Add();
  DeliverTo(std::move(done), UpstreamAnswer(), out);
}

Forwarder::FlightAt Forwarder::AddFlight(const UpstreamQuestion& question, Purpose purpose,
                                         std::vector<UpstreamHandle> plan, absl::Time now) {
  const FlightAt flight = flights_.emplace(flights_.end());
  flight->question = question;
  flight->purpose = purpose;
  flight->plan = std::move(plan);
  flight->give_up = now + deadline_;
  flight->stale_at = absl::InfiniteFuture();
  // Those that are down have no share, as it is known how waiting for them would end.
  const auto up = std::ranges::count_if(
      flight->plan, [](const UpstreamHandle& upstream) { return !upstream->down(); });
  const int64_t sharing = up > 0 ? up : static_cast<int64_t>(flight->plan.size());
  flight->upstream_wait =
      std::max(std::min(upstream_timeout_, deadline_ / sharing), kUpstreamWaitMin);
  counters_.in_flight.Set(flights_.size());
  return flight;
}

void Forwarder::Start(const UpstreamQuestion& question, Resolver::Done done, absl::Time now,
                      ForwarderOutput& out) {
  std::vector<UpstreamHandle> plan = upstreams_.Plan(question.qname);
  StartProbes(question, plan, now, out);
  if (plan.empty()) {
    if (done == nullptr) return;
    UpstreamAnswer answer;
    answer.extended_error = {InfoCode::kNoReachableAuthority, "there is no recursor to ask"};
    cache_.FindStale(question, now, answer);
    return DeliverTo(std::move(done), std::move(answer), out);
  }
  const bool all_down = plan.front()->down();
  const FlightAt flight = AddFlight(question, Purpose::kAnswer, std::move(plan), now);
  if (done) flight->waiters.push_back(std::move(done));
  by_question_[question] = flight;
  StartExchange(flight, FirstTransport(flight->tls()), true, now, out);
  // Where nobody has answered for a while, nobody is waited for.
  if (all_down) GiveStale(flight, now, out);
  if (flight->waiters.empty()) return;
  flight->stale_at = now + kStalePatience;
  SetWake(flight);
}

void Forwarder::StartProbes(const UpstreamQuestion& question, std::span<const UpstreamHandle> plan,
                            absl::Time now, ForwarderOutput& out) {
  if (UpstreamHandle looping = upstreams_.TakeLoopProbe(question.qname, now)) {
    StartLoopProbe(std::move(looping), now, out);
  }
  // Where all are down, the question itself tries them.
  if (plan.empty() || plan.front()->down() || !plan.back()->down()) return;
  if (flights_.size() >= kProbesInFlightMax) return;
  UpstreamHandle due = upstreams_.TakeProbe(question.qname, now);
  if (due == nullptr) return;
  const FlightAt probe = AddFlight(question, Purpose::kProbe, {std::move(due)}, now);
  StartExchange(probe, FirstTransport(probe->tls()), true, now, out);
}

void Forwarder::StartLoopProbe(UpstreamHandle upstream, absl::Time now, ForwarderOutput& out) {
  if (flights_.size() >= kProbesInFlightMax) return;
  std::array<uint8_t, LoopProbe::kNonceOctets> nonce;
  fill_random_(nonce);
  const FlightAt probe =
      AddFlight(loop_probe_.MakeQuestion(nonce), Purpose::kLoopProbe, {std::move(upstream)}, now);
  StartExchange(probe, FirstTransport(probe->tls()), true, now, out);
}

void Forwarder::SuspectLoop(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  if (!loop_probe_.enabled() || flight->purpose != Purpose::kAnswer) return;
  if (flight->upstream().TakeLoopProbe(now)) {
    StartLoopProbe(flight->plan[flight->plan_position], now, out);
  }
}

void Forwarder::OnLoopProbe(FlightAt flight, const UpstreamAnswer& answer, absl::Time now,
                            ForwarderOutput& out) {
  const bool looping = loop_probe_.IsOwnAnswer(answer);
  const UpstreamHandle upstream = flight->plan.front();
  upstream->NoteLoop(looping);
  Finish(flight, UpstreamAnswer(), out);
  if (!looping) return;
  counters_.loops.Add();
  // What waits for it waits for itself.
  std::vector<FlightAt> caught;
  for (FlightAt at = flights_.begin(); at != flights_.end(); ++at) {
    if (at->plan[at->plan_position] == upstream) caught.push_back(at);
  }
  for (const FlightAt at : caught) TryNext(at, now, out);
}

void Forwarder::StartExchange(FlightAt flight, Transport transport, bool edns, absl::Time now,
                              ForwarderOutput& out) {
  EndExchange(flight, out);
  QuerySecret secret;
  fill_random_(secret.id);
  fill_random_(secret.letter_case);
  flight->query = MakeUpstreamQuery(flight->question, secret, edns);
  flight->query.padded = flight->tls();
  flight->message.resize(kUpstreamQueryOctetsMax);
  flight->message.resize(WriteUpstreamQuery(flight->query, flight->message));

  flight->exchange = next_exchange_++;
  flight->transport = transport;
  flight->mismatches = 0;
  flight->sent = now;
  flight->exchange_ends = std::min(now + flight->upstream_wait, flight->give_up);
  flight->resend_at = absl::InfiniteFuture();
  if (transport == Transport::kUdp) {
    const absl::Duration round_trip = flight->upstream().RoundTrip();
    const absl::Duration half = flight->upstream_wait / 2;
    const bool known = round_trip > absl::ZeroDuration();
    flight->resend_at =
        now + (known ? std::min(std::max(round_trip * 4, kResendAfterMin), half) : half);
  } else {
    (flight->tls() ? counters_.tls : counters_.tcp).Add();
  }
  by_exchange_[flight->exchange] = flight;
  flight->wake = absl::InfiniteFuture();
  SetWake(flight);
  Send(flight, out);
}

void Forwarder::Send(FlightAt flight, ForwarderOutput& out) {
  counters_.queries.Add();
  flight->upstream().NoteQuery();
  out.sends.push_back(
      {flight->exchange, flight->transport, flight->upstream().upstream(), flight->message});
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
  Send(flight, out);
}

void Forwarder::TryNext(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  const size_t count = flight->plan.size();
  do {
    ++flight->plan_position;
  } while (flight->plan_position < count && flight->plan[flight->plan_position]->looping());
  if (flight->plan_position == count || now >= flight->give_up) {
    return Fail(flight, now, out);
  }
  StartExchange(flight, FirstTransport(flight->tls()), true, now, out);
}

void Forwarder::OnReply(uint64_t exchange, const SocketAddress& source, MutableOctets message,
                        absl::Time now, ForwarderOutput& out) {
  const auto at = by_exchange_.find(exchange);
  if (at == by_exchange_.end()) return;
  const FlightAt flight = at->second;
  UpstreamAnswer answer;
  const ReplyKind kind = source == flight->upstream().upstream().address
                             ? ReadUpstreamReply(flight->query, flight->transport, message, answer)
                             : ReplyKind::kMismatch;
  if (kind == ReplyKind::kMismatch) return OnMismatch(flight, now, out);
  counters_.replies.Add();
  NoteReply(flight, now);
  if (flight->purpose == Purpose::kProbe) return Finish(flight, UpstreamAnswer(), out);
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

void Forwarder::NoteReply(FlightAt flight, absl::Time now) {
  // An upstream that has no TCP may still be good over UDP, so neither failures nor replies over
  // TCP count.
  if (flight->transport == Transport::kTcp && !flight->tls()) return;
  const bool resent =
      flight->transport == Transport::kUdp && flight->resend_at == absl::InfiniteFuture();
  flight->upstream().NoteReply(resent ? std::nullopt : std::optional(now - flight->sent));
}

void Forwarder::NoteFailure(FlightAt flight, absl::Time now) {
  if (flight->transport == Transport::kTcp && !flight->tls()) return;
  flight->upstream().NoteFailure(now);
}

void Forwarder::OnMismatch(FlightAt flight, absl::Time now, ForwarderOutput& out) {
  counters_.mismatches.Add();
  if (flight->transport == Transport::kTcp) return TryNext(flight, now, out);
  if (++flight->mismatches < kMismatchesMax) return;
  StartExchange(flight, Transport::kTcp, flight->query.edns, now, out);
}

void Forwarder::OnAnswer(FlightAt flight, UpstreamAnswer answer, absl::Time now,
                         ForwarderOutput& out) {
  if (flight->purpose == Purpose::kLoopProbe) return OnLoopProbe(flight, answer, now, out);
  if (answer.rcode == Rcode::kNoError || answer.rcode == Rcode::kNxDomain) {
    cache_.Insert(flight->question, answer, now);
    return Finish(flight, std::move(answer), out);
  }
  if (MayDislikeEdns(answer.rcode) && flight->query.edns) {
    return StartExchange(flight, flight->transport, false, now, out);
  }
  SuspectLoop(flight, now, out);
  TryNext(flight, now, out);
}

void Forwarder::OnFailure(uint64_t exchange, absl::Time now, ForwarderOutput& out) {
  const auto at = by_exchange_.find(exchange);
  if (at == by_exchange_.end()) return;
  const FlightAt flight = at->second;
  counters_.failures.Add();
  NoteFailure(flight, now);
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
    NoteFailure(flight, now);
    SuspectLoop(flight, now, out);
    return TryNext(flight, now, out);
  }
  if (now >= flight->resend_at) {
    SuspectLoop(flight, now, out);
    Resend(flight, out);
  }
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
  if (flight->purpose != Purpose::kAnswer) return FailProbe(flight, out);
  counters_.unanswered.Add();
  UpstreamAnswer answer;
  answer.extended_error = {InfoCode::kNoReachableAuthority, "no recursor answered"};
  if (!flight->waiters.empty()) cache_.FindStale(flight->question, now, answer);
  cache_.InsertFailure(flight->question, now);
  Finish(flight, std::move(answer), out);
}

void Forwarder::FailProbe(FlightAt flight, ForwarderOutput& out) {
  // One that no longer answers does not lead back to us.
  if (flight->purpose == Purpose::kLoopProbe) flight->plan.front()->NoteLoop(false);
  Finish(flight, UpstreamAnswer(), out);
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
  if (flight->purpose == Purpose::kAnswer) by_question_.erase(flight->question);
  flights_.erase(flight);
  counters_.in_flight.Set(flights_.size());
}

void Forwarder::Abandon(ForwarderOutput& out) {
  while (!flights_.empty()) Finish(flights_.begin(), UpstreamAnswer(), out);
}

}  // namespace pharos::dns
