#include "base/ip_address.h"

#include <gtest/gtest.h>

namespace pharos {
namespace {

TEST(IpAddress, ReadsBothFamiliesAndNothingElse) {
  const struct {
    std::string_view shows, text, want;  // want empty: refused
  } kRows[] = {
      {"dotted quad", "10.0.0.1", "10.0.0.1"},
      {"IPv6 is printed in its short form", "FD00:0:0::1", "fd00::1"},
      {"an IPv4-mapped address is the IPv4 address", "::ffff:10.1.2.3", "10.1.2.3"},
      {"an octet over 255", "300.1.2.3", ""},
      {"three octets", "10.0.0", ""},
      {"a host name", "localhost", ""},
      {"a zone is not part of an address", "fe80::1%eth0", ""},
      {"nothing", "", ""},
      {"a NUL does not end it", std::string_view("10.0.0.1\0x", 10), ""},
  };
  for (const auto& row : kRows) {
    const auto got = IpAddress::Parse(row.text);
    EXPECT_EQ(got ? got->ToString() : "", row.want) << row.shows;
  }
}

TEST(ParseSocketAddress, TakesEveryFormConsulTakes) {
  const struct {
    std::string_view text, want;  // want empty: refused
  } kRows[] = {
      {"1.1.1.1", "1.1.1.1:53"},
      {"1.1.1.1:5353", "1.1.1.1:5353"},
      {"fd00::1", "[fd00::1]:53"},
      {"[fd00::1]", "[fd00::1]:53"},
      {"[fd00::1]:54", "[fd00::1]:54"},
      {"1.1.1.1:0", ""},
      {"1.1.1.1:65536", ""},
      {"1.1.1.1:", ""},
      {"[fd00::1]:", ""},
      {"[1.1.1.1]:53", ""},
      {"dns.example", ""},
      {"1.1.1.1:+53", ""},
      {"[fd00::1]x", ""},
      {"", ""},
  };
  for (const auto& row : kRows) {
    const auto got = ParseSocketAddress(row.text, 53);
    EXPECT_EQ(got.ok() ? got->ToString() : "", row.want) << row.text;
  }
  EXPECT_EQ(std::string(ParseSocketAddress("dns.example", 53).status().message()),
            "\"dns.example\" is not an address; expected IP, IP:PORT, IPv6 or [IPv6]:PORT");
}

TEST(SocketAddress, SurvivesTheWayThroughTheKernelsForm) {
  for (const char* text : {"127.0.0.1:8600", "[fd00::1]:53"}) {
    sockaddr_storage storage;
    const SocketAddress address = *ParseSocketAddress(text, 1);
    address.ToSockaddr(storage);
    EXPECT_EQ(SocketAddress::FromSockaddr(storage), address);
  }
}

}  // namespace
}  // namespace pharos
