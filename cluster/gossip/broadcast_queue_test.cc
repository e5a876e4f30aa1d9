#include "cluster/gossip/broadcast_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pharos::gossip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Take(BroadcastQueue& queue, size_t octets, size_t nodes = 1) {
  std::vector<std::string> taken;
  const size_t used = queue.Take(2, octets, nodes, taken);
  EXPECT_LE(used, octets);
  return taken;
}

TEST(RetransmitLimit, GrowsWithTheLogarithmOfThePool) {
  const struct {
    size_t nodes;
    int want;
  } kRows[] = {{1, 4}, {9, 4}, {10, 8}, {99, 8}, {100, 12}, {999, 12}, {1000, 16}};
  for (const auto& row : kRows) EXPECT_EQ(RetransmitLimit(4, row.nodes), row.want) << row.nodes;
}

TEST(BroadcastQueue, HandsOutWhatWasHandedOutLeastThenTheLongestThenTheNewest) {
  BroadcastQueue queue(4, 100);
  queue.Add("", "aa");
  queue.Add("", "bbbb");
  queue.Add("", "cc");
  EXPECT_THAT(Take(queue, 6), ElementsAre("bbbb"));
  EXPECT_THAT(Take(queue, 8), ElementsAre("cc", "aa"));
  EXPECT_THAT(Take(queue, 100), ElementsAre("bbbb", "cc", "aa"));
}

TEST(BroadcastQueue, FillsTheRoomThatIsLeftFromLaterTiers) {
  BroadcastQueue queue(4, 100);
  queue.Add("", "x");
  Take(queue, 100);
  queue.Add("", std::string(50, 'y'));
  EXPECT_THAT(Take(queue, 10), ElementsAre("x"));
}

TEST(BroadcastQueue, DropsAMessageAtItsLimit) {
  BroadcastQueue queue(2, 100);
  const uint64_t id = queue.Add("", "x");
  EXPECT_THAT(Take(queue, 100), ElementsAre("x"));
  EXPECT_TRUE(queue.Contains(id));
  EXPECT_THAT(Take(queue, 100), ElementsAre("x"));
  EXPECT_FALSE(queue.Contains(id));
  EXPECT_THAT(Take(queue, 100), IsEmpty());
}

TEST(BroadcastQueue, KeepsOneMessageOfAKey) {
  BroadcastQueue queue(4, 100);
  const uint64_t before = queue.Add("alpha", "old");
  Take(queue, 100);
  queue.Add("alpha", "new");
  EXPECT_FALSE(queue.Contains(before));
  EXPECT_THAT(Take(queue, 100), ElementsAre("new"));
}

TEST(BroadcastQueue, IsBounded) {
  BroadcastQueue queue(4, 2);
  queue.Add("", "often");
  Take(queue, 100);
  queue.Add("", "b");
  queue.Add("", "c");
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_THAT(Take(queue, 100), ElementsAre("c", "b"));
}

}  // namespace
}  // namespace pharos::gossip
