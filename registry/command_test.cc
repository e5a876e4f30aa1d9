#include "registry/command.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/check.h"

namespace pharos::registry {
namespace {

using catalog::v1::Command;

constexpr char kEverything[] = R"(register {
  node { name: "alpha" id: "cc1e" address: "10.0.0.1" meta { key: "rack" value: "r1" }
         tagged_addresses { key: "wan" value: "203.0.113.1" } }
  services { id: "web-1" name: "web" tags: "v1" address: "10.0.0.2" port: 65535
             meta { key: "version" value: "" }
             tagged_addresses { key: "lan" value { address: "10.0.0.3" port: 65535 } } }
  checks { id: "c" name: "C" status: HEALTH_STATUS_WARNING notes: "n" output: "o" service_id: "web-1"
           type: "ttl" } })";

Command Parse(const std::string& text) {
  Command command;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, &command));
  return command;
}

std::string Repeat(int count, const std::function<std::string(int)>& piece) {
  std::string all;
  for (int i = 0; i < count; ++i) all += piece(i);
  return all;
}

// A registration of a good node and one service of these fields.
std::string WithService(const std::string& fields) {
  return R"(register { node { name: "n" address: "10.0.0.1" } services { )" + fields + " } }";
}
std::string WithCheck(const std::string& fields) {
  return R"(register { node { name: "n" address: "10.0.0.1" } checks { )" + fields + " } }";
}
std::string WithNode(const std::string& fields) { return "register { node { " + fields + " } }"; }
std::string Quoted(size_t octets) { return '"' + std::string(octets, 'x') + '"'; }

std::string MetaPairs(int count) {
  return Repeat(count, [](int i) { return "meta { key: \"k" + std::to_string(i) + "\" } "; });
}

TEST(ValidateCommand, TakesWhatIsWithinTheRules) {
  const struct {
    std::string_view shows;
    std::string text;
  } kRows[] = {
      {"every field", kEverything},
      {"a node that stays as it is needs no address",
       R"(register { node { name: "n" } skip_node_update: true })"},
      {"the longest name", WithNode("name: " + Quoted(512) + " address: 'a'")},
      {"the most metadata", WithNode("name: 'n' address: 'a' " + MetaPairs(64))},
      {"the longest metadata", WithNode("name: 'n' address: 'a' meta { key: " + Quoted(128) +
                                        " value: " + Quoted(512) + " }")},
      {"the most tags", WithService("name: 's' " + Repeat(1024, [](int) { return "tags: 't' "; }))},
      {"the longest output", WithCheck("id: 'c' output: " + Quoted(65536))},
      {"a check that nobody has said anything of", WithCheck("id: 'c'")},
      {"a deregistration", "deregister { node: 'n' service_id: 's' }"},
      {"a batch", "batch { commands { deregister { node: 'n' } } }"},
      {"an empty batch", "batch { }"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(ValidateCommand(Parse(row.text)), absl::OkStatus()) << row.shows;
  }
}

TEST(ValidateCommand, SaysWhatWasGivenAndWhatWasExpected) {
  const std::string begins = std::string(64, 'x');
  const std::string not_empty = " is \"\"; expected a text that is not empty";
  const std::string too_long = " is \"" + begins + "\"; expected at most ";
  const std::string node = "name: 'n' address: 'a' ";
  const struct {
    std::string text, message;
  } kRows[] = {
      {"",
       "the command changes nothing; expected a registration, a deregistration, a prepared query, "
       "an ingress gateway or a batch of them"},
      {"register { }", "node.name" + not_empty},
      {WithNode("name: " + Quoted(513)), "node.name" + too_long + "512 octets"},
      {WithNode("name: 'n' id: " + Quoted(513)), "node.id" + too_long + "512 octets"},
      {WithNode("name: 'n'"), "node.address" + not_empty},
      {WithNode("name: 'n' address: " + Quoted(513)), "node.address" + too_long + "512 octets"},
      {WithNode(node + MetaPairs(65)), "node.meta is \"65 pairs\"; expected at most 64 pairs"},
      {WithNode(node + "meta { key: '' }"), "a key of node.meta" + not_empty},
      {WithNode(node + "meta { key: " + Quoted(129) + " }"),
       "a key of node.meta" + too_long + "128 octets"},
      {WithNode(node + "meta { key: 'k' value: " + Quoted(513) + " }"),
       "node.meta[\"k\"]" + too_long + "512 octets"},
      {WithNode(node + "tagged_addresses { key: " + Quoted(513) + " }"),
       "node.tagged_addresses" + too_long + "512 octets"},
      {WithNode(node + "tagged_addresses { key: 'wan' value: " + Quoted(513) + " }"),
       "node.tagged_addresses" + too_long + "512 octets"},
      {WithNode(node + "datacenter: " + Quoted(513)), "node.datacenter" + too_long + "512 octets"},
      {WithNode(node + Repeat(65,
                              [](int i) {
                                return "tagged_addresses { key: '" + std::to_string(i) + "' } ";
                              })),
       "node.tagged_addresses is \"65 addresses\"; expected at most 64 addresses"},
      {"deregister { node: 'n' service_id: " + Quoted(513) + " }",
       "service_id" + too_long + "512 octets"},
      {"deregister { node: 'n' check_id: " + Quoted(513) + " }",
       "check_id" + too_long + "512 octets"},
      {WithService("name: 's' kind: " + Quoted(513)), "service.kind" + too_long + "512 octets"},
      {WithCheck("id: 'c' type: " + Quoted(513)), "check.type" + too_long + "512 octets"},

      {WithService(""), "service.name" + not_empty},
      {WithService("name: " + Quoted(513)), "service.name" + too_long + "512 octets"},
      {WithService("name: 's' id: " + Quoted(513)), "service.id" + too_long + "512 octets"},
      {WithService("name: 's' address: " + Quoted(513)),
       "service.address" + too_long + "512 octets"},
      {WithService("name: 's' port: 65536"),
       "service.port is \"65536\"; expected a port from 0 to 65535"},
      {WithService("name: 's' " + Repeat(1025, [](int) { return "tags: 't' "; })),
       "service.tags is \"1025 tags\"; expected at most 1024 tags"},
      {WithService("name: 's' tags: " + Quoted(513)), "service.tags" + too_long + "512 octets"},
      {WithService("name: 's' " + Repeat(65,
                                         [](int i) {
                                           return "tagged_addresses { key: '" + std::to_string(i) +
                                                  "' } ";
                                         })),
       "service.tagged_addresses is \"65 addresses\"; expected at most 64 addresses"},
      {WithService("name: 's' tagged_addresses { key: " + Quoted(513) + " }"),
       "service.tagged_addresses" + too_long + "512 octets"},
      {WithService("name: 's' tagged_addresses { key: 'lan' value { address: " + Quoted(513) +
                   " } }"),
       "service.tagged_addresses" + too_long + "512 octets"},
      {WithService("name: 's' tagged_addresses { key: 'lan' value { port: 65536 } }"),
       "service.tagged_addresses[\"lan\"].port is \"65536\"; expected a port from 0 to 65535"},
      {WithService("name: 's' " + MetaPairs(65)),
       "service.meta is \"65 pairs\"; expected at most 64 pairs"},

      {WithCheck(""), "check.id" + not_empty},
      {WithCheck("id: " + Quoted(513)), "check.id" + too_long + "512 octets"},
      {WithCheck("id: 'c' name: " + Quoted(513)), "check.name" + too_long + "512 octets"},
      {WithCheck("id: 'c' service_id: " + Quoted(513)),
       "check.service_id" + too_long + "512 octets"},
      {WithCheck("id: 'c' notes: " + Quoted(65537)), "check.notes" + too_long + "65536 octets"},
      {WithCheck("id: 'c' output: " + Quoted(65537)), "check.output" + too_long + "65536 octets"},

      {"deregister { service_id: 's' }", "node" + not_empty},
      {"deregister { node: " + Quoted(513) + " }", "node" + too_long + "512 octets"},
      {"batch { commands { batch { } } }", "a batch holds a batch; expected single changes"},
      {"batch { commands { deregister { node: 'n' } } commands { deregister { } } }",
       "node" + not_empty},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(ValidateCommand(Parse(row.text)), absl::InvalidArgumentError(row.message));
  }
}

TEST(ValidateCommand, RefusesAStatusThatItDoesNotKnow) {
  Command command = Parse(kEverything);
  command.mutable_register_()->mutable_checks(0)->set_status(
      static_cast<catalog::v1::HealthStatus>(4));
  EXPECT_EQ(
      ValidateCommand(command),
      absl::InvalidArgumentError("check.status is \"4\"; expected passing, warning or critical"));
}

TEST(ValidateCommand, BoundsABatch) {
  Command command;
  Command removal = Parse("deregister { node: 'n' }");
  for (int i = 0; i < (1 << 20); ++i) *command.mutable_batch()->add_commands() = removal;
  EXPECT_EQ(ValidateCommand(command), absl::OkStatus());
  *command.mutable_batch()->add_commands() = removal;
  EXPECT_EQ(ValidateCommand(command),
            absl::InvalidArgumentError(
                "batch is \"1048577 commands\"; expected at most 1048576 commands"));
}

}  // namespace
}  // namespace pharos::registry
