#include "registry/records.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"

namespace pharos::registry {
namespace {

using namespace std::string_literals;

TEST(HostNameWire, TellsHostNamesFromMistypedAddresses) {
  const struct {
    const char* shows;
    std::string text, want;
  } kRows[] = {
      {"a name", "www.example", "\3www\7example\0"s},
      {"its final dot makes no difference", "www.example.", "\3www\7example\0"s},
      {"case is kept", "WWW", "\3WWW\0"s},
      {"underscores are in use", "_a.b", "\2_a\1b\0"s},
      {"an octet over 255 is no address, and no name either", "300.1.2.3", ""},
      {"an address with a port", "10.0.0.19:8080", ""},
      {"an empty label", "a..b", ""},
      {"a label of 64 octets", std::string(64, 'a'), ""},
      {"a blank", "sp ace", ""},
      {"nothing", "", ""},
      {"a dot alone", ".", ""},
  };
  for (const auto& row : kRows) EXPECT_EQ(HostNameWire(row.text), row.want) << row.shows;
}

TEST(MetaTxt, QuotesByRfc1464) {
  // One record: two octets of length, then character-strings with a length octet each.
  const auto record = [](const std::string& text) {
    return "\0"s + static_cast<char>(text.size() + 1) + static_cast<char>(text.size()) + text;
  };
  const struct {
    const char* shows;
    StringPairs meta;
    std::string want;
  } kRows[] = {
      {"nothing", {}, ""},
      {"a pair", {{"rack", "r1"}}, record("rack=r1")},
      {"= in a key is quoted, in a value not", {{"eq=key", "a=b"}}, record("eq`=key=a=b")},
      {"the quote itself is doubled", {{"tick`key", "va`lue"}}, record("tick``key=va``lue")},
      {"outer blanks of a key are quoted", {{" a b ", " x "}}, record("` a b` = x ")},
      {"rfc1035- gives the value alone", {{"RFC1035-info", "free text"}}, record("free text")},
      {"an empty text is one empty string", {{"rfc1035-x", ""}}, record("")},
  };
  for (const auto& row : kRows) EXPECT_EQ(MetaTxt(row.meta), row.want) << row.shows;
  const std::string long_txt = MetaTxt({{"rfc1035-l", std::string(300, 'y')}});
  EXPECT_EQ(long_txt.size(), 2u + 1 + 255 + 1 + 45) << "a long text is several strings";
  EXPECT_EQ(static_cast<uint8_t>(long_txt[2]), 255);
}

std::string Show(const DnsAddresses& dns, AddressKind kind) {
  switch (kind) {
    case AddressKind::kNone:
      return "none";
    case AddressKind::kV4:
      return IpAddress::V4(dns.v4).ToString();
    case AddressKind::kV6:
      return IpAddress::V6(dns.v6).ToString();
    case AddressKind::kName:
      return "name";
  }
  return "";
}

TEST(MakeInstance, ChoosesAddressesAsTheRulesSay) {
  const struct {
    const char* shows;
    const char* node_address;
    StringPairs node_tagged;
    const char* service_address;
    std::vector<TaggedAddress> service_tagged;
    const char *a, *aaaa, *any;
    SrvTarget target;
  } kRows[] = {
      {"the node's address",
       "10.0.0.1",
       {},
       "",
       {},
       "10.0.0.1",
       "none",
       "10.0.0.1",
       SrvTarget::kNode},
      {"the service's own",
       "10.0.0.1",
       {},
       "10.9.0.1",
       {},
       "10.9.0.1",
       "none",
       "10.9.0.1",
       SrvTarget::kAddr},
      {"even when it is the node's",
       "10.0.0.1",
       {},
       "10.0.0.1",
       {},
       "10.0.0.1",
       "none",
       "10.0.0.1",
       SrvTarget::kAddr},
      {"a tagged address of the node replaces it",
       "10.0.0.8",
       {{"lan_ipv6", "fd00::8"}},
       "",
       {},
       "10.0.0.8",
       "fd00::8",
       "fd00::8",
       SrvTarget::kAddr},
      {"one that is the same changes nothing",
       "fd00::9",
       {{"lan_ipv6", "fd00::9"}},
       "",
       {},
       "none",
       "fd00::9",
       "fd00::9",
       SrvTarget::kNode},
      {"lan_ipv4 before the plain one",
       "10.0.0.1",
       {},
       "10.8.0.1",
       {{"lan_ipv4", "10.8.0.2", 1}, {"virtual", "10.8.0.99", 1}},
       "10.8.0.2",
       "none",
       "10.8.0.2",
       SrvTarget::kAddr},
      {"the service's tagged address without a plain one",
       "10.0.0.1",
       {},
       "",
       {{"lan_ipv6", "fd00::82", 1}},
       "10.0.0.1",
       "fd00::82",
       "fd00::82",
       SrvTarget::kAddr},
      {"a tagged address of the wrong family says nothing",
       "10.0.0.1",
       {{"lan_ipv4", "fd00::1"}},
       "",
       {},
       "10.0.0.1",
       "none",
       "10.0.0.1",
       SrvTarget::kNode},
      {"a host name", "10.0.0.1", {}, "www.example", {}, "name", "name", "name", SrvTarget::kName},
      {"a node with a host name",
       "host.example",
       {},
       "",
       {},
       "name",
       "name",
       "name",
       SrvTarget::kName},
      {"a mistyped address is none",
       "10.0.0.1",
       {},
       "300.1.2.3",
       {},
       "none",
       "none",
       "none",
       SrvTarget::kNone},
  };
  for (const auto& row : kRows) {
    auto* node = new Node;
    node->name = "n";
    node->address = row.node_address;
    node->tagged_addresses = row.node_tagged;
    FillNodeRecords(*node);
    auto* service = new Service;
    service->address = row.service_address;
    ServiceDetails details;
    details.tagged_addresses = row.service_tagged;
    service->details = std::move(details);
    const Ref<const Instance> instance =
        MakeInstance(Ref<const Node>(node), Ref<const Service>(service), Health::kPassing);
    const DnsAddresses& dns = instance->dns;
    EXPECT_EQ(Show(dns, dns.for_a), row.a) << row.shows;
    EXPECT_EQ(Show(dns, dns.for_aaaa), row.aaaa) << row.shows;
    EXPECT_EQ(Show(dns, dns.for_any), row.any) << row.shows;
    EXPECT_EQ(instance->srv_target, row.target) << row.shows;
  }
}

// Services of so many instances, of which `shared` have the same address.
std::vector<Ref<const Instance>> MakeInstances(uint32_t count, uint32_t shared, Random& random) {
  std::vector<Ref<const Instance>> instances;
  for (uint32_t i = 0; i < count; ++i) {
    auto* node = new Node;
    node->name = "node-" + std::to_string(i);
    node->address =
        i < shared ? "10.0.0.1" : "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    FillNodeRecords(*node);
    auto* service = new Service;
    service->name = "web";
    service->port = 80;
    if (i % 2 == 0) service->tags = std::vector<std::string>{"even"};
    if (random.Below(2) == 0) service->weight_passing = service->weight_warning = 3;
    instances.push_back(MakeInstance(Ref<const Node>(node), Ref<const Service>(service),
                                     static_cast<Health>(random.Below(3))));
  }
  return instances;
}

void ExpectSame(const RecordSet& a, const RecordSet& b) {
  EXPECT_EQ(a.everyone, b.everyone);
  EXPECT_EQ(a.a, b.a);
  EXPECT_EQ(a.aaaa, b.aaaa);
  EXPECT_EQ(a.any, b.any);
  EXPECT_EQ(a.srv, b.srv);
  EXPECT_EQ(a.names, b.names);
}

TEST(UpdateServiceHealth, GivesWhatMakingEverythingAnewGives) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    SelectionPool pool;
    auto before = std::make_unique<ServiceEntry>();
    const uint32_t count = 1 + random.Below(200);
    before->instances = InstanceSequence(MakeInstances(count, 0, random));
    FillServiceRecords(*before, pool);
    ASSERT_TRUE(CanUpdateHealth(*before));
    for (int step = 0; step < 20; ++step) {
      std::set<uint32_t> changed;
      for (uint32_t i = 0; i <= random.Below(4); ++i) changed.insert(random.Below(count));
      auto after = std::make_unique<ServiceEntry>();
      after->instances = before->instances;
      for (const uint32_t position : changed) {
        const Instance& was = *before->instances[position];
        after->instances.Replace(
            position, MakeInstance(was.node, was.service, static_cast<Health>(random.Below(3))));
      }
      const std::vector<uint32_t> positions(changed.begin(), changed.end());
      UpdateServiceHealth(*before, positions, *after, pool);
      ServiceEntry anew;
      anew.instances = after->instances;
      FillServiceRecords(anew, pool);
      ExpectSame(after->all, anew.all);
      ASSERT_EQ(after->by_tag.size(), anew.by_tag.size());
      for (size_t i = 0; i < anew.by_tag.size(); ++i) {
        EXPECT_EQ(after->by_tag[i].first, anew.by_tag[i].first);
        ExpectSame(after->by_tag[i].second, anew.by_tag[i].second);
      }
      ASSERT_FALSE(testing::Test::HasFailure()) << "step " << step;
      before = std::move(after);
    }
  }
}

TEST(UpdateServiceHealth, IsNotForThoseWhoStandForOthers) {
  Random random(1);
  SelectionPool pool;
  ServiceEntry entry;
  entry.instances = InstanceSequence(MakeInstances(5, 2, random));
  FillServiceRecords(entry, pool);
  EXPECT_FALSE(CanUpdateHealth(entry)) << "two have one address, whose weight is that of both";
}

// What every service of three instances has, is there once.
TEST(SelectionPool, SharesWhatMostServicesHave) {
  SelectionPool pool;
  const Selection::Parts three{
      .positions = {0, 1, 2}, .passing_count = 3, .healthy_count = 3, .weights = {}};
  const Selection shared = pool.Make(three);
  EXPECT_TRUE(shared.SharesWith(pool.Make(three)));
  Selection::Parts sick = three;
  sick.passing_count = 2;
  EXPECT_FALSE(shared.SharesWith(pool.Make(sick)));
  EXPECT_EQ(pool.Make(sick).Count(Include::kPassing), 2u);
  Selection::Parts gap = three;
  gap.positions = {0, 2, 3};
  EXPECT_FALSE(shared.SharesWith(pool.Make(gap)));
  Selection::Parts weighed = three;
  weighed.weights = {1, 2, 3};
  EXPECT_EQ(pool.Make(weighed).WeightSums(Include::kAll).back(), 6u);
}

}  // namespace
}  // namespace pharos::registry
