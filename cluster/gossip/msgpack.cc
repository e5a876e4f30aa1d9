#include "cluster/gossip/msgpack.h"

#include <bit>
#include <limits>
#include <msgpack/pack.hpp>

namespace pharos::gossip {
namespace {

// What msgpack's packer writes to.
struct Appender {
  std::string& out;
  void write(const char* octets, size_t count) { out.append(octets, count); }
};

template <typename Pack>
void Append(std::string& out, Pack pack) {
  Appender appender{out};
  msgpack::packer<Appender> packer(appender);
  pack(packer);
}

}  // namespace

void PackRaw(std::string_view octets, std::string& out) {
  const auto size = static_cast<uint32_t>(octets.size());
  Append(out, [&](auto& packer) {
    packer.pack_v4raw(size);
    packer.pack_v4raw_body(octets.data(), size);
  });
}

void PackRawOrNil(std::string_view octets, std::string& out) {
  if (octets.empty()) return PackNil(out);
  PackRaw(octets, out);
}

void PackUint(uint64_t value, std::string& out) {
  Append(out, [&](auto& packer) { packer.pack_uint64(value); });
}

void PackInt(int64_t value, std::string& out) {
  Append(out, [&](auto& packer) { packer.pack_int64(value); });
}

void PackDouble(double value, std::string& out) {
  // Not pack_double, which writes whole numbers as integers.
  out.push_back(static_cast<char>(0xcb));
  const auto bits = std::bit_cast<uint64_t>(value);
  uint8_t octets[8];
  StoreU32(octets, static_cast<uint32_t>(bits >> 32));
  StoreU32(octets + 4, static_cast<uint32_t>(bits));
  out.append(AsText(octets));
}

void PackBool(bool value, std::string& out) {
  Append(out, [&](auto& packer) { value ? packer.pack_true() : packer.pack_false(); });
}

void PackNil(std::string& out) {
  Append(out, [](auto& packer) { packer.pack_nil(); });
}

void PackMap(size_t entries, std::string& out) {
  Append(out, [&](auto& packer) { packer.pack_map(static_cast<uint32_t>(entries)); });
}

void PackList(size_t entries, std::string& out) {
  Append(out, [&](auto& packer) { packer.pack_array(static_cast<uint32_t>(entries)); });
}

void MsgPackReader::Fail(bool cut_off) {
  failed_ = true;
  cut_off_ = cut_off;
}

Octets MsgPackReader::Take(size_t count) {
  if (failed_) return {};
  if (octets_.size() - offset_ < count) {
    Fail(true);
    return {};
  }
  offset_ += count;
  return octets_.subspan(offset_ - count, count);
}

uint8_t MsgPackReader::Head() {
  const Octets head = Take(1);
  return head.empty() ? uint8_t{0xc0} : head[0];
}

uint64_t MsgPackReader::BigEndian(size_t octets) {
  uint64_t value = 0;
  for (const uint8_t octet : Take(octets)) value = value << 8 | octet;
  return value;
}

uint64_t MsgPackReader::Uint(uint64_t max) {
  const uint8_t head = Head();
  uint64_t value = 0;
  if (head < 0x80) {
    value = head;
  } else if (head >= 0xcc && head <= 0xcf) {
    value = BigEndian(size_t{1} << (head - 0xcc));
  } else if (head >= 0xd0 && head <= 0xd3) {
    const size_t octets = size_t{1} << (head - 0xd0);
    value = BigEndian(octets);
    if ((value >> (8 * octets - 1)) != 0) Fail();
  } else if (head != 0xc0) {
    Fail();
  }
  if (value > max) Fail();
  return failed_ ? 0 : value;
}

int64_t MsgPackReader::Int() {
  if (remaining() > 0) {
    const uint8_t head = octets_[offset_];
    if (head >= 0xe0) return static_cast<int8_t>(Head());
    if (head >= 0xd0 && head <= 0xd3) {
      Head();
      const size_t octets = size_t{1} << (head - 0xd0);
      const uint64_t value = BigEndian(octets);
      const size_t unused = 64 - 8 * octets;
      return static_cast<int64_t>(value << unused) >> unused;
    }
  }
  return static_cast<int64_t>(Uint(std::numeric_limits<int64_t>::max()));
}

double MsgPackReader::Double() {
  if (remaining() > 0 && octets_[offset_] == 0xca) {
    Head();
    return std::bit_cast<float>(static_cast<uint32_t>(BigEndian(4)));
  }
  if (remaining() > 0 && octets_[offset_] == 0xcb) {
    Head();
    return std::bit_cast<double>(BigEndian(8));
  }
  return static_cast<double>(Int());
}

bool MsgPackReader::Bool() {
  const uint8_t head = Head();
  if (head != 0xc0 && head != 0xc2 && head != 0xc3) Fail();
  return head == 0xc3;
}

Octets MsgPackReader::RawOf(uint8_t head) {
  if (head >= 0xa0 && head <= 0xbf) return Take(head - 0xa0);
  if (head >= 0xc4 && head <= 0xc6) return Take(BigEndian(size_t{1} << (head - 0xc4)));
  if (head >= 0xd9 && head <= 0xdb) return Take(BigEndian(size_t{1} << (head - 0xd9)));
  if (head != 0xc0) Fail();
  return {};
}

Octets MsgPackReader::Raw() { return RawOf(Head()); }

std::string MsgPackReader::Text() {
  const uint8_t head = remaining() > 0 && ok() ? octets_[offset_] : uint8_t{0xc0};
  const bool list = (head >= 0x90 && head <= 0x9f) || head == 0xdc || head == 0xdd;
  if (!list) return std::string(AsText(Raw()));
  std::string octets;
  const size_t count = List();
  for (size_t i = 0; i < count && ok(); ++i) octets.push_back(static_cast<char>(Uint(0xff)));
  return octets;
}

size_t MsgPackReader::Entries(uint64_t count, size_t octets_each) {
  if (!failed_ && count > kEntriesMax) Fail();
  if (!failed_ && count > remaining() / octets_each) Fail(true);
  return failed_ ? 0 : static_cast<size_t>(count);
}

size_t MsgPackReader::Map() {
  const uint8_t head = Head();
  if (head >= 0x80 && head <= 0x8f) return Entries(head - 0x80, 2);
  if (head == 0xde || head == 0xdf) return Entries(BigEndian(head == 0xde ? 2 : 4), 2);
  if (head != 0xc0) Fail();
  return 0;
}

size_t MsgPackReader::List() {
  const uint8_t head = Head();
  if (head >= 0x90 && head <= 0x9f) return Entries(head - 0x90, 1);
  if (head == 0xdc || head == 0xdd) return Entries(BigEndian(head == 0xdc ? 2 : 4), 1);
  if (head != 0xc0) Fail();
  return 0;
}

bool MsgPackReader::TakeNil() {
  if (!ok() || remaining() == 0 || octets_[offset_] != 0xc0) return false;
  ++offset_;
  return true;
}

void MsgPackReader::SkipNested(int depth) {
  if (remaining() == 0) return Fail(true);
  if (depth == 0) return Fail();
  const uint8_t head = octets_[offset_];
  const bool map = (head >= 0x80 && head <= 0x8f) || head == 0xde || head == 0xdf;
  const bool list = (head >= 0x90 && head <= 0x9f) || head == 0xdc || head == 0xdd;
  if (map || list) {
    const size_t values = map ? 2 * Map() : List();
    for (size_t i = 0; i < values && ok(); ++i) SkipNested(depth - 1);
    return;
  }
  Head();
  if (head < 0x80 || head >= 0xe0 || head == 0xc0 || head == 0xc2 || head == 0xc3) return;
  if (head == 0xca || head == 0xcb) {
    Take(head == 0xca ? 4 : 8);
  } else if (head >= 0xcc && head <= 0xd3) {
    Take(size_t{1} << ((head - 0xcc) & 3));
  } else if (head >= 0xc7 && head <= 0xc9) {  // ext: a length, a type, octets.
    const uint64_t octets = BigEndian(size_t{1} << (head - 0xc7));
    Take(1);
    Take(octets);
  } else if (head >= 0xd4 && head <= 0xd8) {
    Take(1 + (size_t{1} << (head - 0xd4)));
  } else {
    RawOf(head);
  }
}

}  // namespace pharos::gossip
