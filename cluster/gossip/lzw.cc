#include "cluster/gossip/lzw.h"

#include <array>
#include <vector>

#include "absl/strings/str_format.h"

namespace pharos::gossip {
namespace {

constexpr uint32_t kClear = 256, kEnd = 257;
constexpr int kFirstWidth = 9, kLastWidth = 12;
constexpr uint32_t kTableSize = 1 << kLastWidth;

class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}
  void Put(uint32_t code, int width) {
    bits_ |= code << count_;
    count_ += width;
    for (; count_ >= 8; count_ -= 8, bits_ >>= 8) out_.push_back(static_cast<char>(bits_));
  }
  void Flush() {
    if (count_ > 0) out_.push_back(static_cast<char>(bits_));
  }

 private:
  std::string& out_;
  uint32_t bits_ = 0;
  int count_ = 0;
};

// The codes of pairs (code so far, next octet), by hashing with open addressing.
class PairTable {
 public:
  void Clear() { slots_.fill(0); }
  // The code of the pair, or 0.
  uint32_t Find(uint32_t prefix, uint8_t octet) const {
    for (uint32_t at = Hash(prefix, octet);; at = (at + 1) % kSlots) {
      if (slots_[at] == 0) return 0;
      if (slots_[at] >> 12 == Key(prefix, octet)) return slots_[at] & 0xfff;
    }
  }
  void Insert(uint32_t prefix, uint8_t octet, uint32_t code) {
    uint32_t at = Hash(prefix, octet);
    while (slots_[at] != 0) at = (at + 1) % kSlots;
    slots_[at] = Key(prefix, octet) << 12 | code;
  }

 private:
  static constexpr uint32_t kSlots = 2 * kTableSize;
  static uint32_t Key(uint32_t prefix, uint8_t octet) { return prefix << 8 | octet; }
  static uint32_t Hash(uint32_t prefix, uint8_t octet) {
    return (Key(prefix, octet) * 0x9e3779b1u >> 16) % kSlots;
  }
  std::array<uint32_t, kSlots> slots_{};  // Key and code; 0 is free, as codes begin at 258.
};

}  // namespace

std::string LzwCompress(Octets plain, bool initial_clear) {
  std::string out;
  BitWriter writer(out);
  PairTable table;
  int width = kFirstWidth;
  uint32_t highest = kEnd;
  if (initial_clear) writer.Put(kClear, width);
  // Accounts for a code that was written; true when that emptied the table.
  const auto advance = [&] {
    ++highest;
    if (highest == uint32_t{1} << width) ++width;
    if (highest != kTableSize - 1) return false;
    writer.Put(kClear, width);
    width = kFirstWidth;
    highest = kEnd;
    table.Clear();
    return true;
  };
  if (!plain.empty()) {
    uint32_t code = plain[0];
    for (const uint8_t octet : plain.subspan(1)) {
      if (const uint32_t longer = table.Find(code, octet); longer != 0) {
        code = longer;
        continue;
      }
      writer.Put(code, width);
      if (!advance()) table.Insert(code, octet, highest);
      code = octet;
    }
    writer.Put(code, width);
    advance();
  }
  writer.Put(kEnd, width);
  writer.Flush();
  return out;
}

absl::StatusOr<std::string> LzwDecompress(Octets compressed, size_t octets_max) {
  struct Entry {
    uint16_t prefix = 0;
    uint8_t last = 0;
    uint8_t first = 0;
  };
  constexpr uint32_t kNone = kTableSize;
  std::vector<Entry> table(kTableSize);
  for (uint32_t i = 0; i < kClear; ++i) {
    table[i].last = table[i].first = static_cast<uint8_t>(i);
  }
  std::string plain, reversed;
  uint32_t bits = 0, highest = kEnd, previous = kNone;
  int count = 0, width = kFirstWidth;
  size_t at = 0;
  while (true) {
    for (; count < width; count += 8) {
      if (at == compressed.size()) return absl::InvalidArgumentError("LZW: cut off");
      bits |= uint32_t{compressed[at++]} << count;
    }
    const uint32_t code = bits & ((1u << width) - 1);
    bits >>= width;
    count -= width;
    if (code == kClear) {
      width = kFirstWidth;
      highest = kEnd;
      previous = kNone;
      continue;
    }
    if (code == kEnd) return plain;
    // A code may be the one that it defines itself: the string before with its own first octet.
    const bool itself = code == highest && previous != kNone;
    const bool full = highest == kTableSize - 1 && previous == kNone;
    if (code > highest || (code == highest && !itself && !full)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("LZW: code %d where the table ends at %d", code, highest));
    }
    const uint8_t first = itself ? table[previous].first : table[code].first;
    if (previous != kNone) {
      table[highest] = {static_cast<uint16_t>(previous), first, table[previous].first};
    }
    reversed.clear();
    uint32_t part = code;
    for (; part > kEnd; part = table[part].prefix) {
      reversed.push_back(static_cast<char>(table[part].last));
    }
    reversed.push_back(static_cast<char>(table[part].last));
    if (plain.size() + reversed.size() > octets_max) {
      return absl::InvalidArgumentError(
          absl::StrFormat("LZW: more than %d octets, the most that is taken", octets_max));
    }
    plain.append(reversed.rbegin(), reversed.rend());
    previous = code;
    ++highest;
    if (highest == uint32_t{1} << width) {
      if (width == kLastWidth) {
        previous = kNone;
        --highest;
      } else {
        ++width;
      }
    }
  }
}

}  // namespace pharos::gossip
