#include "agent/user_events.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace pharos::agent {
namespace {

// As Consul 1.8.7 sent it (vector 51 of cluster/gossip/testdata).
TEST(ParseEvent, ReadsWhatConsulWrites) {
  const gossip::UserEvent sent{
      .time = 2,
      .name = "consul:event:hello",
      .payload = absl::HexStringToBytes(
          "84a24944d92437313030303163362d343237322d333032352d373331382d323264346464646163663734a16e"
          "a568656c6c6fa170c4087061796c6f616421a17601"),
      .coalesce = false};
  const std::optional<AgentEvent> event = ParseEvent(sent);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->id, "710001c6-4272-3025-7318-22d4dddacf74");
  EXPECT_EQ(event->name, "hello");
  EXPECT_EQ(event->payload, "payload!");
  EXPECT_EQ(event->time, 2u);
  EXPECT_FALSE(ParseEvent({.time = 1, .name = "deploy", .payload = sent.payload}).has_value());
  EXPECT_FALSE(ParseEvent({.time = 1, .name = sent.name, .payload = "x"}).has_value());
}

TEST(PackEvent, IsReadBack) {
  const AgentEvent event{.id = "an-id",
                         .name = "deploy",
                         .payload = "v1",
                         .node_filter = "^web",
                         .service_filter = "redis",
                         .tag_filter = "master",
                         .time = 0};
  const auto again =
      ParseEvent({.time = 7, .name = EventNameInPool(event.name), .payload = PackEvent(event)});
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->node_filter, "^web");
  EXPECT_EQ(again->service_filter, "redis");
  EXPECT_EQ(again->tag_filter, "master");
  EXPECT_EQ(again->payload, "v1");
}

TEST(CheckEvent, RefusesWhatNobodyCouldFit) {
  AgentEvent event;
  EXPECT_EQ(CheckEvent(event).message(), "User event missing name");
  event.name = "x";
  EXPECT_TRUE(CheckEvent(event).ok());
  event.tag_filter = "a";
  EXPECT_EQ(CheckEvent(event).message(), "Cannot provide tag filter without service filter");
  event.service_filter = "(";
  EXPECT_FALSE(CheckEvent(event).ok());
}

TEST(IsFor, GoesByNodeServiceAndTag) {
  LocalState state;
  ServiceDefinition service;
  service.name = "redis";
  service.tags = {"master", "v1"};
  state.services["redis"].definition = service;
  const struct {
    const char *node, *service, *tag;
    bool want;
  } kRows[] = {{"", "", "", true},          {"^web", "", "", true},    {"db", "", "", false},
               {"", "redis", "", true},     {"", "mysql", "", false},  {"", "redis", "^v", true},
               {"", "redis", "old", false}, {"db", "redis", "", false}};
  for (const auto& row : kRows) {
    AgentEvent event;
    event.node_filter = row.node;
    event.service_filter = row.service;
    event.tag_filter = row.tag;
    EXPECT_EQ(IsFor(event, "web-1", state), row.want) << row.node << row.service << row.tag;
  }
}

TEST(UserEvents, KeepsTheLastOnesAndTellsOfThem) {
  UserEvents events;
  int told = 0;
  const auto asker = std::make_shared<int>();
  events.Listen(asker, [&] {
    ++told;
    return told < 2;
  });
  auto gone = std::make_shared<int>();
  events.Listen(gone, [] {
    ADD_FAILURE() << "nobody is there to be told";
    return true;
  });
  gone.reset();
  for (size_t i = 0; i < UserEvents::kEventsMax + 10; ++i) {
    AgentEvent event;
    event.id = std::to_string(i);
    EXPECT_TRUE(events.Add(event));
    EXPECT_FALSE(events.Add(event)) << "again";
  }
  EXPECT_EQ(events.List().size(), UserEvents::kEventsMax);
  EXPECT_EQ(events.List().front().id, "10");
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace pharos::agent
