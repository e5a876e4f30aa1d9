#include "agent/config/definition.h"

#include <gtest/gtest.h>

#include <string>

#include "agent/config/hcl.h"
#include "agent/config/json_reader.h"

namespace pharos::agent {
namespace {

const SourceNames kNames = {"f"};

struct Definitions {
  std::vector<ServiceDefinition> services;
  std::vector<CheckDefinition> checks;
  DefinitionNotes notes;
  std::string problems;
};

Definitions ReadDefinitions(std::string_view text, bool scripts_enabled = true) {
  const auto tree = text.starts_with("{") ? ReadJson(text, "f", 0) : ReadHcl(text, "f", 0);
  EXPECT_TRUE(tree.ok()) << tree.status();
  Problems problems(kNames);
  Definitions read;
  read.services =
      ReadServices(tree->Find("services"), scripts_enabled, kNames, problems, read.notes);
  read.checks = ReadChecks(tree->Find("checks"), scripts_enabled, problems);
  read.problems = std::string(problems.ToStatus().message());
  return read;
}

TEST(ReadServices, ReadsEveryField) {
  const Definitions read = ReadDefinitions(R"(services = [{
    id = "r1" name = "redis" tags = ["a", "b"] address = "10.0.0.1" port = 6379
    meta { role = "main" } tagged_addresses { lan { address = "10.0.0.2" port = 1 } }
    enable_tag_override = true weights { passing = 10 warning = 0 } kind = "k" socket_path = "/s"
    token = "t"
    check { tcp = "localhost:6379" interval = "10s" timeout = "1s" }
  }])");
  EXPECT_EQ(read.problems, "");
  ASSERT_EQ(read.services.size(), 1U);
  const ServiceDefinition& service = read.services[0];
  EXPECT_EQ(service.id, "r1");
  EXPECT_EQ(service.name, "redis");
  EXPECT_EQ(service.tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(service.address, "10.0.0.1");
  EXPECT_EQ(service.port, 6379);
  EXPECT_EQ(service.meta, (TextPairs{{"role", "main"}}));
  ASSERT_EQ(service.tagged_addresses.size(), 1U);
  EXPECT_EQ(service.tagged_addresses[0].tag, "lan");
  EXPECT_EQ(service.tagged_addresses[0].address, "10.0.0.2");
  EXPECT_EQ(service.tagged_addresses[0].port, 1);
  EXPECT_TRUE(service.enable_tag_override);
  EXPECT_EQ(service.weight_passing, 10);
  EXPECT_EQ(service.weight_warning, 0);
  EXPECT_EQ(service.kind, "k");
  EXPECT_EQ(service.socket_path, "/s");
  EXPECT_EQ(service.token, "t");
  ASSERT_EQ(service.checks.size(), 1U);
  EXPECT_EQ(service.checks[0].id, "service:r1");
  EXPECT_EQ(service.checks[0].name, "Service 'redis' check");
  EXPECT_EQ(service.checks[0].service_id, "r1");
  EXPECT_EQ(service.checks[0].tcp, "localhost:6379");
  EXPECT_EQ(service.checks[0].interval, absl::Seconds(10));
  EXPECT_EQ(service.checks[0].timeout, absl::Seconds(1));
}

TEST(ReadServices, TakesEverySpellingOfAName) {
  const Definitions read = ReadDefinitions(R"({"services":[{"Name":"web","EnableTagOverride":true,
    "Checks":[{"CheckID":"c","HTTP":"https://x","tlsSkipVerify":true,"Interval":"1s",
               "deregistercriticalserviceafter":"90m","Header":{"A":["b"]}},
              {"TTL":"5s","Status":"passing"}]}],
    "checks":[{"name":"n","serviceid":"web","ScriptArgs":["/bin/true"],"interval":"1s"}]})");
  EXPECT_EQ(read.problems, "");
  ASSERT_EQ(read.services.size(), 1U);
  EXPECT_TRUE(read.services[0].enable_tag_override);
  ASSERT_EQ(read.services[0].checks.size(), 2U);
  const CheckDefinition& http = read.services[0].checks[0];
  EXPECT_EQ(http.id, "c");
  EXPECT_TRUE(http.tls_skip_verify);
  EXPECT_EQ(http.deregister_critical_service_after, absl::Minutes(90));
  ASSERT_EQ(http.header.size(), 1U);
  EXPECT_EQ(http.header[0].second, std::vector<std::string>{"b"});
  EXPECT_EQ(read.services[0].checks[1].id, "service:web:2");
  ASSERT_EQ(read.checks.size(), 1U);
  EXPECT_EQ(read.checks[0].id, "n");
  EXPECT_EQ(read.checks[0].service_id, "web");
  EXPECT_EQ(read.checks[0].args, std::vector<std::string>{"/bin/true"});
}

TEST(ReadServices, SaysWhatIsWrong) {
  const struct {
    std::string_view shows, hcl, want;
  } kRows[] = {
      {"no name", "services = [{ port = 1 }]", "f:1:13: services[0]: Missing service name"},
      {"an unknown field", "services = [{ name = \"a\" prot = 1 }]",
       "f:1:26: invalid config key services[0].prot; did you mean services[0].port?"},
      {"an unknown field of a check",
       "services = [{ name = \"a\" check { ttl = \"1s\" intervall = \"1s\" } }]",
       "f:1:45: invalid config key services[0].checks[0].intervall; did you mean "
       "services[0].checks[0].interval?"},
      {"a text as port", "services = [{ name = \"a\" port = \"80\" }]",
       "f:1:33: 'services[0].port' expected type 'int', got unconvertible type 'string'"},
      {"a port beyond the range", "services = [{ name = \"a\" port = 70000 }]",
       "f:1:33: services[0].port: invalid port: 70000"},
      {"a text as tags", "services = [{ name = \"a\" tags = \"b\" }]",
       "f:1:33: 'services[0].tags' expected type 'slice', got unconvertible type 'string'"},
      {"a weight beyond SRV", "services = [{ name = \"a\" weights { passing = 65536 } }]",
       "f:1:46: services[0].weights.passing is 65536; expected 1 to 65535"},
      {"metadata", "services = [{ name = \"a\" meta { \"a b\" = \"2\" } }]",
       "f:1:13: services[0]: Invalid Service Meta: Couldn't load metadata pair ('a b', '2'): Key "
       "contains invalid characters"},
      {"an id twice", "services = [{ name = \"a\" },\n { name = \"A\" }]",
       "f:2:2: the service id \"A\" is given twice; expected each once (set id where names are "
       "equal)"},
      {"a timed check without interval", "services = [{ name = \"a\" check { http = \"x\" } }]",
       "f:1:32: services[0].checks[0]: Invalid check: Interval must be > 0 for Script, HTTP, or "
       "TCP "
       "checks"},
      {"a check of no kind", "checks = [{ name = \"a\" }]",
       "f:1:11: checks[0]: Invalid check: TTL must be > 0 for TTL checks"},
      {"a check without name", "checks = [{ ttl = \"1s\" }]",
       "f:1:11: checks[0]: Missing check name"},
      {"an unknown status", "checks = [{ name = \"a\" ttl = \"1s\" status = \"good\" }]",
       "f:1:11: checks[0]: Status for checks must 'passing', 'warning', 'critical'"},
      {"a bare number as duration", "checks = [{ name = \"a\" ttl = 10 }]",
       "2 errors occurred:\n  * f:1:30: 'checks[0].ttl' expected type 'string', got unconvertible "
       "type 'int'\n  * f:1:11: checks[0]: Invalid check: TTL must be > 0 for TTL checks"},
      {"a script where scripts are off",
       "checks = [{ name = \"a\" args = [\"x\"] interval = \"1s\" }]",
       "f:1:11: checks[0]: Scripts are disabled on this agent; to enable, configure "
       "'enable_script_checks' or 'enable_local_script_checks' to true"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(ReadDefinitions(row.hcl, false).problems, row.want) << row.shows;
  }
}

TEST(ReadServices, WarnsOfNamesThatDnsCannotAskForAndOfUnusedParts) {
  const Definitions read =
      ReadDefinitions("services = [{ name = \"a_b\" tags = [\"ok\", \"v 1\"] partition = \"p\" }]");
  EXPECT_EQ(read.problems, "");
  EXPECT_EQ(read.notes.warnings,
            (std::vector<std::string>{
                "f:1:13: Service name \"a_b\" will not be discoverable via DNS due to invalid "
                "characters. Valid characters include all alpha-numerics and dashes.",
                "f:1:13: Service tag \"v 1\" will not be discoverable via DNS due to invalid "
                "characters. Valid characters include all alpha-numerics and dashes."}));
  EXPECT_EQ(read.notes.no_effect_keys, std::vector<std::string>{"service.partition"});
}

TEST(CheckMetadata, KeepsConsulsLimits) {
  const struct {
    std::string_view shows;
    TextPairs pairs;
    std::string_view want;
  } kRows[] = {
      {"good", {{"a-B_9", ""}}, ""},
      {"64 pairs are good", TextPairs(64, {"a", "b"}), ""},
      {"65 are not", TextPairs(65, {"a", "b"}),
       "Node metadata cannot contain more than 64 key/value pairs"},
      {"no key", {{"", "x"}}, "Couldn't load metadata pair ('', 'x'): Key cannot be blank"},
      {"reserved",
       {{"consul-x", "y"}},
       "Couldn't load metadata pair ('consul-x', 'y'): Key prefix 'consul-' is reserved for "
       "internal "
       "use"},
  };
  for (const auto& row : kRows) EXPECT_EQ(CheckMetadata(row.pairs), row.want) << row.shows;
  EXPECT_EQ(CheckMetadata({{std::string(128, 'k'), std::string(512, 'v')}}), "");
  EXPECT_NE(CheckMetadata({{std::string(129, 'k'), ""}}), "");
  EXPECT_NE(CheckMetadata({{"k", std::string(513, 'v')}}), "");
}

}  // namespace
}  // namespace pharos::agent
