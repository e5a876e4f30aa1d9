#include "agent/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace pharos::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

Machine FakeMachine() {
  return {.host_name = "host-1",
          .interfaces = {{.name = "lo", .address = *IpAddress::Parse("127.0.0.1")},
                         {.name = "eth0", .address = *IpAddress::Parse("10.0.0.5")}}};
}

// A folder of files that goes away with it.
class TestFiles {
 public:
  TestFiles() {
    std::string pattern = testing::TempDir() + "pharos-config-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~TestFiles() { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& name, std::string_view content) const {
    std::string path = folder_ + "/" + name;
    std::ofstream(path) << content;
    return path;
  }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

absl::StatusOr<LoadedConfig> LoadHcl(std::vector<std::string> texts, bool dev_mode = false) {
  ConfigRequest request;
  request.hcl = std::move(texts);
  request.dev_mode = dev_mode;
  return LoadConfig(request, FakeMachine());
}

// What is wrong with a text, `data_dir` being set.
std::string Wrong(std::string_view hcl) {
  const auto loaded = LoadHcl({absl::StrCat("data_dir = \"/d\"\n", std::string(hcl))});
  return loaded.ok() ? "" : std::string(loaded.status().message());
}

std::vector<std::string> Warnings(std::string_view hcl) {
  const auto loaded = LoadHcl({absl::StrCat("data_dir = \"/d\"\n", std::string(hcl))});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? loaded->warnings : std::vector<std::string>();
}

TEST(LoadConfig, FillsInTheDefaults) {
  const auto loaded = LoadHcl({"data_dir = \"/d\""});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Config& config = loaded->config;
  EXPECT_EQ(config.datacenter, "dc1");
  EXPECT_EQ(config.primary_datacenter, "dc1");
  EXPECT_EQ(config.node_name, "host-1");
  EXPECT_EQ(config.bind_addr.ToString(), "0.0.0.0");
  EXPECT_EQ(config.advertise_addr.ToString(), "10.0.0.5");
  EXPECT_THAT(config.tagged_addresses,
              ElementsAre(Pair("lan", "10.0.0.5"), Pair("lan_ipv4", "10.0.0.5"),
                          Pair("wan", "10.0.0.5"), Pair("wan_ipv4", "10.0.0.5")));
  ASSERT_EQ(config.addresses.dns.size(), 1U);
  EXPECT_EQ(config.addresses.dns[0].ToString(), "127.0.0.1");
  EXPECT_EQ(config.ports.dns, 8600);
  EXPECT_EQ(config.ports.https, -1);
  EXPECT_EQ(config.dns.domain, "consul.");
  EXPECT_EQ(config.dns.udp_answer_limit, 3);
  EXPECT_EQ(config.dns.cache_octets, 64 << 20);
  EXPECT_TRUE(config.leave_on_terminate);
  EXPECT_FALSE(config.skip_leave_on_interrupt);
  EXPECT_THAT(loaded->warnings, IsEmpty());
  EXPECT_THAT(loaded->no_effect_keys, IsEmpty());
}

TEST(LoadConfig, ReadsEveryKeyThatHasAMember) {
  const auto loaded = LoadHcl({R"(
    datacenter = "US-East" primary_datacenter = "dc9" node_name = "n1"
    node_id = "AAAAAAAA-2222-3333-4444-555555555555" node_meta { rack = "7" }
    data_dir = "/d" pid_file = "/p" server = true bootstrap = true
    leave_on_terminate = true skip_leave_on_interrupt = false
    bind_addr = "10.0.0.9" client_addr = "127.0.0.1 ::1" advertise_addr = "10.0.0.8"
    advertise_addr_wan = "198.51.100.1" translate_wan_addrs = true
    tagged_addresses { lan = "10.0.0.7" extra = "x" }
    addresses { dns = "{{ GetPrivateIP }}" http = "unix:///run/p.sock" }
    ports { dns = 53 http = 81 https = 0 grpc = 82 serf_lan = 83 serf_wan = -1 server = 84 }
    domain = "Pharos" alt_domain = "example.com." recursors = ["1.1.1.1", "[fd00::1]:54", "1.1.1.1"]
    forward_zones {
      "Corp.example" = ["10.0.0.53", "tls://10.0.0.54#dns.corp.example"]
      "10.in-addr.arpa" = ["10.0.0.53"]
    }
    dns_config {
      recursor_deadline = "3s" recursor_ca_file = "/r" recursor_ca_path = "/rp"
      allow_recursion = ["10.0.0.0/8", "::1"] rebind_protection = true
      rebind_allow = ["Lab.example"] loop_detection = false
      recursor_timeout = "1s" recursor_strategy = "random" node_ttl = "2s"
      service_ttl { web = "3s" "*" = "4s" }
      soa { refresh = 1 retry = 2 expire = 3 min_ttl = 4 }
      only_passing = true enable_truncate = true disable_compression = true
      enable_additional_node_meta_txt = false udp_answer_limit = 5 a_record_limit = 6
      threads = 7 cache_octets = 8 tcp_connections_max = 9
      tcp_connections_per_client_max = 10 forwards_per_client_max = 11
      rate_limit {
        responses_per_second = 12 errors_per_second = 13 window = 14 slip = 3
        ipv4_prefix = 28 ipv6_prefix = 48 exempt = ["10.0.0.0/8"] table_size = 100
      }
      profile = "standard" nsid = "rack 7" require_cookie = true
      cookie_secret = ["000102030405060708090a0b0c0d0e0f"]
    }
    dnstap { socket = "/s" queries = false responses = false identity = "i" version = "v" }
    query_log { file = "/q" sample = 1 format = "text" }
    cert_file = "/c" tls { https { cert_file = "/h" key_file = "/k" } }
    encrypt = "h0xQpZKPQ8m96WDugYLUl6FFdx1uJkEiXTU/LlanSwA="
    log_level = "warn" log_json = true log_file = "/l" enable_script_checks = true
    service { name = "redis" } check { name = "up" ttl = "1s" }
  )"});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Config& config = loaded->config;
  EXPECT_EQ(config.datacenter, "us-east");
  EXPECT_EQ(config.primary_datacenter, "dc9");
  EXPECT_EQ(config.node_id, "aaaaaaaa-2222-3333-4444-555555555555");
  EXPECT_THAT(config.node_meta, ElementsAre(Pair("rack", "7")));
  EXPECT_EQ(config.pid_file, "/p");
  EXPECT_TRUE(config.server && config.bootstrap && config.leave_on_terminate);
  EXPECT_FALSE(config.skip_leave_on_interrupt);
  EXPECT_EQ(config.bind_addr.ToString(), "10.0.0.9");
  EXPECT_THAT(config.tagged_addresses,
              ElementsAre(Pair("lan", "10.0.0.7"), Pair("lan_ipv4", "10.0.0.8"),
                          Pair("wan", "198.51.100.1"), Pair("wan_ipv4", "198.51.100.1"),
                          Pair("extra", "x")));
  EXPECT_TRUE(config.translate_wan_addrs);
  EXPECT_EQ(config.addresses.dns.at(0).ToString(), "10.0.0.5");
  EXPECT_EQ(config.addresses.http.at(0).unix_path, "/run/p.sock");
  EXPECT_EQ(config.addresses.https.size(), 2U);
  EXPECT_EQ(config.ports.dns, 53);
  EXPECT_EQ(config.ports.https, -1);
  EXPECT_EQ(config.ports.serf_wan, -1);
  EXPECT_EQ(config.ports.grpc_tls, 8503);
  EXPECT_EQ(config.dns.domain, "pharos.");
  EXPECT_EQ(config.dns.alt_domain, "example.com.");
  ASSERT_EQ(config.dns.recursors.size(), 2U);
  EXPECT_EQ(config.dns.recursors[0].ToString(), "1.1.1.1:53");
  EXPECT_EQ(config.dns.recursors[1].ToString(), "[fd00::1]:54");
  EXPECT_EQ(config.dns.recursor_strategy, dns::RecursorStrategy::kRandom);
  EXPECT_EQ(config.dns.profile, DnsProfile::kStandard);
  EXPECT_EQ(config.dns.nsid, "rack 7");
  EXPECT_TRUE(config.dns.require_cookie);
  ASSERT_EQ(config.dns.cookie_secrets.size(), 1U);
  EXPECT_EQ(config.dns.cookie_secrets[0][15], 0x0f);
  EXPECT_EQ(config.dns.recursor_timeout, absl::Seconds(1));
  EXPECT_EQ(config.dns.recursor_deadline, absl::Seconds(3));
  EXPECT_EQ(config.dns.recursor_ca_file + config.dns.recursor_ca_path, "/r/rp");
  EXPECT_FALSE(config.dns.loop_detection);
  ASSERT_EQ(config.dns.forward_zones.size(), 2U);
  EXPECT_EQ(config.dns.forward_zones[0].domain.ToText(), "corp.example.");
  EXPECT_EQ(config.dns.forward_zones[0].upstreams.at(0).ToString(), "10.0.0.53:53");
  EXPECT_EQ(config.dns.forward_zones[0].upstreams.at(1).ToString(),
            "tls://10.0.0.54:853#dns.corp.example");
  EXPECT_EQ(config.dns.forward_zones[1].domain.ToText(), "10.in-addr.arpa.");
  ASSERT_EQ(config.dns.allow_recursion.size(), 2U);
  EXPECT_TRUE(config.dns.allow_recursion[0].Contains(*IpAddress::Parse("10.9.9.9")));
  EXPECT_TRUE(config.dns.allow_recursion[1].Contains(*IpAddress::Parse("::1")));
  EXPECT_TRUE(config.dns.rebind_protection);
  EXPECT_EQ(config.dns.rebind_allow.at(0).ToText(), "Lab.example.");
  EXPECT_EQ(config.dns.node_ttl, absl::Seconds(2));
  EXPECT_THAT(config.dns.service_ttl,
              ElementsAre(Pair("web", absl::Seconds(3)), Pair("*", absl::Seconds(4))));
  EXPECT_EQ(config.dns.soa.refresh_s, 1U);
  EXPECT_EQ(config.dns.soa.retry_s, 2U);
  EXPECT_EQ(config.dns.soa.expire_s, 3U);
  EXPECT_EQ(config.dns.soa.min_ttl_s, 4U);
  EXPECT_TRUE(config.dns.only_passing && config.dns.enable_truncate &&
              config.dns.disable_compression);
  EXPECT_FALSE(config.dns.enable_additional_node_meta_txt);
  EXPECT_EQ(config.dns.udp_answer_limit, 5);
  EXPECT_EQ(config.dns.a_record_limit, 6);
  EXPECT_EQ(config.dns.threads, 7);
  EXPECT_EQ(config.dns.cache_octets, 8);
  EXPECT_EQ(config.dns.tcp_connections_max, 9);
  EXPECT_EQ(config.dns.tcp_connections_per_client_max, 10);
  EXPECT_EQ(config.dns.forwards_per_client_max, 11);
  EXPECT_EQ(config.dns.rate_limit, (dns::RateLimitOptions{.responses_per_second = 12,
                                                          .nxdomains_per_second = 12,
                                                          .errors_per_second = 13,
                                                          .window_s = 14,
                                                          .slip = 3,
                                                          .ipv4_prefix = 28,
                                                          .ipv6_prefix = 48,
                                                          .exempt = {*Cidr::Parse("10.0.0.0/8")},
                                                          .table_size = 100}));
  EXPECT_EQ(
      config.dns.dnstap,
      (dns::DnstapOptions{
          .socket = "/s", .queries = false, .responses = false, .identity = "i", .version = "v"}));
  EXPECT_EQ(
      config.dns.query_log,
      (dns::QueryLogOptions{.file = "/q", .sample = 1, .format = dns::QueryLogFormat::kText}));
  EXPECT_EQ(config.tls.cert_file, "/h");
  EXPECT_EQ(config.tls.key_file, "/k");
  EXPECT_EQ(config.log.level, LogLevel::kWarn);
  EXPECT_TRUE(config.log.json);
  EXPECT_EQ(config.log.file.path, "/l");
  EXPECT_TRUE(config.enable_script_checks && config.enable_local_script_checks);
  EXPECT_EQ(config.services.at(0).name, "redis");
  EXPECT_EQ(config.checks.at(0).name, "up");
}

TEST(LoadConfig, TakesTheTutorialAsItStands) {
  const auto server = LoadHcl({R"(
datacenter = "us-east-1"
data_dir   = "/var/lib/pharos"
log_level  = "INFO"
node_name  = "server-1"
server     = true
bootstrap_expect = 1
encrypt    = "h0xQpZKPQ8m96WDugYLUl6FFdx1uJkEiXTU/LlanSwA="
ui_config { enabled = true }
addresses { http = "0.0.0.0"  dns = "127.0.0.1" }
ports     { dns = 8600  http = 8500  https = 8443  grpc = 8502 }
recursors = ["1.1.1.1"]
)"});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(server->config.bootstrap);
  EXPECT_EQ(server->config.bootstrap_expect, 0);
  EXPECT_THAT(server->warnings,
              ElementsAre("BootstrapExpect is set to 1; this is the same as Bootstrap mode.",
                          "-hcl:11:46: ports.https is 8443 but cert_file and key_file are not set: "
                          "HTTPS is not started"));
  const auto node = LoadHcl({"data_dir = \"/d\" retry_join = [\"server-1\"]", R"(
service {
  name = "redis"
  port = 6379
  tags = ["primary"]
  check { tcp = "localhost:6379"  interval = "10s"  timeout = "1s" }
}
)"});
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->config.services.at(0).checks.at(0).tcp, "localhost:6379");
  EXPECT_THAT(node->config.gossip.lan.retry_join, ElementsAre("server-1"));
  EXPECT_THAT(node->config.cluster.retry_join, ElementsAre("server-1"));
}

TEST(LoadConfig, TakesWhatTestHarnessesWrite) {
  const TestFiles files;
  ConfigRequest request;
  request.paths = {
      files.Write("config.json",
                  R"({"node_name":"node-1","node_id":"11111111-2222-3333-4444-555555555555",)"
                  R"("performance":{"raft_multiplier":1},"bootstrap":true,"server":true,)"
                  R"("data_dir":"/tmp/x/data","segments":null,"disable_update_check":true,)"
                  R"("log_level":"debug","bind_addr":"127.0.0.1","addresses":{},)"
                  R"("ports":{"dns":10001,"http":10002,"https":10003,"serf_lan":10004,)"
                  R"("serf_wan":10005,"server":10006},"acl":{"tokens":{}},)"
                  R"("connect":{"ca_config":{"cluster_id":"11111111-2222-3333-4444-555555555555"},)"
                  R"("enabled":true}})"),
      files.Write("empty.json", "")};
  const auto loaded = LoadConfig(request, FakeMachine());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.ports.dns, 10001);
  EXPECT_EQ(loaded->config.bind_addr.ToString(), "127.0.0.1");
  EXPECT_EQ(loaded->config.log.level, LogLevel::kDebug);
  EXPECT_THAT(loaded->no_effect_keys, testing::Not(testing::Contains("segments")));
}

TEST(LoadConfig, MergesSourcesInTheirOrder) {
  const TestFiles files;
  files.Write("b.hcl", "node_name = \"from-b\" recursors = [\"2.2.2.2\"] ports { dns = 2 }");
  files.Write("a.json", R"({"node_name":"from-a","recursors":["1.1.1.1"],"ports":{"http":1},)"
                        R"("services":[{"name":"one"}],"data_dir":"/a"})");
  files.Write("notes.txt", "no configuration");
  std::filesystem::create_directory(files.folder() + "/below.hcl");
  ConfigRequest request;
  request.paths = {files.folder()};
  request.hcl = {"node_name = \"from-hcl\" domain = \"hcl\" service { name = \"two\" }"};
  request.flags = {{"-domain", "domain", Value::Text({}, "flag")},
                   {"-dns-port", "ports.dns", Value::Int({}, 3)}};
  const auto loaded = LoadConfig(request, FakeMachine());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Config& config = loaded->config;
  EXPECT_EQ(config.node_name, "from-hcl");
  EXPECT_EQ(config.dns.domain, "flag.");
  EXPECT_EQ(config.ports.dns, 3);
  EXPECT_EQ(config.ports.http, 1);
  EXPECT_EQ(config.dns.recursors.at(0).ToString(), "1.1.1.1:53");
  EXPECT_EQ(config.dns.recursors.at(1).ToString(), "2.2.2.2:53");
  EXPECT_EQ(config.services.at(0).name, "one");
  EXPECT_EQ(config.services.at(1).name, "two");
  EXPECT_THAT(loaded->warnings,
              ElementsAre(absl::StrCat("skipping file ", files.folder(),
                                       "/notes.txt, extension must be .hcl or .json, or config "
                                       "format must be set")));
}

TEST(LoadConfig, NamesTheSourceOfAnError) {
  const TestFiles files;
  const std::string bad = files.Write("bad.hcl", "server = yes");
  const std::string text = files.Write("notes.txt", "");
  const struct {
    std::string_view shows;
    ConfigRequest request;
    std::string want;
  } kRows[] = {
      {"a file",
       {.paths = {bad}},
       bad +
           ":1:10: \"yes\" is not a value; expected true, false, a number, a list, an object, or a "
           "text in quotes"},
      {"a flag",
       {.flags = {{"-dns-port", "ports.dns", Value::Int({}, 70000)}}},
       "flag -dns-port: ports.dns: invalid port: 70000"},
      {"no such file",
       {.paths = {"/nowhere.hcl"}},
       "cannot read /nowhere.hcl: No such file or directory"},
      {"neither HCL nor JSON",
       {.paths = {text}},
       text + ": extension must be .hcl or .json, or config format must be set"},
      {"an unknown format", {.format = "yaml"}, "-config-format is \"yaml\"; expected hcl or json"},
      {"nothing at all", {}, "data_dir cannot be empty"},
  };
  for (const auto& row : kRows) {
    const auto loaded = LoadConfig(row.request, FakeMachine());
    ASSERT_FALSE(loaded.ok()) << row.shows;
    EXPECT_EQ(std::string(loaded.status().message()), row.want) << row.shows;
  }
}

TEST(LoadConfig, ReadsAnyEndingWhenTheFormatIsGiven) {
  const TestFiles files;
  ConfigRequest request;
  request.paths = {files.Write("config.txt", R"({"data_dir":"/d"})")};
  request.format = "json";
  EXPECT_TRUE(LoadConfig(request, FakeMachine()).ok());
}

TEST(LoadConfig, RefusesWhatCannotWork) {
  const struct {
    std::string_view shows, hcl, want;
  } kRows[] = {
      {"datacenter", "datacenter = \"us east\"",
       "-hcl:2:14: datacenter cannot be \"us east\". Please use only [a-z0-9-_]"},
      {"an unfilled template as datacenter", "datacenter = \"${DC}\"",
       "-hcl:2:14: datacenter cannot be \"${DC}\". Please use only [a-z0-9-_] (${DC} looks like a "
       "template placeholder that was not filled in; render the file first, e.g. with envsubst)"},
      {"a network that is none", "dns_config { rate_limit { exempt = [\"10.0.0.1\"] } }",
       "-hcl:2:36: dns_config.rate_limit.exempt: \"10.0.0.1\" is no block of addresses; expected "
       "one such as 10.0.0.0/8"},
      {"a prefix beyond the address", "dns_config { rate_limit { ipv4_prefix = 33 } }",
       "-hcl:2:41: dns_config.rate_limit.ipv4_prefix cannot be 33. Must be between 1 and 32"},
      {"a share of nothing", "query_log { sample = 0 }",
       "-hcl:2:22: query_log.sample is 0; expected a share above 0 and at most 1"},
      {"a format that is none", "query_log { format = \"xml\" }",
       "-hcl:2:22: query_log.format is \"xml\"; expected json or text"},
      {"node_id", "node_id = \"x\"",
       "-hcl:2:11: node_id is \"x\"; expected a UUID such as 11111111-2222-3333-4444-555555555555"},
      {"node_meta", "node_meta { \"consul-x\" = \"y\" }",
       "-hcl:2:11: node_meta invalid: Couldn't load metadata pair ('consul-x', 'y'): Key prefix "
       "'consul-' is reserved for internal use"},
      {"bootstrap and bootstrap_expect", "server = true bootstrap = true bootstrap_expect = 3",
       "-hcl:2:51: 'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"},
      {"bootstrap_expect on a client", "bootstrap_expect = 3",
       "-hcl:2:20: 'bootstrap_expect > 0' requires 'server = true'"},
      {"a replica of no kind", "catalog_replica = \"half\"",
       "-hcl:2:19: catalog_replica is \"half\"; expected \"full\" or \"on-demand\""},
      {"a server on demand", "server = true catalog_replica = \"on-demand\"",
       "-hcl:2:33: catalog_replica is \"on-demand\", and this agent is a server, which has all of "
       "the catalog; expected \"full\", or server = false"},
      {"bootstrap_expect below zero", "server = true bootstrap_expect = -1",
       "-hcl:2:34: bootstrap_expect cannot be -1. Must be greater than or equal to zero"},
      {"bootstrap on a client", "bootstrap = true",
       "-hcl:2:13: 'bootstrap = true' requires 'server = true'"},
      {"raft_multiplier", "performance { raft_multiplier = 11 }",
       "-hcl:2:33: performance.raft_multiplier cannot be 11. Must be between 1 and 10"},
      {"alt_domain with a keyword", "alt_domain = \"Service.example\"",
       "-hcl:2:14: alt_domain cannot start with {service,connect,node,query,addr,dc1}; it is "
       "\"Service.example\""},
      {"alt_domain with the datacenter", "alt_domain = \"dc1.example\"",
       "-hcl:2:14: alt_domain cannot start with {service,connect,node,query,addr,dc1}; it is "
       "\"dc1.example\""},
      {"domain", "domain = \"a..b\"",
       "-hcl:2:10: domain is \"a..b\"; expected a domain name such as \"consul\""},
      {"a recursor by name", "recursors = [\"dns.example\"]",
       "-hcl:2:13: recursors: \"dns.example\" is not an address; expected IP, IP:PORT, IPv6 or "
       "[IPv6]:PORT"},
      {"a forward zone of ours", "forward_zones { \"x.consul\" = [\"10.0.0.1\"] }",
       "-hcl:2:15: forward_zones: \"x.consul\" is in a domain that this server answers itself; "
       "expected one outside"},
      {"a forward zone without servers", "forward_zones { \"corp.example\" = [] }",
       "-hcl:2:15: forward_zones[corp.example] has no servers; expected one at least"},
      {"a forward zone that is no name", "forward_zones { \"a..b\" = [\"10.0.0.1\"] }",
       "-hcl:2:15: forward_zones: \"a..b\" is no domain; expected a domain name such as "
       "\"corp.example\" or \"10.in-addr.arpa\""},
      {"a forward zone's server by name", "forward_zones { \"corp.example\" = [\"dns\"] }",
       "-hcl:2:15: forward_zones[corp.example]: \"dns\" is not an address; expected IP, IP:PORT, "
       "IPv6 or [IPv6]:PORT"},
      {"a forward zone that is no list", "forward_zones { \"corp.example\" = \"10.0.0.1\" }",
       "-hcl:2:34: 'forward_zones[corp.example]': source data must be an array or slice, got "
       "string"},
      {"recursor_deadline", "dns_config { recursor_deadline = \"10ms\" }",
       "-hcl:2:34: dns_config.recursor_deadline is 10ms; expected 200ms at least"},
      {"allow_recursion", "dns_config { allow_recursion = [\"10.0.0.0/33\"] }",
       "-hcl:2:32: dns_config.allow_recursion: \"10.0.0.0/33\" is no network; expected one such as "
       "10.0.0.0/8, fd00::/8 or 192.0.2.1"},
      {"rebind_allow", "dns_config { rebind_allow = [\".\"] }",
       "-hcl:2:29: dns_config.rebind_allow: \".\" is no domain; expected a domain name such as "
       "\"corp.example\""},
      {"recursor_strategy", "dns_config { recursor_strategy = \"best\" }",
       "-hcl:2:34: dns_config.recursor_strategy: invalid strategy: \"best\"; expected sequential "
       "or "
       "random"},
      {"profile", "dns_config { profile = \"best\" }",
       "-hcl:2:24: dns_config.profile is \"best\"; expected consul or standard"},
      {"a cookie secret that is too short", "dns_config { cookie_secret = [\"c0ffee\"] }",
       "-hcl:2:30: dns_config.cookie_secret has an element of 6 characters; expected 32 "
       "hexadecimal "
       "digits each"},
      {"cookies both off and required", "dns_config { cookies = false require_cookie = true }",
       "-hcl:2:47: dns_config.require_cookie is true but dns_config.cookies is false; expected "
       "cookies where they are required"},
      {"nsid", "dns_config { nsid = 7 }",
       "-hcl:2:21: dns_config.nsid is neither a bool nor a text; expected true for the node's "
       "name, "
       "false, or a text"},
      {"udp_answer_limit", "dns_config { udp_answer_limit = -1 }",
       "-hcl:2:33: dns_config.udp_answer_limit cannot be -1. Must be greater than or equal to "
       "zero"},
      {"a_record_limit", "dns_config { a_record_limit = -1 }",
       "-hcl:2:31: dns_config.a_record_limit cannot be -1. Must be greater than or equal to zero"},
      {"soa", "dns_config { soa { min_ttl = 2147483648 } }",
       "-hcl:2:30: dns_config.soa.min_ttl cannot be 2147483648. Must be between 0 and 2147483647"},
      {"a negative TTL", "dns_config { node_ttl = \"-5s\" }",
       "-hcl:2:25: dns_config.node_ttl: invalid duration: \"-5s\": it is negative"},
      {"encrypt of the wrong size", "encrypt = \"aGVsbG8=\"",
       "-hcl:2:11: encrypt has invalid key: it has 5 octets; expected 16, 24 or 32"},
      {"an address to join that is none", "retry_join = [\"a:x\"]",
       "-hcl:2:14: retry_join: the address to join is \"a:x\"; expected an IP address or a host "
       "name, with or without a port, such as 10.0.0.1, [::1]:8301 or server-1:8301"},
      {"a profile of gossip that is none", "gossip_lan { profile = \"quick\" }",
       "-hcl:2:24: gossip_lan.profile is \"quick\"; expected lan, wan, local or fast"},
      {"a probe that cannot end", "gossip_lan { probe_timeout = \"2s\" }",
       "-hcl:2:30: gossip_lan.probe_timeout is longer than gossip_lan.probe_interval, so that no "
       "probe could end in time"},
      {"encrypt that is no base64", "encrypt = \"<output of keygen>\"",
       "-hcl:2:11: encrypt has invalid key: it is not base64"},
      {"log_level", "log_level = \"loud\"",
       "-hcl:2:13: Invalid log level: loud. Valid log levels are: [TRACE DEBUG INFO WARN ERR]"},
      {"a host name as address", "addresses { http = \"localhost\" }",
       "-hcl:2:20: addresses.http: invalid ip address: localhost"},
      {"a template without address", "bind_addr = \"{{ GetPublicIP }}\"",
       "-hcl:2:13: bind_addr: {{ GetPublicIP }} gives no address on this machine"},
      {"two bind addresses", "bind_addr = \"10.0.0.1 10.0.0.2\"",
       "-hcl:2:13: bind_addr holds 2 addresses; expected one"},
      {"advertising any address", "advertise_addr = \"0.0.0.0\"",
       "-hcl:2:18: advertise_addr cannot be 0.0.0.0 or ::; expected an address that other machines "
       "reach"},
      {"the wrong family", "advertise_addr_ipv4 = \"::1\"",
       "-hcl:2:23: advertise_addr_ipv4 is ::1; expected an IPv4 address"},
      {"DNS on a Unix socket", "addresses { dns = \"unix:///x\" }",
       "-hcl:2:19: DNS address cannot be a unix socket"},
      {"two listeners on one address", "ports { http = 8600 }",
       "-hcl:2:16: HTTP address 127.0.0.1:8600 already configured for DNS"},
      {"several at once", "domain = \"\"\nencrypt = \"?\"",
       "2 errors occurred:\n  * -hcl:2:10: domain is \"\"; expected a domain name such as "
       "\"consul\"\n  * -hcl:3:11: encrypt has invalid key: it is not base64"},
  };
  for (const auto& row : kRows) EXPECT_EQ(Wrong(row.hcl), row.want) << row.shows;
}

TEST(LoadConfig, WarnsOfWhatWorksOnlyPartly) {
  const struct {
    std::string_view shows, hcl, want;
  } kRows[] = {
      {"a node name that DNS cannot ask for", "node_name = \"bad node!\"",
       "-hcl:2:13: Node name \"bad node!\" will not be discoverable via DNS due to invalid "
       "characters. Valid characters include all alpha-numerics and dashes."},
      {"half a certificate", "ports { https = 8501 } cert_file = \"c\"",
       "-hcl:2:17: ports.https is 8501 but key_file is not set: HTTPS is not started"},
      {"two servers", "server = true bootstrap_expect = 2",
       "A cluster with 2 servers will provide no failure tolerance."},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(Warnings(row.hcl), testing::Contains(row.want)) << row.shows;
  }
}

TEST(LoadConfig, AsksWhichOfSeveralPrivateAddressesToUse) {
  Machine machine = FakeMachine();
  machine.interfaces.push_back({.name = "eth1", .address = *IpAddress::Parse("192.168.0.1")});
  ConfigRequest request;
  request.hcl = {"data_dir = \"/d\""};
  EXPECT_EQ(std::string(LoadConfig(request, machine).status().message()),
            "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or "
            "'advertise'.");
  request.hcl = {"data_dir = \"/d\" bind_addr = \"192.168.0.1\""};
  EXPECT_TRUE(LoadConfig(request, machine).ok());
  machine.interfaces.clear();
  request.hcl = {"data_dir = \"/d\""};
  const auto alone = LoadConfig(request, machine);
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->config.advertise_addr.ToString(), "127.0.0.1");
  EXPECT_EQ(alone->warnings.size(), 1U);
}

TEST(LoadConfig, LaysFilesOverTheDefaultsOfDev) {
  const auto loaded =
      LoadHcl({"log_level = \"INFO\" data_dir = \"/ignored\" session_ttl_min = \"1s\""}, true);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Config& config = loaded->config;
  EXPECT_TRUE(config.dev_mode && config.server && config.bootstrap);
  EXPECT_EQ(config.bind_addr.ToString(), "127.0.0.1");
  EXPECT_EQ(config.ports.grpc, 8502);
  EXPECT_EQ(config.log.level, LogLevel::kInfo);
  EXPECT_EQ(config.data_dir, "");
  EXPECT_THAT(loaded->no_effect_keys, ElementsAre("session_ttl_min"));
  EXPECT_EQ(config.gossip.lan.profile.probe_interval, absl::Milliseconds(100));
  const auto lan = LoadHcl({"gossip_lan { profile = \"lan\" }"}, true);
  ASSERT_TRUE(lan.ok()) << lan.status();
  EXPECT_EQ(lan->config.gossip.lan.profile.probe_interval, absl::Seconds(1));
  EXPECT_EQ(lan->config.gossip.wan.profile.probe_interval, absl::Milliseconds(100));
  const auto expect = LoadHcl({"bootstrap_expect = 3"}, true);
  EXPECT_EQ(std::string(expect.status().message()),
            "-hcl:1:20: 'bootstrap_expect > 0' not allowed in dev mode");
}

TEST(KeysThatNeedRestart, ListsChangedKeysThatAReloadCannotChange) {
  const auto before = LoadHcl({"data_dir = \"/d\" log_level = \"INFO\" ports { dns = 1 }"});
  const auto after = LoadHcl(
      {"data_dir = \"/d\" log_level = \"WARN\" ports { dns = 2 http = 3 } node_name = \"n\""});
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_THAT(KeysThatNeedRestart(*before, *after),
              ElementsAre("node_name", "ports.dns", "ports.http"));
  EXPECT_THAT(KeysThatNeedRestart(*before, *before), IsEmpty());
}

}  // namespace
}  // namespace pharos::agent
