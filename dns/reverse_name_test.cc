#include "dns/reverse_name.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "registry/catalog.h"

namespace pharos::dns {
namespace {

TEST(ReadReverseName, ReadsAddressesAndNetworks) {
  const std::string v6_end = "8.b.d.0.1.0.0.2.ip6.arpa.";
  std::string zeros;
  for (int i = 0; i < 23; ++i) zeros += "0.";
  const std::string v6_address = "1." + zeros + v6_end;
  const struct {
    std::string_view shows;
    std::string qname;
    ReverseName::Kind kind;
    std::string address;
    size_t prefix_bits;
  } kRows[] = {
      {"an address", "3.2.0.192.in-addr.arpa.", ReverseName::kAddress, "192.0.2.3", 32},
      {"letter case is ignored", "3.2.0.192.IN-ADDR.Arpa.", ReverseName::kAddress, "192.0.2.3", 32},
      {"a network", "0.192.in-addr.arpa.", ReverseName::kPart, "192.0.0.0", 16},
      {"the domain itself", "in-addr.arpa.", ReverseName::kPart, "0.0.0.0", 0},
      {"a leading zero", "03.2.0.192.in-addr.arpa.", ReverseName::kMalformed, "", 0},
      {"too large", "256.in-addr.arpa.", ReverseName::kMalformed, "", 0},
      {"too many labels", "1.3.2.0.192.in-addr.arpa.", ReverseName::kMalformed, "", 0},
      {"no number", "x.192.in-addr.arpa.", ReverseName::kMalformed, "", 0},
      {"a dot in a label", R"(1\.2.192.in-addr.arpa.)", ReverseName::kMalformed, "", 0},
      {"an IPv6 address", v6_address, ReverseName::kAddress, "2001:db8::1", 128},
      {"upper case digits", "B.D.0.1.0.0.2.ip6.arpa.", ReverseName::kPart, "2001:db0::", 28},
      {"two digits in a label", "b8.d.0.1.0.0.2.ip6.arpa.", ReverseName::kMalformed, "", 0},
      {"too many digits", "0." + v6_address, ReverseName::kMalformed, "", 0},
      {"elsewhere under arpa", "home.arpa.", ReverseName::kOther, "", 0},
      {"the root", ".", ReverseName::kOther, "", 0},
  };
  for (const auto& row : kRows) {
    const ReverseName read = ReadReverseName(*Name::FromText(row.qname));
    EXPECT_EQ(read.kind, row.kind) << row.shows;
    if (row.address.empty()) continue;
    EXPECT_EQ(read.address.ToString(), row.address) << row.shows;
    EXPECT_EQ(read.prefix_bits, row.prefix_bits) << row.shows;
  }
}

TEST(ReadReverseName, SaysWhereTheNetworkEnds) {
  const struct {
    std::string_view qname;
    size_t network_labels;
  } kRows[] = {
      {"3.2.0.192.in-addr.arpa.", 5},
      {"192.in-addr.arpa.", 3},
      {"1.3.2.0.192.in-addr.arpa.", 5},
      {"x.0.192.in-addr.arpa.", 4},
      {"in-addr.arpa.", 2},
      {"8.b.d.0.1.0.0.2.ip6.arpa.", 10},
      {"1.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", 18},
      {"home.arpa.", 0},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(ReadReverseName(*Name::FromText(row.qname)).network_labels, row.network_labels)
        << row.qname;
  }
}

TEST(IsAboveRegistered, KnowsTheNetworksOfRegisteredAddresses) {
  catalog::v1::Command command;
  auto& change = *command.mutable_register_();
  change.mutable_node()->set_name("a");
  change.mutable_node()->set_address("192.0.2.3");
  auto& service = *change.add_services();
  service.set_name("web");
  service.set_address("2001:db8::1");
  registry::Catalog catalog("dc1");
  ASSERT_TRUE(catalog.Apply(1, command).ok());
  const auto snapshot = catalog.MakeSnapshot();
  const struct {
    std::string_view qname;
    bool want;
  } kRows[] = {
      {"192.in-addr.arpa.", true},
      {"2.0.192.in-addr.arpa.", true},
      {"3.2.0.192.in-addr.arpa.", false},  // The address itself.
      {"1.0.192.in-addr.arpa.", false},
      {"193.in-addr.arpa.", false},
      {"8.b.d.0.1.0.0.2.ip6.arpa.", true},
      {"9.b.d.0.1.0.0.2.ip6.arpa.", false},
      {"home.arpa.", false},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(IsAboveRegistered(*Name::FromText(row.qname), *snapshot), row.want) << row.qname;
  }
}

}  // namespace
}  // namespace pharos::dns
