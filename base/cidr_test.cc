#include "base/cidr.h"

#include <string>

#include "gtest/gtest.h"

namespace pharos {
namespace {

TEST(Cidr, ContainsTheAddressesOfItsBlock) {
  const struct {
    std::string_view shows, block, address;
    bool want;
  } kRows[] = {
      {"inside", "10.0.0.0/8", "10.255.0.1", true},
      {"outside", "10.0.0.0/8", "11.0.0.1", false},
      {"bits that are not whole octets", "192.168.16.0/20", "192.168.31.255", true},
      {"just behind them", "192.168.16.0/20", "192.168.32.0", false},
      {"one address", "127.0.0.1/32", "127.0.0.1", true},
      {"everything", "0.0.0.0/0", "8.8.8.8", true},
      {"the other family", "0.0.0.0/0", "::1", false},
      {"IPv6", "fd00::/8", "fd12::1", true},
  };
  for (const auto& row : kRows) {
    const auto block = Cidr::Parse(row.block);
    ASSERT_TRUE(block) << row.shows;
    EXPECT_EQ(block->Contains(*IpAddress::Parse(row.address)), row.want) << row.shows;
  }
}

TEST(Cidr, RefusesWhatIsNoBlock) {
  for (const char* text : {"", "10.0.0.1", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x",
                           "x/8", "::/129"}) {
    EXPECT_FALSE(Cidr::Parse(text)) << text;
  }
}

}  // namespace
}  // namespace pharos
