#include "base/siphash.h"

#include <gtest/gtest.h>

#include <vector>

namespace pharos {
namespace {

// The key 00 01 ... 0f over the first n octets of 00 01 02 ...: the paper's appendix A (n = 15) and
// the vectors its authors publish with their code.
TEST(SipHash24, GivesThePublishedValues) {
  SipHashKey key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  const struct {
    size_t octets;
    uint64_t want;
  } kRows[] = {
      {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
      {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572},
  };
  for (const auto& row : kRows) {
    std::vector<uint8_t> message(row.octets);
    for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<uint8_t>(i);
    EXPECT_EQ(SipHash24(key, message), row.want) << row.octets << " octets";
  }
}

}  // namespace
}  // namespace pharos
