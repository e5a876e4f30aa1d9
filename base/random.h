// Random numbers. `Random` is a small fast generator for choices whose quality matters and whose
// secrecy does not (which instances an answer shows); it repeats exactly from its seed, so a test
// prints the seed. Ids, ports and keys that an attacker must not guess come from SecureRandom.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/numeric/int128.h"
#include "base/octets.h"

namespace pharos {

// xoshiro256** by Blackman and Vigna (2018), seeded by SplitMix64. One thread.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  uint64_t Next() {
    const uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound); bound is at least 1. The bias is below bound / 2^32 (Lemire 2019).
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(((Next() >> 32) * bound) >> 32); }

  // The same for draws one after the other, several of which come from one number: what a draw
  // leaves of it is as good for the next (Brackett-Rozinsky and Lemire 2024). The bias of each is
  // below 2^-32.
  class Draws {
   public:
    explicit Draws(Random& random) : random_(random) {}
    uint32_t Below(uint32_t bound) {
      used_ *= bound;
      if (used_ >> 32 != 0) {
        left_ = random_.Next();
        used_ = bound;
      }
      const absl::uint128 product = absl::uint128(left_) * bound;
      left_ = absl::Uint128Low64(product);
      return static_cast<uint32_t>(absl::Uint128High64(product));
    }

   private:
    Random& random_;
    uint64_t left_ = 0;
    uint64_t used_ = uint64_t{1} << 32;  // The product of the bounds; that of the next is too much.
  };

 private:
  static uint64_t Rotate(uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }

  uint64_t state_[4];
};

// Fills `target` from the kernel's generator (getrandom(2)); aborts if the kernel has none.
void SecureRandom(MutableOctets target);
uint64_t SecureRandomU64();

// The same where little is wanted often: takes it from the kernel by the kilobyte, and forgets what
// it has given. One thread.
class SecureRandomBuffer {
 public:
  void Fill(MutableOctets target);

 private:
  std::array<uint8_t, 1024> octets_;
  size_t used_ = sizeof octets_;
};

// A random (version 4) UUID in its usual 36 characters (RFC 9562 section 5.4).
std::string NewUuid();

}  // namespace pharos
