// Writes one reply: header, question, records, OPT. Writes straight into the caller's buffer,
// allocates nothing, and never past the limit: a record that does not fit leaves no trace.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/octets.h"
#include "dns/name.h"
#include "dns/query.h"
#include "dns/reply_frame.h"
#include "dns/types.h"

namespace pharos::dns {

// A record's type, class, TTL and RDLENGTH.
inline constexpr size_t kRecordFixedOctets = 10;

enum class Section : uint8_t { kAnswer, kAuthority, kAdditional };

// A name to be written as labels (wire form without a root label), then a suffix that may be known
// to stand elsewhere in the message already.
struct NameParts {
  Octets labels;
  Octets suffix;               // Wire form with the root label.
  uint16_t suffix_offset = 0;  // Where the suffix stands in the message; 0: nowhere.
  uint16_t whole_offset = 0;   // Where labels and suffix stand as one name; 0: nowhere.

  size_t WireOctets() const { return labels.size() + suffix.size(); }
};

class ReplyWriter {
 public:
  // `buffer` holds the message; `octets_max` (at most its size) is what a whole reply may have,
  // OPT included. The query is borrowed.
  ReplyWriter(const Query& query, MutableOctets buffer, size_t octets_max, bool compression);

  // Room left for records, with the OPT record that is still to come set aside.
  size_t Room() const;
  size_t offset() const { return writer_.offset(); }
  bool compression() const { return compression_; }
  const Query& query() const { return query_; }

  // Each writes one whole record of class IN or nothing (false: no room). The owner is the QNAME.
  bool AddAddress(Section section, const NameParts& owner, Octets address, uint32_t ttl_s);
  bool AddSrv(const NameParts& owner, uint32_t ttl_s, uint16_t weight, uint16_t port,
              const NameParts& target);
  // CNAME, NS or PTR: RDATA is one name, compressed when it can be.
  bool AddNameRecord(Section section, RrType type, const NameParts& owner, uint32_t ttl_s,
                     const NameParts& target);
  // RDATA as it stands.
  bool AddRecord(Section section, RrType type, const NameParts& owner, uint32_t ttl_s,
                 Octets rdata);

  // The QNAME as an owner: a pointer to the question, unless compression is off.
  NameParts QnameOwner() const;
  // The name that goes from an offset of the QNAME's wire form to its end.
  NameParts QnameSuffix(size_t wire_offset) const;

  // Where the target of the last SRV, NS, CNAME or PTR record begins, for later owners to point at;
  // 0 when no pointer reaches it.
  uint16_t last_target_offset() const { return last_target_offset_; }

  // How much is written so far; Rewind takes back all records since.
  struct Mark {
    size_t offset;
    std::array<uint16_t, 3> counts;
  };
  Mark mark() const { return {writer_.offset(), counts_}; }
  void Rewind(const Mark& mark);
  // Takes back all records.
  void Reset();
  size_t answer_count() const { return counts_[static_cast<size_t>(Section::kAnswer)]; }

  // What the reply's OPT record is to say besides (reply_frame.h); nothing when it has none.
  void SetError(const ExtendedError& error) { opt_.SetError(error); }
  void SetSubnetScope(uint8_t scope_bits) { opt_.SetSubnetScope(scope_bits); }

  // Completes the reply and returns its length. OPT is added when the query had one.
  size_t Finish(Rcode rcode, uint16_t flags);

 private:
  bool BeginRecord(RrType type, const NameParts& owner, uint32_t ttl_s);
  bool EndRecord(Section section, size_t record_offset, size_t rdata_offset);
  void WriteName(const NameParts& name, bool compress);

  const Query& query_;
  ReplyOpt opt_;
  ByteWriter writer_;
  bool compression_;
  size_t records_offset_;  // Where the first record goes.
  uint16_t last_target_offset_ = 0;
  std::array<uint16_t, 3> counts_{};
};

}  // namespace pharos::dns
