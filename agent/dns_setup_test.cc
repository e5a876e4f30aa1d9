#include "agent/dns_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pharos::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

dns::AnswerConfig Answers(const Config& config) {
  absl::StatusOr<dns::AnswerConfig> answers = MakeAnswerConfig(config);
  EXPECT_TRUE(answers.ok()) << answers.status();
  return answers.ok() ? *std::move(answers) : dns::AnswerConfig();
}

std::vector<std::string> ZoneNames(const dns::AnswerConfig& answers) {
  std::vector<std::string> names;
  for (const dns::Zone& zone : answers.zones) names.push_back(zone.name.ToText());
  return names;
}

TEST(MakeAnswerConfig, ServesTheDomainAndTheAlternative) {
  Config config;
  config.datacenter = "dc2";
  EXPECT_THAT(ZoneNames(Answers(config)), ElementsAre("consul."));

  config.dns.alt_domain = "corp.example.";
  const dns::AnswerConfig answers = Answers(config);
  EXPECT_THAT(ZoneNames(answers), ElementsAre("consul.", "corp.example."));
  EXPECT_EQ(answers.zones[1].node_suffix.ToText(), "node.dc2.corp.example.");
  EXPECT_EQ(answers.datacenter, "dc2");
}

TEST(MakeAnswerConfig, RefusesADomainThatCannotBeServed) {
  std::string too_long;
  for (int i = 0; i < 4; ++i) too_long += std::string(60, 'x') + ".";
  Config config;
  config.dns.domain = too_long;
  EXPECT_EQ(MakeAnswerConfig(config).status().code(), absl::StatusCode::kInvalidArgument);
  config.dns.domain = "consul.";
  config.dns.alt_domain = too_long;
  const absl::Status status = MakeAnswerConfig(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(too_long)) << "which of the two it is";
}

TEST(MakeAnswerConfig, GivesTheTtlOfTheExactNameElseOfTheLongestPrefix) {
  Config config;
  config.dns.service_ttl = {{"*", absl::Seconds(1)},
                            {"web*", absl::Seconds(2)},
                            {"web-api*", absl::Seconds(3)},
                            {"web", absl::Seconds(4)}};
  const dns::ServiceTtls ttls = Answers(config).service_ttls;
  const struct {
    std::string_view service;
    uint32_t want_s;
  } kRows[] = {{"web", 4}, {"web-1", 2}, {"web-api", 3}, {"web-api-2", 3}, {"we", 1}};
  for (const auto& row : kRows) EXPECT_EQ(ttls.Get(row.service), row.want_s) << row.service;

  EXPECT_EQ(Answers(Config()).service_ttls.Get("web"), 0U);
}

TEST(MakeAnswerConfig, CountsTtlsInWholeSecondsThatDnsCanHold) {
  const struct {
    std::string_view shows;
    absl::Duration ttl;
    uint32_t want_s;
  } kRows[] = {
      {"a part of a second is dropped", absl::Milliseconds(1999), 1},
      {"less than a second is none", absl::Milliseconds(999), 0},
      {"a negative one is none", absl::Seconds(-5), 0},
      {"the most (RFC 2181 section 8)", absl::Seconds(int64_t{1} << 40), 2147483647},
  };
  for (const auto& row : kRows) {
    Config config;
    config.dns.node_ttl = row.ttl;
    config.dns.service_ttl = {{"*", row.ttl}};
    const dns::AnswerConfig answers = Answers(config);
    EXPECT_EQ(answers.node_ttl_s, row.want_s) << row.shows;
    EXPECT_EQ(answers.service_ttls.Get("web"), row.want_s) << row.shows;
  }
}

TEST(MakeAnswerConfig, TakesOverWhatShapesAnswers) {
  Config config;
  config.dns.soa = {.refresh_s = 1, .retry_s = 2, .expire_s = 3, .min_ttl_s = 4};
  config.dns.only_passing = true;
  config.dns.enable_truncate = true;
  config.dns.disable_compression = true;
  config.dns.enable_additional_node_meta_txt = false;
  config.dns.udp_answer_limit = 5;
  config.dns.a_record_limit = 6;
  const dns::AnswerConfig answers = Answers(config);
  EXPECT_EQ(answers.soa.refresh_s, 1U);
  EXPECT_EQ(answers.soa.retry_s, 2U);
  EXPECT_EQ(answers.soa.expire_s, 3U);
  EXPECT_EQ(answers.soa.minimum_s, 4U);
  EXPECT_TRUE(answers.only_passing);
  EXPECT_TRUE(answers.enable_truncate);
  EXPECT_FALSE(answers.compression);
  EXPECT_FALSE(answers.node_meta_txt);
  EXPECT_EQ(answers.udp_answer_limit, 5U);
  EXPECT_EQ(answers.a_record_limit, 6U);
}

TEST(MakeAnswerConfig, SetsTcInTheStandardProfileWhateverElseIsSet) {
  Config config;
  EXPECT_FALSE(Answers(config).standard);
  EXPECT_FALSE(Answers(config).enable_truncate);
  config.dns.profile = DnsProfile::kStandard;
  EXPECT_TRUE(Answers(config).standard);
  EXPECT_TRUE(Answers(config).enable_truncate);
}

TEST(MakeAnswerConfig, SaysRecursionIsAvailableWithRecursors) {
  Config config;
  EXPECT_FALSE(Answers(config).recursion_available);
  config.dns.recursors = {*dns::ParseUpstream("192.0.2.1")};
  EXPECT_TRUE(Answers(config).recursion_available);
  EXPECT_TRUE(Answers(config).CanForward(*dns::Name::FromText("www.example.")));
}

TEST(MakeAnswerConfig, ForwardZonesAloneAreForwardedAlone) {
  Config config;
  config.dns.forward_zones = {
      {*dns::Name::FromText("corp.example."), {*dns::ParseUpstream("192.0.2.1")}}};
  const dns::AnswerConfig answers = Answers(config);
  EXPECT_TRUE(answers.recursion_available);
  EXPECT_TRUE(answers.CanForward(*dns::Name::FromText("db.corp.example.")));
  EXPECT_FALSE(answers.CanForward(*dns::Name::FromText("www.example.")));
}

TEST(MakeAnswerConfig, LetsThoseRecurseWhoAreGiven) {
  Config config;
  config.dns.allow_recursion = {*Cidr::Parse("10.0.0.0/8")};
  EXPECT_TRUE(Answers(config).MayRecurse(*IpAddress::Parse("10.1.2.3")));
  EXPECT_FALSE(Answers(config).MayRecurse(*IpAddress::Parse("192.0.2.1")));
  config.dns.allow_recursion.clear();
  EXPECT_FALSE(Answers(config).MayRecurse(*IpAddress::Parse("127.0.0.1"))) << "nobody";
}

TEST(MakeServerOptions, ListensOnEveryAddressAtThePort) {
  Config config;
  config.addresses.dns = {*IpAddress::Parse("127.0.0.1"), *IpAddress::Parse("::1")};
  config.ports.dns = 53;
  EXPECT_THAT(MakeServerOptions(config).addresses,
              ElementsAre(SocketAddress{*IpAddress::Parse("127.0.0.1"), 53},
                          SocketAddress{*IpAddress::Parse("::1"), 53}));
  config.ports.dns = -1;
  EXPECT_THAT(MakeServerOptions(config).addresses, IsEmpty()) << "the port is off";
}

TEST(MakeServerOptions, SharesTheConnectionsAmongTheThreads) {
  const struct {
    std::string_view shows;
    int threads, connections, want_each;
  } kRows[] = {
      {"evenly", 4, 1024, 256},
      {"never more than given", 3, 1024, 341},
      {"one at least", 4, 2, 1},
  };
  for (const auto& row : kRows) {
    Config config;
    config.dns.threads = row.threads;
    config.dns.tcp_connections_max = row.connections;
    const dns::ServerOptions options = MakeServerOptions(config);
    EXPECT_EQ(options.threads, row.threads) << row.shows;
    EXPECT_EQ(options.tcp.connections_max, static_cast<size_t>(row.want_each)) << row.shows;
  }
  const struct {
    std::string_view shows;
    int threads, of_client, want_each;
  } kClientRows[] = {
      {"those of one client as well", 4, 100, 25},
      {"rounded up", 4, 5, 2},
      {"no limit stays none", 4, 0, 0},
      {"the largest number there is", 2, 2'147'483'647, 1'073'741'824},
  };
  for (const auto& row : kClientRows) {
    Config config;
    config.dns.threads = row.threads;
    config.dns.tcp_connections_per_client_max = row.of_client;
    EXPECT_EQ(MakeServerOptions(config).tcp.connections_per_client_max,
              static_cast<size_t>(row.want_each))
        << row.shows;
  }
  EXPECT_GE(MakeServerOptions(Config()).threads, 1) << "as many as there are cores";
}

TEST(MakeResolverOptions, AsksTheRecursorsAndSharesTheCache) {
  Config config;
  config.dns.recursors = {*dns::ParseUpstream("192.0.2.1"),
                          *dns::ParseUpstream("tls://[2001:db8::1]:5353")};
  config.dns.forward_zones = {
      {*dns::Name::FromText("corp.example."), {*dns::ParseUpstream("192.0.2.2")}}};
  config.dns.recursor_deadline = absl::Seconds(3);
  config.dns.recursor_ca_file = "/ca";
  config.dns.recursor_timeout = absl::Milliseconds(1500);
  config.dns.recursor_strategy = dns::RecursorStrategy::kRandom;
  config.dns.cache_octets = 3000;
  const dns::ResolverOptions options = MakeResolverOptions(config, 2);
  EXPECT_EQ(options.upstreams, config.dns.recursors);
  EXPECT_EQ(options.upstream_timeout, absl::Milliseconds(1500));
  EXPECT_EQ(options.strategy, dns::RecursorStrategy::kRandom);
  EXPECT_EQ(options.cache_octets, 1500U);
  ASSERT_EQ(options.forward_zones.size(), 1U);
  EXPECT_EQ(options.deadline, absl::Seconds(3));
  EXPECT_EQ(options.tls.ca_file, "/ca");
  EXPECT_EQ(options.loop_token.size(), 32U);
  EXPECT_EQ(MakeResolverOptions(config, 1).loop_token, options.loop_token) << "one a process";
  config.dns.loop_detection = false;
  EXPECT_EQ(MakeResolverOptions(config, 1).loop_token, "");
}

TEST(CheckUpstreams, RefusesOurselvesAndFilesThatAreNotThere) {
  const std::vector<SocketAddress> listening = {{*IpAddress::Parse("127.0.0.1"), 8600}};
  dns::ResolverOptions options;
  options.upstreams = {*dns::ParseUpstream("192.0.2.1")};
  EXPECT_TRUE(CheckUpstreams(options, listening, {}).ok());
  options.forward_zones = {
      {*dns::Name::FromText("corp.example."), {*dns::ParseUpstream("127.0.0.1:8600")}}};
  EXPECT_THAT(std::string(CheckUpstreams(options, listening, {}).message()),
              testing::HasSubstr("forward_zones: 127.0.0.1:8600 is this server itself"));
  options.forward_zones.clear();
  options.tls.ca_file = "/nonexistent/ca.pem";
  EXPECT_TRUE(CheckUpstreams(options, listening, {}).ok()) << "nobody is asked by TLS";
  options.upstreams = {*dns::ParseUpstream("tls://192.0.2.1")};
  EXPECT_THAT(std::string(CheckUpstreams(options, listening, {}).message()),
              testing::HasSubstr("/nonexistent/ca.pem"));
}

}  // namespace
}  // namespace pharos::agent
