#include "cluster/change_ring.h"

#include <gtest/gtest.h>

#include "proto/peer.pb.h"

namespace pharos::cluster {
namespace {

// The indexes of the changes in responses that stand behind each other.
std::vector<uint64_t> IndexesOf(const std::vector<SharedOctets>& taken) {
  std::string joined;
  for (const SharedOctets& octets : taken) joined += *octets;
  peer::v1::FollowResponse response;
  EXPECT_TRUE(response.ParseFromString(joined));
  std::vector<uint64_t> indexes;
  for (const peer::v1::Change& change : response.changes()) indexes.push_back(change.index());
  return indexes;
}

TEST(ChangeRing, GivesWhatFollowsAnIndexInOrderAndAsOneMessage) {
  ChangeRing ring;
  ring.Reset(3);
  for (const uint64_t index : {4, 7, 8}) ring.Add(index, AsOctets("entry"));
  uint64_t at = 5;
  EXPECT_EQ(IndexesOf(ring.Take(at, 1000)), (std::vector<uint64_t>{7, 8}));
  EXPECT_EQ(at, 8u);
  EXPECT_TRUE(ring.Take(at, 1000).empty());
  at = 3;
  EXPECT_EQ(IndexesOf(ring.Take(at, 1)), (std::vector<uint64_t>{4})) << "one at least";
  EXPECT_EQ(at, 4u);
}

TEST(ChangeRing, CoversWhatItHasAndWhatIsStillToCome) {
  ChangeRing ring;
  ring.Reset(10);
  EXPECT_FALSE(ring.Covers(9));
  EXPECT_TRUE(ring.Covers(10));
  EXPECT_TRUE(ring.Covers(99));
  ring.Add(12, AsOctets("x"));
  ring.Reset(20);
  EXPECT_FALSE(ring.Covers(12));
  EXPECT_EQ(ring.last_index(), 20u);
}

TEST(ChangeRing, ForgetsTheOldestAtItsBound) {
  ChangeRing ring;
  const std::string entry(ChangeRing::kOctetsMax / 4, 'x');
  for (uint64_t index = 1; index <= 10; ++index) ring.Add(index, AsOctets(entry));
  EXPECT_LE(ring.octets(), ChangeRing::kOctetsMax);
  EXPECT_FALSE(ring.Covers(1));
  EXPECT_TRUE(ring.Covers(10 - ring.size()));
  uint64_t at = 10 - ring.size();
  EXPECT_EQ(IndexesOf(ring.Take(at, SIZE_MAX)).size(), ring.size());
}

}  // namespace
}  // namespace pharos::cluster
