#include "agent/config/address_template.h"

#include <gtest/gtest.h>

namespace pharos::agent {
namespace {

std::vector<InterfaceAddress> FakeInterfaces() {
  const struct {
    std::string_view name, address;
    bool up;
  } kRows[] = {
      {"lo", "127.0.0.1", true},     {"lo", "::1", true},
      {"down0", "10.9.9.9", false},  {"eth0", "fd00::5", true},
      {"eth0", "10.0.0.5", true},    {"eth0", "fe80::1", true},
      {"eth1", "192.168.1.7", true}, {"ppp0", "198.51.100.3", true},
      {"ppp0", "2001:db8::3", true},
  };
  std::vector<InterfaceAddress> interfaces;
  for (const auto& row : kRows) {
    interfaces.push_back({std::string(row.name), *IpAddress::Parse(row.address), row.up});
  }
  return interfaces;
}

TEST(ExpandAddressTemplates, ReadsTheInterfaces) {
  const struct {
    std::string_view shows, text, want;
  } kRows[] = {
      {"no template", "10.1.1.1 ::1", "10.1.1.1 ::1"},
      {"the first private address that is up, IPv4 first", "{{ GetPrivateIP }}", "10.0.0.5"},
      {"blanks inside do not matter", "{{GetPrivateIP}}", "10.0.0.5"},
      {"all private addresses", "{{ GetPrivateIPs }}", "10.0.0.5 192.168.1.7 fd00::5"},
      {"public: neither private, loopback nor link-local", "{{ GetPublicIPs }}",
       "198.51.100.3 2001:db8::3"},
      {"an interface by name", "{{ GetInterfaceIP \"eth1\" }}", "192.168.1.7"},
      {"two templates beside text", "127.0.0.1 {{ GetPublicIP }} {{ GetInterfaceIP \"eth0\" }}",
       "127.0.0.1 198.51.100.3 10.0.0.5"},
  };
  for (const auto& row : kRows) {
    const auto got = ExpandAddressTemplates(row.text, FakeInterfaces());
    ASSERT_TRUE(got.ok()) << row.shows << ": " << got.status();
    EXPECT_EQ(*got, row.want) << row.shows;
  }
}

TEST(ExpandAddressTemplates, SaysWhatItCannotDo) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"{{ GetInterfaceIP \"wlan0\" }}",
       "{{ GetInterfaceIP \"wlan0\" }} gives no address on this machine"},
      {"{{ GetPrivateIP", "\"{{ GetPrivateIP\" opens a template with {{; expected }} after it"},
      {"{{ GetAllInterfaces | attr \"address\" }}",
       "{{ GetAllInterfaces | attr \"address\" }} is no address template; expected GetPrivateIP, "
       "GetPublicIP or GetInterfaceIP \"NAME\", without a pipeline"},
      {"{{ GetInterfaceIP eth0 }}",
       "{{ GetInterfaceIP eth0 }} is no address template; expected GetPrivateIP, GetPublicIP or "
       "GetInterfaceIP \"NAME\", without a pipeline"},
  };
  for (const auto& row : kRows) {
    const auto got = ExpandAddressTemplates(row.text, FakeInterfaces());
    ASSERT_FALSE(got.ok()) << row.text;
    EXPECT_EQ(std::string(got.status().message()), row.want);
  }
}

TEST(ReadInterfaceAddresses, FindsLoopback) {
  const auto got = ReadInterfaceAddresses();
  ASSERT_TRUE(got.ok()) << got.status();
  bool has_loopback = false;
  for (const InterfaceAddress& entry : *got) has_loopback |= entry.address.IsLoopback();
  EXPECT_TRUE(has_loopback);
}

}  // namespace
}  // namespace pharos::agent
