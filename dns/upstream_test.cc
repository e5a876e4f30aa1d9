#include "dns/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pharos::dns {
namespace {

TEST(ParseUpstream, ReadsAddressesAndTlsOnes) {
  const struct {
    std::string_view shows, text, want;  // As ToString gives it.
    std::string_view want_name;
  } kRows[] = {
      {"DNS's port unless given", "192.0.2.1", "192.0.2.1:53", ""},
      {"a port", "192.0.2.1:5300", "192.0.2.1:5300", ""},
      {"IPv6", "2001:db8::1", "[2001:db8::1]:53", ""},
      {"the port of DNS over TLS", "tls://192.0.2.1", "tls://192.0.2.1:853", ""},
      {"its own port", "tls://[2001:db8::1]:8853", "tls://[2001:db8::1]:8853", ""},
      {"a name to verify", "tls://192.0.2.1#dns.example", "tls://192.0.2.1:853#dns.example",
       "dns.example"},
      {"a final dot means nothing", "tls://[2001:db8::1]:853#dns.example.",
       "tls://[2001:db8::1]:853#dns.example", "dns.example"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.shows);
    const absl::StatusOr<Upstream> upstream = ParseUpstream(row.text);
    ASSERT_TRUE(upstream.ok()) << upstream.status();
    EXPECT_EQ(upstream->ToString(), row.want);
    EXPECT_EQ(upstream->tls_name, row.want_name);
    EXPECT_EQ(upstream->tls, row.text.starts_with("tls://"));
    EXPECT_EQ(*ParseUpstream(upstream->ToString()), *upstream);
  }
}

TEST(ParseUpstream, SaysWhatIsWrong) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"dns.example", "dns.example"},
      {"tls://dns.example", "dns.example"},
      {"tls://", "expected"},
      {"tls://192.0.2.1#", "behind the #"},
      {"tls://192.0.2.1#not a name", "behind the #"},
      {"https://192.0.2.1/dns-query", "https://192.0.2.1/dns-query"},
      {"192.0.2.1#53", "192.0.2.1#53"},
  };
  for (const auto& row : kRows) {
    const absl::StatusOr<Upstream> upstream = ParseUpstream(row.text);
    ASSERT_FALSE(upstream.ok()) << row.text;
    EXPECT_THAT(std::string(upstream.status().message()), testing::HasSubstr(row.want));
  }
}

}  // namespace
}  // namespace pharos::dns
