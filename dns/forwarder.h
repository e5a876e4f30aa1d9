// Asking the upstreams: which one, how often, over what, and what to make of the replies. A step
// machine: each call takes what happened and the time, and adds to an output what is to be done.
// Sockets, timers and clocks are UvResolver's. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/octets.h"
#include "base/tls_client.h"
#include "dns/answer_cache.h"
#include "dns/loop_detection.h"
#include "dns/resolver.h"
#include "dns/upstream_list.h"
#include "dns/upstream_message.h"

namespace pharos::dns {

// Clients rather have a stale answer now than a fresh one later (RFC 8767 section 5).
inline constexpr absl::Duration kStalePatience = absl::Milliseconds(1800);
// However many upstreams share the patience, each gets this long.
inline constexpr absl::Duration kUpstreamWaitMin = absl::Milliseconds(200);
// A datagram is sent again after a few round trips, at the earliest this late.
inline constexpr absl::Duration kResendAfterMin = absl::Milliseconds(200);
// So many replies that do not match look like somebody guessing: TCP is harder to guess.
inline constexpr int kMismatchesMax = 3;
// Questions under way at one time; one more drops the oldest, whose client has waited longest and
// is the likeliest to have gone.
inline constexpr size_t kInFlightMax = 4096;
// Clients that wait for one question; one more gets SERVFAIL.
inline constexpr size_t kWaitersMax = 1024;

struct ResolverOptions {
  std::vector<Upstream> upstreams;  // For names that are in no forward zone.
  std::vector<ForwardZone> forward_zones;
  absl::Duration upstream_timeout = absl::Seconds(2);
  // An answer or SERVFAIL leaves within this: clients such as dig give up after 5 s.
  absl::Duration deadline = absl::Milliseconds(4500);
  RecursorStrategy strategy = RecursorStrategy::kSequential;
  size_t cache_octets = size_t{16} << 20;
  TlsClientFiles tls;      // Whom upstreams by TLS are trusted by.
  std::string loop_token;  // As LoopProbe takes it; of the process, so that all threads know it.
};

struct ForwarderCounters {
  Counter queries;     // Messages to upstreams, those sent again too.
  Counter replies;     // Messages from upstreams that match their query.
  Counter timeouts;    // An upstream that gave no reply in its time.
  Counter failures;    // Refused connections and other errors of sockets.
  Counter mismatches;  // Messages that were no reply to our query: dropped.
  Counter wrong_case;  // Replies right but for letter case.
  Counter malformed;   // Replies that could not be read.
  Counter tcp;         // Queries that went over TCP.
  Counter tls;         // Queries that went over TLS.
  Counter loops;       // Questions of ours that came back to us.
  Counter coalesced;   // Questions that joined one under way.
  Counter dropped;     // Questions that got SERVFAIL at a bound.
  Counter unanswered;  // Questions that no upstream answered.
  Counter in_flight;   // As it stands now.
};

// What is to be done, in this order: close, send, deliver.
struct ForwarderOutput {
  // An exchange is one message and its reply: by UDP from some port of ours, on a TCP connection of
  // its own, or on the connection by TLS that all have in common. Its number is never used again
  // for another; the same number again means: send it once more from the same port.
  struct Send {
    uint64_t exchange = 0;
    Transport transport = Transport::kUdp;
    Upstream upstream;
    std::vector<uint8_t> message;  // Without TCP's length.
  };
  struct Delivery {
    std::vector<Resolver::Done> waiters;
    UpstreamAnswer answer;
  };
  std::vector<uint64_t> closes;
  std::vector<Send> sends;
  std::vector<Delivery> deliveries;
};

class Forwarder {
 public:
  // Fills octets with what nobody can guess (SecureRandom, but for tests).
  using FillRandom = std::function<void(MutableOctets)>;
  Forwarder(const ResolverOptions& options, FillRandom fill_random);

  // From the next question on; what is under way and what is cached stays.
  void Configure(const ResolverOptions& options);
  bool has_upstreams() const { return !upstreams_.empty(); }
  std::span<const UpstreamHandle> upstreams() const { return upstreams_.all(); }
  AnswerCache& cache() { return cache_; }

  void Ask(const UpstreamQuestion& question, absl::Time now, Resolver::Done done,
           ForwarderOutput& out);
  // A message came for an exchange, from `source`. Overwritten (see ReadUpstreamReply).
  void OnReply(uint64_t exchange, const SocketAddress& source, MutableOctets message,
               absl::Time now, ForwarderOutput& out);
  // An exchange came to nothing: refused, reset, closed early, or no socket was to be had.
  void OnFailure(uint64_t exchange, absl::Time now, ForwarderOutput& out);
  // It is NextDeadline() or later.
  void OnTime(absl::Time now, ForwarderOutput& out);
  // When OnTime wants to be called; infinite future when nothing is under way.
  absl::Time NextDeadline() const;
  // Everything under way ends with SERVFAIL.
  void Abandon(ForwarderOutput& out);

  size_t in_flight() const { return flights_.size(); }
  const ForwarderCounters& counters() const { return counters_; }
  const CacheCounters& cache_counters() const { return cache_.counters(); }

 private:
  // What a flight is for.
  enum class Purpose : uint8_t {
    kAnswer,     // A client, or the cache.
    kProbe,      // To see whether an upstream that was down answers again.
    kLoopProbe,  // To see whether an upstream asks us.
  };
  // A question under way. It has exactly one exchange at any time.
  struct Flight {
    UpstreamQuestion question;
    Purpose purpose = Purpose::kAnswer;
    std::vector<Resolver::Done> waiters;  // Empty for a prefetch and for probes.
    absl::Time give_up;
    absl::Time stale_at;  // When waiters get a stale answer, if there is one.
    std::vector<UpstreamHandle> plan;
    size_t plan_position = 0;
    absl::Duration upstream_wait;

    uint64_t exchange = 0;
    Transport transport = Transport::kUdp;
    UpstreamQuery query;
    std::vector<uint8_t> message;
    absl::Time sent;
    absl::Time resend_at;
    absl::Time exchange_ends;
    absl::Time wake;  // The earliest of all these times; where it is in deadlines_.
    int mismatches = 0;

    UpstreamHealth& upstream() const { return *plan[plan_position]; }
    bool tls() const { return upstream().upstream().tls; }
  };
  using FlightAt = std::list<Flight>::iterator;
  struct HashQuestion {
    size_t operator()(const UpstreamQuestion& question) const;
  };

  void Start(const UpstreamQuestion& question, Resolver::Done done, absl::Time now,
             ForwarderOutput& out);
  // Joins the flight of the same question.
  void Join(FlightAt flight, const UpstreamQuestion& question, Resolver::Done done,
            ForwarderOutput& out);
  FlightAt AddFlight(const UpstreamQuestion& question, Purpose purpose,
                     std::vector<UpstreamHandle> plan, absl::Time now);
  // Asks those that are not in the `plan` as they should be whether they are well again.
  void StartProbes(const UpstreamQuestion& question, std::span<const UpstreamHandle> plan,
                   absl::Time now, ForwarderOutput& out);
  void StartLoopProbe(UpstreamHandle upstream, absl::Time now, ForwarderOutput& out);
  // The flight's upstream did not do as it should: looks whether it asks us.
  void SuspectLoop(FlightAt flight, absl::Time now, ForwarderOutput& out);
  void OnLoopProbe(FlightAt flight, const UpstreamAnswer& answer, absl::Time now,
                   ForwarderOutput& out);
  void StartExchange(FlightAt flight, Transport transport, bool edns, absl::Time now,
                     ForwarderOutput& out);
  void EndExchange(FlightAt flight, ForwarderOutput& out);
  void Send(FlightAt flight, ForwarderOutput& out);
  void Resend(FlightAt flight, ForwarderOutput& out);
  void TryNext(FlightAt flight, absl::Time now, ForwarderOutput& out);
  void OnAnswer(FlightAt flight, UpstreamAnswer answer, absl::Time now, ForwarderOutput& out);
  void OnMismatch(FlightAt flight, absl::Time now, ForwarderOutput& out);
  void OnFlightTime(FlightAt flight, absl::Time now, ForwarderOutput& out);
  void Fail(FlightAt flight, absl::Time now, ForwarderOutput& out);
  void FailProbe(FlightAt flight, ForwarderOutput& out);
  void Finish(FlightAt flight, UpstreamAnswer answer, ForwarderOutput& out);
  void GiveStale(FlightAt flight, absl::Time now, ForwarderOutput& out);
  void NoteReply(FlightAt flight, absl::Time now);
  void NoteFailure(FlightAt flight, absl::Time now);
  void DropOldest(absl::Time now, ForwarderOutput& out);
  void SetWake(FlightAt flight);

  FillRandom fill_random_;
  absl::Duration upstream_timeout_, deadline_;
  LoopProbe loop_probe_;
  UpstreamList upstreams_;
  AnswerCache cache_;
  std::list<Flight> flights_;  // Oldest first.
  absl::flat_hash_map<UpstreamQuestion, FlightAt, HashQuestion> by_question_;
  absl::flat_hash_map<uint64_t, FlightAt> by_exchange_;
  std::set<std::pair<absl::Time, uint64_t>> deadlines_;  // Wake and exchange of every flight.
  uint64_t next_exchange_ = 1;
  ForwarderCounters counters_;
};

}  // namespace pharos::dns
