#include "agent/config/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "agent/config/hcl.h"
#include "agent/config/merge.h"

namespace pharos::agent {
namespace {

Value Read(std::string_view hcl) {
  absl::StatusOr<Value> tree = ReadHcl(hcl, "f", 0);
  EXPECT_TRUE(tree.ok()) << tree.status();
  return tree.ok() ? *std::move(tree) : Value::Map({});
}

std::string Check(std::string_view hcl) {
  const SourceNames names = {"f"};
  Problems problems(names);
  CheckAgainstSchema(Read(hcl), problems);
  return std::string(problems.ToStatus().message());
}

TEST(ConfigKeys, AreSortedAndNoKeyIsAGroup) {
  const std::span<const Key> keys = ConfigKeys();
  for (size_t i = 1; i < keys.size(); ++i) EXPECT_LT(keys[i - 1].path, keys[i].path);
  for (const Key& key : keys) {
    const std::string prefix = std::string(key.path) + ".";
    for (const Key& other : keys) EXPECT_FALSE(other.path.starts_with(prefix)) << prefix;
  }
}

TEST(CheckAgainstSchema, SpeaksConsulsWords) {
  const struct {
    std::string_view shows, hcl, want;
  } kRows[] = {
      {"nothing wrong", "server = true ports { dns = 1 }", ""},
      {"an unknown key and its neighbour", "\nui_confg { enabled = true }",
       "f:2:1: invalid config key ui_confg; did you mean ui_config?"},
      {"an unknown key in a group", "ports { htpp = 1 }",
       "f:1:9: invalid config key ports.htpp; did you mean ports.http?"},
      {"a key in the wrong place", "node_ttl = \"5s\"",
       "f:1:1: invalid config key node_ttl; did you mean dns_config.node_ttl?"},
      {"a key like none", "zzzzzz = 1", "f:1:1: invalid config key zzzzzz"},
      {"text for a bool", "server = \"true\"",
       "f:1:10: 'server' expected type 'bool', got unconvertible type 'string'"},
      {"a number for a text", "node_name = 5",
       "f:1:13: 'node_name' expected type 'string', got unconvertible type 'int'"},
      {"text for a port", "ports { http = \"8500\" }",
       "f:1:16: 'ports.http' expected type 'int', got unconvertible type 'string'"},
      {"a float for an int", "retry_max = 1.5",
       "f:1:13: 'retry_max' expected type 'int', got unconvertible type 'float64'"},
      {"a whole float is an int", "retry_max = 1.0", ""},
      {"an int is a float", "limits { rpc_rate = -1 }", ""},
      {"a placeholder for a port", "ports { https = \"${HTTPS_PORT}\" }",
       "f:1:17: 'ports.https' expected type 'int', got unconvertible type 'string' (${HTTPS_PORT} "
       "looks like a template placeholder that was not filled in; render the file first, e.g. with "
       "envsubst)"},
      {"a port beyond the range", "ports { http = 99999 }",
       "f:1:16: ports.http: invalid port: 99999"},
      {"a port turned off", "ports { http = -1 }", ""},
      {"an unknown unit", "dns_config { node_ttl = \"5x\" }",
       "f:1:25: dns_config.node_ttl: invalid duration: \"5x\": time: unknown unit \"x\" in "
       "duration "
       "\"5x\""},
      {"a bare number as duration", "dns_config { node_ttl = 5 }",
       "f:1:25: 'dns_config.node_ttl' expected type 'string', got unconvertible type 'int' (a "
       "duration is a text such as \"10s\")"},
      {"a duration in a map", "dns_config { service_ttl { web = \"x\" } }",
       "f:1:34: dns_config.service_ttl[web]: invalid duration: \"x\": time: invalid duration "
       "\"x\""},
      {"text for a list", "recursors = \"1.1.1.1\"",
       "f:1:13: 'recursors': source data must be an array or slice, got string"},
      {"a number in a list", "recursors = [\"1.1.1.1\", 2]",
       "f:1:25: 'recursors[1]' expected type 'string', got unconvertible type 'int'"},
      {"text for a group", "ports = \"x\"", "f:1:9: 'ports' expected a map, got 'string'"},
      {"a group twice", "ports { dns = 1 }\nports { http = 1 }",
       "f:1:7: 'ports' expected a map, got 'slice'"},
      {"text for a service", "service = \"x\"", "f:1:11: 'service' expected a map, got 'string'"},
      {"what is not looked into",
       "connect { enabled = \"maybe\" any { thing = [1] } } segments = 5", ""},
      {"all problems at once", "a1b2c3 = 1\nserver = 1",
       "2 errors occurred:\n  * f:1:1: invalid config key a1b2c3\n  * f:2:10: 'server' expected "
       "type "
       "'bool', got unconvertible type 'int'"},
  };
  for (const auto& row : kRows) EXPECT_EQ(Check(row.hcl), row.want) << row.shows;
}

TEST(CheckAgainstSchema, ListsNoMoreThanTwentyProblems) {
  std::string hcl;
  for (int i = 0; i < 25; ++i) hcl += "zzzz" + std::to_string(i) + "zzzz = 1\n";
  const std::string got = Check(hcl);
  EXPECT_TRUE(got.starts_with("25 errors occurred:")) << got;
  EXPECT_TRUE(got.ends_with("\n  and 5 more")) << got;
  EXPECT_EQ(std::count(got.begin(), got.end(), '*'), 20);
}

TEST(CheckAgainstSchema, PutsEveryServiceIntoOneList) {
  const SourceNames names = {"f"};
  Problems problems(names);
  const Value got = CheckAgainstSchema(
      Read("service { name = \"c\" } service { name = \"d\" }\n"
           "services = [{ name = \"a\" }, { name = \"b\" }]\ncheck { name = \"x\" }"),
      problems);
  EXPECT_TRUE(problems.ToStatus().ok()) << problems.ToStatus();
  std::string order;
  for (const Value& service : got.Find("services")->list) order += service.Find("name")->text;
  EXPECT_EQ(order, "abcd");
  EXPECT_EQ(got.Find("service"), nullptr);
  EXPECT_EQ(got.Find("checks")->list.size(), 1U);
}

TEST(Merge, LaysLaterOverEarlier) {
  const struct {
    std::string_view shows, earlier, later, want;
  } kRows[] = {
      {"later scalars win", "a = 1 b = 2", "a = 3", "a = 3 b = 2"},
      {"lists are joined", "a = [1, 2]", "a = [2, 3]", "a = [1, 2, 2, 3]"},
      {"maps are merged key by key", "p { a = 1 b { x = 1 } }", "p { c = 2 b { y = 1 } }",
       "p { a = 1 b { x = 1 y = 1 } c = 2 }"},
  };
  for (const auto& row : kRows) {
    EXPECT_TRUE(SameContent(Merge(Read(row.earlier), Read(row.later)), Read(row.want)))
        << row.shows;
  }
}

}  // namespace
}  // namespace pharos::agent
