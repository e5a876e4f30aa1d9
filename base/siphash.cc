#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace pharos {
namespace {

uint64_t LoadLittleEndian(const uint8_t* at, size_t octets) {
  uint64_t value = 0;
  for (size_t i = 0; i < octets; ++i) value |= uint64_t{at[i]} << (8 * i);
  return value;
}

// A whole word, which every compiler we use makes one load of where the machine is little-endian.
uint64_t LoadWord(const uint8_t* at) {
  if constexpr (std::endian::native != std::endian::little) return LoadLittleEndian(at, 8);
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The four words that the hash mixes.
class State {
 public:
  State(uint64_t k0, uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575),
        v1_(k1 ^ 0x646f72616e646f6d),
        v2_(k0 ^ 0x6c7967656e657261),
        v3_(k1 ^ 0x7465646279746573) {}

  void Compress(uint64_t word) {
    v3_ ^= word;
    Round();
    Round();
    v0_ ^= word;
  }

  uint64_t Finish() {
    v2_ ^= 0xff;
    for (int i = 0; i < 4; ++i) Round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void Round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace

uint64_t SipHash24(const SipHashKey& key, Octets message) {
  State state(LoadWord(key.data()), LoadWord(key.data() + 8));
  const size_t whole = message.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) state.Compress(LoadWord(&message[at]));
  // The last word: what is left, and the message's length in its top octet.
  const uint64_t rest = LoadLittleEndian(message.data() + whole, message.size() - whole);
  state.Compress(rest | uint64_t{message.size() & 0xff} << 56);
  return state.Finish();
}

}  // namespace pharos
