#include "dns/answer_test_world.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(AnswerTest, AnswersEveryFormOfName) {
  const struct {
    const char* shows;
    const char* name;
    RrType type;
    std::vector<std::string> answer;
  } kRows[] = {
      {"a service's addresses",
       "web.service.consul.",
       RrType::kA,
       {"web.service.consul. 0 IN A 10.0.0.1", "web.service.consul. 0 IN A 10.0.0.2"}},
      {"the case asked is kept",
       "WEB.Service.CONSUL.",
       RrType::kA,
       {"WEB.Service.CONSUL. 0 IN A 10.0.0.1", "WEB.Service.CONSUL. 0 IN A 10.0.0.2"}},
      {"one tag, without regard to case",
       "PRIMARY.web.service.consul.",
       RrType::kA,
       {"PRIMARY.web.service.consul. 0 IN A 10.0.0.1"}},
      {"a tag that two instances spell differently",
       "v1.web.service.consul.",
       RrType::kA,
       {"v1.web.service.consul. 0 IN A 10.0.0.1", "v1.web.service.consul. 0 IN A 10.0.0.2"}},
      {"a tag with dots is one tag",
       "a.b.c.web.service.consul.",
       RrType::kA,
       {"a.b.c.web.service.consul. 0 IN A 10.0.0.1"}},
      {"the datacenter may be said",
       "web.service.DC1.consul.",
       RrType::kA,
       {"web.service.DC1.consul. 0 IN A 10.0.0.1", "web.service.DC1.consul. 0 IN A 10.0.0.2"}},
      {"the explicit datacenter form",
       "single.service.dc1.dc.consul.",
       RrType::kA,
       {"single.service.dc1.dc.consul. 0 IN A 10.9.0.1"}},
      {"RFC 2782, where tcp is no tag",
       "_web._tcp.service.consul.",
       RrType::kSrv,
       {"_web._tcp.service.consul. 0 IN SRV 1 1 80 alpha.node.dc1.consul.",
        "_web._tcp.service.consul. 0 IN SRV 1 1 8080 Beta.node.dc1.consul."}},
      {"RFC 2782 without the word service",
       "_web._primary.dc1.consul.",
       RrType::kSrv,
       {"_web._primary.dc1.consul. 0 IN SRV 1 1 80 alpha.node.dc1.consul."}},
      {"the standard form does filter on tcp",
       "tcp.single.service.consul.",
       RrType::kA,
       {"tcp.single.service.consul. 0 IN A 10.9.0.1"}},
      {"an own address is spelled in the target",
       "single.service.consul.",
       RrType::kSrv,
       {"single.service.consul. 0 IN SRV 1 1 9000 0a090001.addr.dc1.consul."}},
      {"an own IPv6 address too",
       "svc6.service.consul.",
       RrType::kSrv,
       {"svc6.service.consul. 0 IN SRV 1 1 9001 "
        "fd000000000000000000000000000051.addr.dc1.consul."}},
      {"weight by health",
       "warned.service.consul.",
       RrType::kSrv,
       {"warned.service.consul. 0 IN SRV 1 2 82 alpha.node.dc1.consul."}},
      {"a node that cannot be named is named by address",
       "label70.service.consul.",
       RrType::kSrv,
       {"label70.service.consul. 0 IN SRV 1 1 7000 0a000046.addr.dc1.consul."}},
      {"a node", "alpha.node.consul.", RrType::kA, {"alpha.node.consul. 0 IN A 10.0.0.1"}},
      {"a node's metadata",
       "alpha.node.dc1.consul.",
       RrType::kTxt,
       {"alpha.node.dc1.consul. 0 IN TXT \"rack=r1\""}},
      {"a node with dots in its name",
       "zeta.dots.example.node.consul.",
       RrType::kA,
       {"zeta.dots.example.node.consul. 0 IN A 10.0.0.6"}},
      {"a node's second family",
       "dual.node.consul.",
       RrType::kAaaa,
       {"dual.node.consul. 0 IN AAAA fd00::8"}},
      {"ANY prefers the tagged IPv6 address",
       "ondual.service.consul.",
       RrType::kAny,
       {"ondual.service.consul. 0 IN AAAA fd00::8"}},
      {"a spelled address",
       "0A0000FF.addr.consul.",
       RrType::kA,
       {"0A0000FF.addr.consul. 0 IN A 10.0.0.255"}},
      {"any datacenter does for an address",
       "ffffffff.addr.dc9.consul.",
       RrType::kA,
       {"ffffffff.addr.dc9.consul. 0 IN A 255.255.255.255"}},
      {"the zone's name servers, in lower case",
       "consul.",
       RrType::kNs,
       {"consul. 0 IN NS beta.node.dc1.consul."}},
      {"the zone's SOA", "consul.", RrType::kSoa, {kSoa}},
      {"the SOA's MNAME resolves", "ns.consul.", RrType::kA, {"ns.consul. 0 IN A 10.0.0.2"}},
      {"a node's reverse name",
       "1.0.0.10.in-addr.arpa.",
       RrType::kPtr,
       {"1.0.0.10.in-addr.arpa. 0 IN PTR alpha.node.dc1.consul."}},
      {"a service's reverse name",
       "1.0.9.10.in-addr.arpa.",
       RrType::kPtr,
       {"1.0.9.10.in-addr.arpa. 0 IN PTR single.service.dc1.consul."}},
      {"an IPv6 reverse name",
       "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
       RrType::kPtr,
       {"6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 0 IN PTR "
        "six.node.dc1.consul."}},
      {"a host name is a CNAME",
       "hostsvc.service.consul.",
       RrType::kA,
       {"hostsvc.service.consul. 0 IN CNAME www.example.net."}},
      {"a host name is the target",
       "hostsvc.service.consul.",
       RrType::kSrv,
       {"hostsvc.service.consul. 0 IN SRV 1 1 9021 www.example.net."}},
      {"a host name of ours is followed",
       "inner.service.consul.",
       RrType::kA,
       {"inner.service.consul. 0 IN CNAME web.service.consul.",
        "web.service.consul. 0 IN A 10.0.0.1", "web.service.consul. 0 IN A 10.0.0.2"}},
      {"a node of ours is followed to its addresses, and not what else is said of it",
       "bynode.service.consul.",
       RrType::kAny,
       {"alpha.node.consul. 0 IN A 10.0.0.1",
        "bynode.service.consul. 0 IN CNAME alpha.node.consul."}},
      {"a service named as its own address means the node",
       "selfname.service.consul.",
       RrType::kA,
       {"selfname.service.consul. 0 IN A 10.0.0.1"}},
      {"... in SRV as well",
       "selfname.service.consul.",
       RrType::kSrv,
       {"selfname.service.consul. 0 IN SRV 1 1 9027 alpha.node.dc1.consul."}},
      {"a loop of names ends at its first repeat",
       "ring1.service.consul.",
       RrType::kA,
       {"ring1.service.consul. 0 IN CNAME ring2.service.consul.",
        "ring2.service.consul. 0 IN CNAME ring1.service.consul."}},
  };
  for (const auto& row : kRows) {
    const Judged got = Ask(row.name, row.type);
    EXPECT_EQ(got.Status(), "NOERROR QR AA RD") << row.shows;
    EXPECT_EQ(got.answer, row.answer) << row.shows;
  }
}

TEST_F(AnswerTest, SaysNoInTheRightWay) {
  // NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): rows read best in this order.
  const struct {
    const char* shows;
    const char* name;
    RrType type;
    const char* status;
    bool soa;
  } kRows[] = {
      {"unknown service", "nosuch.service.consul.", RrType::kA, "NXDOMAIN QR AA RD", true},
      {"unknown tag", "nosuch.web.service.consul.", RrType::kA, "NXDOMAIN QR AA RD", true},
      {"nothing but critical", "sick.service.consul.", RrType::kSrv, "NXDOMAIN QR AA RD", true},
      {"unknown datacenter", "web.service.dc9.consul.", RrType::kA, "NXDOMAIN QR AA RD", true},
      {"unknown node, odd type", "nosuch.node.consul.", RrType::kMx, "NXDOMAIN QR AA RD", true},
      {"too many labels", "web.service.a.b.consul.", RrType::kA, "NXDOMAIN QR AA RD", true},
      {"no form", "web.consul.", RrType::kA, "NXDOMAIN QR AA RD", true},
      {"RFC 2782 form is for SRV alone", "_web._tcp.consul.", RrType::kA, "NXDOMAIN QR AA RD",
       true},
      {"wrong family", "web.service.consul.", RrType::kAaaa, "NOERROR QR AA RD", true},
      {"wrong type", "web.service.consul.", RrType::kTxt, "NOERROR QR AA RD", true},
      {"wrong type of a node", "alpha.node.consul.", RrType::kSrv, "NOERROR QR AA RD", true},
      {"the zone has no address", "consul.", RrType::kA, "NOERROR QR AA RD", true},
      {"RFC 8020: service.consul has names below", "service.consul.", RrType::kA,
       "NOERROR QR AA RD", true},
      {"RFC 8020: a datacenter", "service.dc1.consul.", RrType::kA, "NOERROR QR AA RD", true},
      {"RFC 8020: above a node with dots", "dots.example.node.consul.", RrType::kA,
       "NOERROR QR AA RD", true},
      {"RFC 8020: above RFC 2782 names", "_primary.service.consul.", RrType::kA, "NOERROR QR AA RD",
       true},
      {"... without the word service", "_primary.dc1.consul.", RrType::kA, "NOERROR QR AA RD",
       true},
      {"... of a tag that nobody has", "_nosuch.consul.", RrType::kA, "NXDOMAIN QR AA RD", true},
      {"RFC 8020: the explicit datacenter form", "dc1.dc.consul.", RrType::kA, "NOERROR QR AA RD",
       true},
      {"RFC 8020: above a tag with dots", "c.web.service.consul.", RrType::kA, "NOERROR QR AA RD",
       true},
      {"RFC 8020: _tcp", "_tcp.service.consul.", RrType::kA, "NOERROR QR AA RD", true},
      {"an address of the wrong length", "0a0001.addr.consul.", RrType::kA, "NXDOMAIN QR AA RD",
       true},
      {"an address of the other family", "0a000001.addr.consul.", RrType::kAaaa, "NOERROR QR AA RD",
       true},
      {"another domain, nobody to ask", "example.com.", RrType::kA, "REFUSED QR RD", false},
      {"a zone transfer", "consul.", RrType::kAxfr, "REFUSED QR RD", false},
  };
  for (const auto& row : kRows) {
    const Judged got = Ask(row.name, row.type);
    EXPECT_EQ(got.Status(), row.status) << row.shows;
    EXPECT_THAT(got.answer, IsEmpty()) << row.shows;
    EXPECT_EQ(got.authority, row.soa ? std::vector<std::string>{kSoa} : std::vector<std::string>())
        << row.shows;
  }
}

TEST_F(AnswerTest, SrvCarriesAddressesAndMetadataOfItsTargets) {
  const Judged got = Ask("web.service.consul.", RrType::kSrv);
  EXPECT_THAT(got.additional, ElementsAre("Beta.node.dc1.consul. 0 IN A 10.0.0.2",
                                          "alpha.node.dc1.consul. 0 IN A 10.0.0.1",
                                          "alpha.node.dc1.consul. 0 IN TXT \"rack=r1\""));
  config_.node_meta_txt = false;
  EXPECT_THAT(Ask("web.service.consul.", RrType::kSrv).additional,
              ElementsAre("Beta.node.dc1.consul. 0 IN A 10.0.0.2",
                          "alpha.node.dc1.consul. 0 IN A 10.0.0.1"));
}

TEST_F(AnswerTest, PlainUdpShowsThreeInstancesAndEdnsAndTcpAll) {
  LoadBig("ten", 10);
  const struct {
    const char* shows;
    uint16_t edns_octets;
    Transport transport;
    size_t want;
  } kRows[] = {
      {"plain UDP", 0, Transport::kUdp, 3},
      {"EDNS of 512 is no more", 512, Transport::kUdp, 3},
      {"EDNS", 1232, Transport::kUdp, 10},
      {"TCP", 0, Transport::kTcp, 10},
  };
  for (const auto& row : kRows) {
    const Judged a = Ask("ten.service.consul.", RrType::kA, row.edns_octets, row.transport);
    EXPECT_EQ(a.answer.size(), row.want) << row.shows;
    EXPECT_EQ(a.flags, "QR AA RD") << row.shows << ": TC only where it is configured";
    const Judged srv = Ask("ten.service.consul.", RrType::kSrv, row.edns_octets, row.transport);
    EXPECT_EQ(srv.answer.size(), row.want) << row.shows;
    EXPECT_EQ(srv.additional.size(), row.want) << row.shows;
  }
}

TEST_F(AnswerTest, CountLimitsAreAsConfigured) {
  LoadBig("fifty", 50);
  config_.enable_truncate = true;
  const struct {
    const char* shows;
    uint32_t udp_answer_limit, a_record_limit;
    Transport transport;
    size_t want_a, want_srv;
  } kRows[] = {
      {"udp_answer_limit", 4, 0, Transport::kUdp, 4, 4},
      {"udp_answer_limit above eight is eight, sizes count uncompressed", 50, 0, Transport::kUdp, 8,
       4},
      {"a_record_limit below it", 3, 2, Transport::kUdp, 2, 3},
      {"a_record_limit holds for TCP and not for SRV", 3, 7, Transport::kTcp, 7, 50},
  };
  for (const auto& row : kRows) {
    config_.udp_answer_limit = row.udp_answer_limit;
    config_.a_record_limit = row.a_record_limit;
    const Judged a = Ask("fifty.service.consul.", RrType::kA, 0, row.transport);
    EXPECT_EQ(a.answer.size(), row.want_a) << row.shows;
    // Who asks again over TCP gets no more.
    const bool cut = a.flags.find("TC") != std::string::npos;
    EXPECT_EQ(cut, row.want_a != row.a_record_limit) << row.shows;
    const Judged srv = Ask("fifty.service.consul.", RrType::kSrv, 0, row.transport);
    EXPECT_EQ(srv.answer.size(), row.want_srv) << row.shows;
    EXPECT_EQ(srv.additional.size(), row.want_srv) << row.shows;
  }
}

TEST_F(AnswerTest, NoReplyIsLargerThanTheClientTakes) {
  LoadBig("thousand", 1000);
  const struct {
    RrType type;
    uint16_t edns_octets;
    Transport transport;
    size_t at_least;
  } kRows[] = {
      {RrType::kA, 1232, Transport::kUdp, 72},  {RrType::kSrv, 1232, Transport::kUdp, 18},
      {RrType::kA, 8192, Transport::kUdp, 500}, {RrType::kSrv, 32768, Transport::kUdp, 500},
      {RrType::kSrv, 0, Transport::kTcp, 970},  {RrType::kA, 65535, Transport::kUdp, 1000},
  };
  for (const auto& row : kRows) {
    const Judged got = Ask("thousand.service.consul.", row.type, row.edns_octets, row.transport);
    EXPECT_LE(got.octets, row.transport == Transport::kTcp ? kMessageOctetsMax : row.edns_octets);
    EXPECT_GE(got.answer.size(), row.at_least);
    EXPECT_EQ(got.has_edns, row.edns_octets > 0);
    if (row.type == RrType::kSrv) {
      EXPECT_EQ(got.additional.size(), got.answer.size());
    }
  }
}

TEST_F(AnswerTest, TcSaysThatInstancesWereLeftOutOnlyWhenEnabled) {
  LoadBig("ten", 10);
  config_.enable_truncate = true;
  EXPECT_EQ(Ask("ten.service.consul.", RrType::kA).flags, "QR AA TC RD");
  EXPECT_EQ(Ask("ten.service.consul.", RrType::kA, 1232).flags, "QR AA RD");
  EXPECT_EQ(Ask("web.service.consul.", RrType::kA).flags, "QR AA RD");
}

TEST_F(AnswerTest, EveryInstanceComesFirstAndIsShownAboutEquallyOften) {
  LoadBig("ten", 10);
  std::map<std::string, int> shown;
  for (int i = 0; i < 3000; ++i) {
    for (const std::string& record : Ask("ten.service.consul.", RrType::kA).answer) ++shown[record];
  }
  ASSERT_EQ(shown.size(), 10u);
  for (const auto& [record, count] : shown) {
    EXPECT_GT(count, 750) << record;  // 900 expected, standard deviation 25.
    EXPECT_LT(count, 1050) << record;
  }
}

TEST_F(AnswerTest, OnlyPassingLeavesOutInstancesWithWarnings) {
  EXPECT_EQ(Ask("warned.service.consul.", RrType::kA).Status(), "NOERROR QR AA RD");
  config_.only_passing = true;
  EXPECT_EQ(Ask("warned.service.consul.", RrType::kA).Status(), "NXDOMAIN QR AA RD");
}

TEST_F(AnswerTest, TtlsFollowTheLongestMatch) {
  config_.node_ttl_s = 30;
  config_.service_ttls =
      ServiceTtls({{"*", 5}, {"s*", 20}, {"si*", 22}, {"web", 10}, {"Svc6", 99}});
  const struct {
    const char* name;
    RrType type;
    const char* want;
  } kRows[] = {
      {"web.service.consul.", RrType::kA, " 10 IN "},
      {"single.service.consul.", RrType::kA, " 22 IN "},
      {"svc6.service.consul.", RrType::kAaaa, " 20 IN "},
      {"ondual.service.consul.", RrType::kA, " 5 IN "},
      {"alpha.node.consul.", RrType::kA, " 30 IN "},
  };
  for (const auto& row : kRows) {
    for (const std::string& record : Ask(row.name, row.type).answer) {
      EXPECT_THAT(record, testing::HasSubstr(row.want));
    }
  }
  EXPECT_THAT(Ask("web.service.consul.", RrType::kSrv).additional,
              testing::Each(testing::HasSubstr(" 10 IN ")));
}

TEST_F(AnswerTest, TheAlternativeDomainAnswersInItsOwnNames) {
  config_.zones.push_back(*Zone::Make("other.example.", "dc1"));
  const Judged got = Ask("web.service.other.example.", RrType::kSrv);
  EXPECT_THAT(
      got.answer,
      ElementsAre("web.service.other.example. 0 IN SRV 1 1 80 alpha.node.dc1.other.example.",
                  "web.service.other.example. 0 IN SRV 1 1 8080 "
                  "Beta.node.dc1.other.example."));
  EXPECT_THAT(Ask("nosuch.node.other.example.", RrType::kA).authority,
              ElementsAre("other.example. 0 IN SOA ns.other.example. hostmaster.other.example. "
                          "1700000000 3600 600 86400 0"));
}

TEST_F(AnswerTest, WithoutCompressionNoNameIsAPointer) {
  config_.compression = false;
  const std::vector<uint8_t> request = MakeQuery("web.service.consul.", RrType::kSrv);
  const Handled handled = HandleRaw(request);
  const Octets reply = Octets(reply_).first(handled.reply_octets);
  EXPECT_EQ(std::ranges::find_if(reply.subspan(kHeaderOctets), [](uint8_t o) { return o >= 0xc0; }),
            reply.end());
  EXPECT_EQ(Judge(reply)->answer.size(), 2u);
}

// Recursors, when there are any, stand behind every name that is not ours.
TEST_F(AnswerTest, WhatIsNotOursIsForwardedWhenThereIsSomebodyToAsk) {
  config_.recursion_available = true;
  for (const char* name : {"example.com.", "xconsul.", "99.99.99.10.in-addr.arpa.", "arpa."}) {
    EXPECT_EQ(HandleRaw(MakeQuery(name, RrType::kA)).outcome, Outcome::kForward) << name;
  }
  EXPECT_EQ(Ask("web.service.consul.", RrType::kA).flags, "QR AA RD RA");
}

TEST_F(AnswerTest, HostNamesOutsideAreResolvedThenAnswered) {
  config_.recursion_available = true;
  config_.service_ttls = ServiceTtls({{"*", 7}});
  const std::vector<uint8_t> request = MakeQuery("hostsvc.service.consul.", RrType::kAaaa);
  const Handled first = HandleRaw(request);
  ASSERT_EQ(first.outcome, Outcome::kResolve);
  ASSERT_EQ(first.needed.size(), 1u);
  EXPECT_EQ(first.needed[0].qname.ToText(), "www.example.net.");
  EXPECT_EQ(first.needed[0].qtype, RrType::kAaaa);

  UpstreamAnswer answer;
  answer.rcode = Rcode::kNoError;
  const Name www = *Name::FromText("www.example.net."), web = *Name::FromText("web.example.net.");
  answer.answer.push_back(
      {www, RrType::kCname, RrClass::kIn, 60, {web.wire().begin(), web.wire().end()}});
  answer.answer.push_back({web, RrType::kAaaa, RrClass::kIn, 60, std::vector<uint8_t>(16, 0x20)});
  external_.push_back({first.needed[0], answer});
  EXPECT_THAT(Ask("hostsvc.service.consul.", RrType::kAaaa).answer,
              ElementsAre("hostsvc.service.consul. 7 IN CNAME www.example.net.",
                          "web.example.net. 7 IN AAAA 2020:2020:2020:2020:2020:2020:2020:2020",
                          "www.example.net. 7 IN CNAME web.example.net."));
}

TEST_F(AnswerTest, OfOurOwnNamesNobodyElseHasASay) {
  config_.recursion_available = true;
  const std::vector<uint8_t> request = MakeQuery("hostsvc.service.consul.", RrType::kA);
  const Handled first = HandleRaw(request);
  ASSERT_EQ(first.outcome, Outcome::kResolve);
  UpstreamAnswer answer;
  answer.rcode = Rcode::kNoError;
  const Name www = *Name::FromText("www.example.net."),
             back = *Name::FromText("Single.service.consul.");
  answer.answer.push_back(
      {www, RrType::kCname, RrClass::kIn, 60, {back.wire().begin(), back.wire().end()}});
  answer.answer.push_back({back, RrType::kA, RrClass::kIn, 60, {192, 0, 2, 66}});
  external_.push_back({first.needed[0], answer});
  EXPECT_THAT(Ask("hostsvc.service.consul.", RrType::kA).answer,
              ElementsAre("Single.service.consul. 0 IN A 10.9.0.1",
                          "hostsvc.service.consul. 0 IN CNAME www.example.net.",
                          "www.example.net. 0 IN CNAME Single.service.consul."));
}

TEST_F(AnswerTest, AServiceThatIsItsOwnAddressIsItsNodeForThoseThatLeadToIt) {
  catalog::v1::Command command;
  auto* change = command.mutable_register_();
  change->mutable_node()->set_name("alpha");
  change->set_skip_node_update(true);
  auto* service = change->add_services();
  service->set_name("toself");
  service->set_address("selfname.service.consul");
  Load(command);
  EXPECT_THAT(Ask("toself.service.consul.", RrType::kA).answer,
              ElementsAre("selfname.service.consul. 0 IN A 10.0.0.1",
                          "toself.service.consul. 0 IN CNAME selfname.service.consul."));
}

TEST_F(AnswerTest, NoSrvRecordIsThereTwice) {
  for (const char* node : {"alpha", "Beta"}) {
    for (const char* address : {"10.9.9.9", "shared.example.net"}) {
      catalog::v1::Command command;
      auto* change = command.mutable_register_();
      change->mutable_node()->set_name(node);
      change->set_skip_node_update(true);
      auto* service = change->add_services();
      service->set_name("shared");
      service->set_id(std::string("shared-") + address);
      service->set_address(address);
      service->set_port(9);
      Load(command);
    }
  }
  EXPECT_THAT(Ask("shared.service.consul.", RrType::kSrv).answer,
              ElementsAre("shared.service.consul. 0 IN SRV 1 1 9 0a090909.addr.dc1.consul.",
                          "shared.service.consul. 0 IN SRV 1 1 9 shared.example.net."));
}

TEST_F(AnswerTest, NothingStandsBesideACname) {
  catalog::v1::Command command;
  auto* node = command.mutable_register_()->mutable_node();
  node->set_name("hosted");
  node->set_address("inner.service.consul");
  (*node->mutable_meta())["rack"] = "r9";
  Load(command);
  const std::vector<std::string> want = {"hosted.node.consul. 0 IN CNAME inner.service.consul.",
                                         "inner.service.consul. 0 IN CNAME web.service.consul."};
  EXPECT_THAT(Ask("hosted.node.consul.", RrType::kAny).answer, testing::IsSupersetOf(want));
  EXPECT_EQ(Ask("hosted.node.consul.", RrType::kAny).answer.size(), 4u);
  EXPECT_THAT(Ask("inner.service.consul.", RrType::kCname).answer, ElementsAre(want[1]))
      << "who asks for the CNAME is not led on";
}

// RFC 6604 section 3, RFC 2308 section 2.
TEST_F(AnswerTest, InTheStandardProfileAChainHasTheRcodeOfItsEnd) {
  catalog::v1::Command command;
  auto* change = command.mutable_register_();
  change->mutable_node()->set_name("chains");
  change->mutable_node()->set_address("10.7.0.1");
  for (const char* target : {"none.service.consul", "none.node.consul", "x.service.dc9.consul",
                             "sick.service.consul", "zz.addr.consul", "foo.consul"}) {
    auto* service = change->add_services();
    service->set_id(target);
    service->set_name("to-" + std::string(target).substr(0, std::string(target).find('.')) +
                      std::to_string(change->services_size()));
    service->set_address(target);
  }
  Load(command);
  const struct {
    std::string_view shows;
    std::string name;
    RrType type;
    std::string_view consul, standard;
    size_t soa;
  } kRows[] = {
      {"a service that is not there", "to-none1", RrType::kA, "NOERROR", "NXDOMAIN", 1},
      {"a node that is not there", "to-none2", RrType::kA, "NOERROR", "NXDOMAIN", 1},
      {"a datacenter that is not there", "to-x3", RrType::kA, "NOERROR", "NXDOMAIN", 1},
      {"no healthy instance", "to-sick4", RrType::kA, "NOERROR", "NXDOMAIN", 1},
      {"no address", "to-zz5", RrType::kA, "NOERROR", "NXDOMAIN", 1},
      {"a name in no form", "to-foo6", RrType::kA, "NOERROR", "NXDOMAIN", 1},
      {"no record of the type", "inner", RrType::kAaaa, "NOERROR", "NOERROR", 1},
      {"records", "inner", RrType::kA, "NOERROR", "NOERROR", 0},
      {"a loop", "ring1", RrType::kA, "NOERROR", "NOERROR", 0},
  };
  for (const auto& row : kRows) {
    config_.standard = false;
    const std::string name = row.name + ".service.consul.";
    Judged judged = Ask(name, row.type);
    EXPECT_EQ(judged.Status(), std::string(row.consul) + " QR AA RD") << row.shows;
    EXPECT_THAT(judged.authority, IsEmpty()) << row.shows;
    config_.standard = true;
    judged = Ask(name, row.type);
    EXPECT_EQ(judged.Status(), std::string(row.standard) + " QR AA RD") << row.shows;
    EXPECT_EQ(judged.authority.size(), row.soa) << row.shows;
    EXPECT_FALSE(judged.answer.empty()) << row.shows;
  }
}

// However little fits, an answer that has nothing of what there is says so.
TEST_F(AnswerTest, AnAnswerWithoutAnyOfItsRecordsIsTruncated) {
  config_.compression = false;
  std::string tag;
  for (int i = 0; i < 3; ++i) tag += std::string(60, 't') + ".";
  catalog::v1::Command command;
  auto* change = command.mutable_register_();
  change->mutable_node()->set_name("long");
  change->mutable_node()->set_address("10.7.0.2");
  auto* service = change->add_services();
  const std::string service_name(40, 's');
  service->set_name(service_name);
  service->add_tags(tag.substr(0, tag.size() - 1));
  Load(command);
  const std::string name = tag + service_name + ".service.consul.";
  const Judged judged = Ask(name, RrType::kSrv);
  EXPECT_THAT(judged.answer, IsEmpty());
  EXPECT_EQ(judged.Status(), "NOERROR QR AA TC RD");
  EXPECT_EQ(Ask(name, RrType::kSrv, 0, Transport::kTcp).answer.size(), 1U);
}

TEST_F(AnswerTest, UnknownReverseNamesDoNotExist) {
  EXPECT_EQ(Ask("9.9.9.10.in-addr.arpa.", RrType::kPtr).Status(), "NXDOMAIN QR AA RD");
  EXPECT_EQ(Ask("256.0.0.10.in-addr.arpa.", RrType::kPtr).Status(), "NXDOMAIN QR AA RD");
  EXPECT_EQ(Ask("0.0.10.in-addr.arpa.", RrType::kPtr).Status(), "NOERROR QR AA RD");
  EXPECT_EQ(Ask("1.0.0.10.in-addr.arpa.", RrType::kA).Status(), "NOERROR QR AA RD");
  EXPECT_EQ(Ask("example.arpa.", RrType::kPtr).Status(), "REFUSED QR RD");
}

}  // namespace
}  // namespace pharos::dns
