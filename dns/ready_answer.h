// The short way for the questions that are asked most: A and SRV of services whose records are
// ready-made (registry/ready_records.h), many queries at a time. It looks up a whole batch in
// stages, so that the waits for memory overlap, and copies what is ready into the replies. What it
// does not take goes the way of HandleQuery, which alone says what an answer is: a reply from here
// is octet for octet what HandleQuery would write with the same random numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/octets.h"
#include "base/random.h"
#include "dns/answer.h"
#include "dns/answer_config.h"
#include "dns/answer_limits.h"
#include "dns/types.h"
#include "registry/snapshot.h"

namespace pharos::dns {

class ReadyAnswers {
 public:
  static constexpr size_t kBatchMax = 64;
  // Longer names go the other way.
  static constexpr size_t kQnameOctetsMax = 96;

  // Borrows the configuration until the next call.
  void SetConfig(const AnswerConfig& config);

  // Reads the messages (at most kBatchMax, the rest is left out), and finds what they ask for. Both
  // are borrowed until Answer was called for the last of them.
  void LookAhead(std::span<const Octets> requests, Transport transport,
                 const registry::Snapshot& snapshot);

  // Writes the reply to the `i`-th of those messages into `reply` (room for the largest message of
  // the transport) and returns its length; 0: HandleQuery is to answer it, and nothing was drawn
  // from `random`.
  size_t Answer(size_t i, Random& random, AnswerScratch& scratch, MutableOctets reply) const;
  // What the message asks for, where Answer gave a reply.
  RrType qtype(size_t i) const { return slots_[i].qtype; }

 private:
  // The end of names of services: `service[.<dc>[.dc]].<zone>` in wire form.
  struct Suffix {
    std::vector<uint8_t> wire;
    const Zone* zone;
  };
  // A message and what was found for it.
  struct Slot {
    Octets request;
    const Suffix* suffix;  // Null: not to be answered here.
    const registry::ServiceEntry* entry;
    registry::Snapshot::ServiceCursor service;
    ReplyLimits limits;
    RrType qtype;
    uint16_t question_octets;
    bool edns;
    bool dnssec_ok;
    // Where the service's name and the tag stand in `lower`; no octets of a tag: any.
    uint8_t name_at, name_octets, tag_at, tag_octets;
    std::array<uint8_t, kQnameOctetsMax> lower;  // The QNAME in lower case.

    std::string_view name() const { return AsText(Octets(lower).subspan(name_at, name_octets)); }
    std::string_view tag() const { return AsText(Octets(lower).subspan(tag_at, tag_octets)); }
  };

  void AddSuffix(const Zone& zone, const std::vector<std::string_view>& labels);
  bool Read(Octets request, Slot& slot) const;
  bool ReadName(Slot& slot, size_t qname_octets, std::span<const uint8_t> label_offsets) const;
  const Suffix* FindSuffix(Octets lower) const;
  size_t AnswerAddresses(const Slot& slot, const registry::RecordSet& records, Random& random,
                         AnswerScratch& scratch, MutableOctets reply) const;
  size_t AnswerSrv(const Slot& slot, const registry::RecordSet& records, Random& random,
                   AnswerScratch& scratch, MutableOctets reply) const;
  // What is left of a reply for records, after header, question and OPT.
  static size_t Room(const Slot& slot);
  // Completes a reply whose records end at `end`; returns its length.
  size_t Finish(const Slot& slot, bool cut, size_t answers, size_t additional, uint8_t* end,
                MutableOctets reply) const;

  const AnswerConfig* config_ = nullptr;
  // Empty where the configuration asks for something that is not done here.
  std::vector<Suffix> suffixes_;
  Transport transport_ = Transport::kUdp;
  size_t count_ = 0;
  std::array<Slot, kBatchMax> slots_;
};

}  // namespace pharos::dns
