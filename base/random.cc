#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "base/check.h"

namespace pharos {

void SecureRandom(MutableOctets target) {
  size_t filled = 0;
  while (filled < target.size()) {
    const ssize_t got = getrandom(target.data() + filled, target.size() - filled, 0);
    if (got < 0) {
      CHECK(errno == EINTR);
      continue;
    }
    filled += static_cast<size_t>(got);
  }
}

uint64_t SecureRandomU64() {
  std::array<uint8_t, 8> octets;
  SecureRandom(octets);
  uint64_t value;
  std::memcpy(&value, octets.data(), sizeof value);
  return value;
}

void SecureRandomBuffer::Fill(MutableOctets target) {
  if (target.size() > octets_.size()) return SecureRandom(target);
  if (octets_.size() - used_ < target.size()) {
    SecureRandom(octets_);
    used_ = 0;
  }
  const MutableOctets given = MutableOctets(octets_).subspan(used_, target.size());
  std::ranges::copy(given, target.begin());
  std::ranges::fill(given, 0);
  used_ += target.size();
}

std::string NewUuid() {
  std::array<uint8_t, 16> octets;
  SecureRandom(octets);
  octets[6] = static_cast<uint8_t>((octets[6] & 0x0f) | 0x40);
  octets[8] = static_cast<uint8_t>((octets[8] & 0x3f) | 0x80);
  std::string text = absl::BytesToHexString(std::string(AsText(octets)));
  for (const size_t at : {8, 13, 18, 23}) text.insert(at, 1, '-');
  return text;
}

}  // namespace pharos
