#include "dns/own_address.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace pharos::dns {
namespace {

TEST(RejectOwnAddresses, KnowsOurselvesUnderEveryAddress) {
  const std::vector<IpAddress> local_ips = {*IpAddress::Parse("10.0.0.5"),
                                            *IpAddress::Parse("fd00::5")};
  const struct {
    std::string_view upstream, listening;
    bool own;
  } kRows[] = {
      {"10.0.0.5:53", "10.0.0.5:53", true},
      {"10.0.0.5:53", "10.0.0.5:8600", false},
      {"10.0.0.6:53", "10.0.0.5:53", false},
      {"10.0.0.5:53", "0.0.0.0:53", true},
      {"127.0.0.53:53", "0.0.0.0:53", true},
      {"10.0.0.6:53", "0.0.0.0:53", false},
      {"10.0.0.5:53", "0.0.0.0:8600", false},
      {"[fd00::5]:53", "[::]:53", true},
      {"[::1]:53", "[::]:53", true},
      {"10.0.0.5:53", "[::]:53", true},
      {"127.0.0.53:53", "127.0.0.1:53", false},
      {"0.0.0.0:53", "127.0.0.1:53", true},
      {"[::]:53", "0.0.0.0:53", true},
  };
  for (const auto& row : kRows) {
    const std::vector<Upstream> upstreams = {*ParseUpstream("192.0.2.1"),
                                             *ParseUpstream(row.upstream)};
    const std::vector<SocketAddress> listening = {*ParseSocketAddress(row.listening, 53)};
    EXPECT_EQ(RejectOwnAddresses("recursors", upstreams, listening, local_ips).ok(), !row.own)
        << row.upstream << " while listening on " << row.listening;
  }
}

TEST(RejectOwnAddresses, SaysWhichAndWhy) {
  const std::vector<Upstream> upstreams = {*ParseUpstream("127.0.0.1:8600")};
  const std::vector<SocketAddress> listening = {*ParseSocketAddress("0.0.0.0:8600", 53)};
  EXPECT_EQ(RejectOwnAddresses("recursors", upstreams, listening, {}).message(),
            "recursors: 127.0.0.1:8600 is this server itself, which listens on 0.0.0.0:8600; "
            "expected another server");
}

}  // namespace
}  // namespace pharos::dns
