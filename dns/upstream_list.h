// The recursors in the order to ask them, with what is remembered of how each one did.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/random.h"

namespace pharos::dns {

enum class RecursorStrategy : uint8_t {
  kSequential,  // In the order configured.
  kRandom,      // In a new order for each question.
};

class UpstreamList {
 public:
  // An upstream that gave no answer this often in a row is asked last,
  static constexpr int kFailuresToAvoid = 3;
  // for this long; then one question tries it in its usual place.
  static constexpr absl::Duration kAvoidFor = absl::Seconds(15);

  explicit UpstreamList(uint64_t seed) : random_(seed) {}

  // Replaces the list. Of those that stay, what is known stays too.
  void Set(std::span<const SocketAddress> addresses, RecursorStrategy strategy);
  bool empty() const { return upstreams_.empty(); }

  // Every upstream once, in the order to ask them for one question.
  std::vector<SocketAddress> Plan(absl::Time now);

  // How asking one went. Addresses that are not (or no longer) in the list are ignored.
  void NoteReply(const SocketAddress& address, absl::Duration round_trip);
  void NoteFailure(const SocketAddress& address, absl::Time now);
  // Smoothed as in RFC 6298; zero while unknown.
  absl::Duration RoundTrip(const SocketAddress& address) const;

 private:
  struct Upstream {
    SocketAddress address;
    int failures_in_row = 0;
    absl::Time avoid_until = absl::InfinitePast();
    absl::Duration round_trip = absl::ZeroDuration();
  };
  Upstream* Find(const SocketAddress& address);

  std::vector<Upstream> upstreams_;
  RecursorStrategy strategy_ = RecursorStrategy::kSequential;
  Random random_;
};

}  // namespace pharos::dns
