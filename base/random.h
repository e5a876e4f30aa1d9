// Random numbers. `Random` is a small fast generator for choices whose quality matters and whose
// secrecy does not (which instances an answer shows); it repeats exactly from its seed, so a test
// prints the seed. Ids, ports and keys that an attacker must not guess come from SecureRandom.
#pragma once

#include <cstdint>
#include <string>

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

 private:
  static uint64_t Rotate(uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }

  uint64_t state_[4];
};

// Fills `target` from the kernel's generator (getrandom(2)); aborts if the kernel has none.
void SecureRandom(MutableOctets target);
uint64_t SecureRandomU64();

// A random (version 4) UUID in its usual 36 characters (RFC 9562 section 5.4).
std::string NewUuid();

}  // namespace pharos
