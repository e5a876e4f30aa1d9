// Replies about outside names that were just given, to be given again as they are: whoever asks the
// very same within the same second gets the same octets, without a way through the cache of
// answers. A second, as TTLs count in seconds; so what is here can be no older than an answer from
// the cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/octets.h"
#include "dns/types.h"

namespace pharos::dns {

// One thread.
class RecentReplies {
 public:
  // A table where one reply takes the place of another, so this is all there ever is of them.
  static constexpr size_t kSlots = 2048;
  static constexpr size_t kRequestOctetsMax = 128;
  static constexpr size_t kReplyOctetsMax = 512;

  struct Found {
    size_t octets = 0;  // 0: there is none.
    RrType qtype = RrType::kA;
  };
  // Writes the reply to `request` if it was given within this second (any count that rises with
  // them), with the id and the letter case of this request.
  Found Find(Octets request, int64_t second, MutableOctets reply) const;
  // Remembers it. The request has no EDNS options, as those may be about the client; the reply
  // repeats its question. What is too large is not remembered.
  void Add(Octets request, size_t question_octets, Octets reply, int64_t second);
  void Clear() { slots_.clear(); }

 private:
  struct Slot {
    int64_t second = 0;
    uint16_t question_octets = 0;
    uint16_t reply_octets = 0;
    uint16_t request_octets = 0;
    // Behind the id, with its question in lower case.
    std::array<uint8_t, kRequestOctetsMax> request;
    std::array<uint8_t, kReplyOctetsMax> reply;
  };

  std::vector<Slot> slots_;  // Empty until something is remembered; then kSlots.
};

}  // namespace pharos::dns
