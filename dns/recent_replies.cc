#include "dns/recent_replies.h"

#include <algorithm>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "dns/name.h"

namespace pharos::dns {
namespace {

constexpr size_t kIdOctets = 2;

struct Key {
  std::array<uint8_t, RecentReplies::kRequestOctetsMax> octets;
  size_t size;

  // Everything but the id. Lengths, types and the like are not letters, or if they are, two
  // requests that differ in them would be malformed or another question in both spellings; so the
  // question is all that is lowered.
  Key(Octets request, size_t question_end) : size(request.size() - kIdOctets) {
    std::memcpy(octets.data(), request.data() + kIdOctets, size);
    // Without type and class, which are no text.
    const size_t name_end = question_end - 4 - kIdOctets;
    for (size_t i = kHeaderOctets - kIdOctets; i < name_end; ++i) octets[i] = LowerOctet(octets[i]);
  }
  Octets view() const { return Octets(octets).first(size); }
  size_t slot() const {
    const absl::string_view text(reinterpret_cast<const char*>(octets.data()), size);
    return absl::HashOf(text) % RecentReplies::kSlots;
  }
};

// Where the first question ends; 0 if the message has none that is plain.
size_t QuestionEnd(Octets request) {
  size_t at = kHeaderOctets;
  while (at < request.size() && request[at] != 0) {
    if (request[at] > kLabelOctetsMax) return 0;
    at += request[at] + size_t{1};
  }
  return at + 5 <= request.size() ? at + 5 : 0;
}

bool IsSmall(Octets request) {
  return request.size() > kHeaderOctets && request.size() <= RecentReplies::kRequestOctetsMax;
}

}  // namespace

RecentReplies::Found RecentReplies::Find(Octets request, int64_t second,
                                         MutableOctets reply) const {
  if (slots_.empty() || !IsSmall(request)) return {};
  const size_t question_end = QuestionEnd(request);
  if (question_end == 0) return {};
  const Key key(request, question_end);
  const Slot& slot = slots_[key.slot()];
  if (slot.second != second ||
      !std::ranges::equal(key.view(), Octets(slot.request).first(slot.request_octets))) {
    return {};
  }
  std::memcpy(reply.data(), slot.reply.data(), slot.reply_octets);
  std::memcpy(reply.data(), request.data(), kIdOctets);
  std::memcpy(&reply[kHeaderOctets], &request[kHeaderOctets], slot.question_octets);
  return {slot.reply_octets, static_cast<RrType>(LoadU16(&request[question_end - 4]))};
}

void RecentReplies::Add(Octets request, size_t question_octets, Octets reply, int64_t second) {
  if (!IsSmall(request) || reply.size() > kReplyOctetsMax) return;
  const size_t question_end = QuestionEnd(request);
  if (question_end == 0 || question_end != kHeaderOctets + question_octets) return;
  if (slots_.empty()) slots_.resize(kSlots);
  const Key key(request, question_end);
  Slot& slot = slots_[key.slot()];
  slot.second = second;
  slot.question_octets = static_cast<uint16_t>(question_octets);
  slot.reply_octets = static_cast<uint16_t>(reply.size());
  slot.request_octets = static_cast<uint16_t>(key.size);
  std::memcpy(slot.request.data(), key.octets.data(), key.size);
  std::memcpy(slot.reply.data(), reply.data(), reply.size());
}

}  // namespace pharos::dns
