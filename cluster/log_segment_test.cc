#include "cluster/log_segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace pharos::cluster {
namespace {

using End = SegmentState::End;

// Three batches as libraft wrote them, of 192, 280 and 192 octets, and the zeros behind them.
constexpr size_t kSecond = 200, kThird = 480, kEnd = 672;

constexpr std::string_view kBatches =
    "0100000000000000a194352ba3419b0001000000000000001e0000000000000001000000a0000000504800010000"
    "0093098014c794dfef392d10ed818080e0031a2908e386feaca13412200a120a066e6f64652d341a0831302e302e"
    "302e311a0a12056f776e2d3428a8071a2908e386feaca13412200a120a066e6f64652d321a0831302e302e302e31"
    "1a0a12056f776e2d3228b9081a2b08d886feaca13412220a130a076e6f64652d31301a0831302e302e302e311a0b"
    "12066f776e2d313028f20700000000005db1d8f4442b5c7901000000000000001e0000000000000001000000f800"
    "000050480001000000ed098014c794dfef392d10ee818080e0031a2908f886feaca13412200a120a066e6f64652d"
    "391a0831302e302e302e311a0a12056f776e2d3928ef081a2b08ff86feaca13412220a130a076e6f64652d31351a"
    "0831302e302e302e311a0b12066f776e2d313528df081a2908ff86feaca13412200a120a066e6f64652d301a0831"
    "302e302e302e311a0a12056f776e2d3028e1071a2b088087feaca13412220a130a076e6f64652d31341a0831302e"
    "302e302e311a0b12066f776e2d313428f9081a2b088087feaca13412220a130a076e6f64652d31321a0831302e30"
    "2e302e311a0b12066f776e2d313228b508000000a194352b6a81e60901000000000000001e000000000000000100"
    "0000a00000005048000100000091098014c794dfef392d10ef818080e0031a2908fe86feaca13412200a120a066e"
    "6f64652d351a0831302e302e302e311a0a12056f776e2d35289d081a29088987feaca13412200a120a066e6f6465"
    "2d371a0831302e302e302e311a0a12056f776e2d3728f3091a29089187feaca13412200a120a066e6f64652d361a"
    "0831302e302e302e311a0a12056f776e2d3628fa0600000000000000";

std::string Segment() {
  return absl::HexStringToBytes(absl::string_view(kBatches.data(), kBatches.size())) +
         std::string(352, '\0');
}

std::string Damaged(size_t at) {
  std::string segment = Segment();
  segment[at] = static_cast<char>(segment[at] ^ 1);
  return segment;
}

TEST(LogSegment, TellsDamageFromAWriteThatWasCutShort) {
  std::string moved = Segment();
  moved.insert(kThird, 32, 'x');
  const struct {
    std::string shows, segment;
    End end;
    size_t end_octets;
  } kRows[] = {
      {"whole", Segment(), End::kClean, kEnd},
      {"without zeros", Segment().substr(0, kEnd), End::kClean, kEnd},
      {"never written to", std::string(512, '\0'), End::kClean, 0},
      {"empty", "", End::kClean, 0},
      {"the last batch is not there", Segment().substr(0, kThird), End::kClean, kThird},
      {"the last batch is half there", Segment().substr(0, kThird + 100), End::kCut, kThird},
      {"the last batch is not what it was", Damaged(kThird + 100), End::kCut, kThird},
      {"a checksum", Damaged(kSecond), End::kDamaged, kSecond},
      {"the number of entries", Damaged(kSecond + 8), End::kDamaged, kSecond},
      {"a length", Damaged(kSecond + 28), End::kDamaged, kSecond},
      {"an entry", Damaged(kSecond + 200), End::kDamaged, kSecond},
      {"the first batch", Damaged(8), End::kDamaged, 8},
      {"something in between", moved, End::kDamaged, kThird},
  };
  for (const auto& row : kRows) {
    const SegmentState state = InspectSegment(AsOctets(row.segment));
    EXPECT_EQ(state.end, row.end) << row.shows;
    EXPECT_EQ(state.end_octets, row.end_octets) << row.shows;
    EXPECT_EQ(state.has_entries, row.end_octets > 8) << row.shows;
  }
}

TEST(LogSegment, LooksAtTheOpenSegmentsOfALogInTheirOrder) {
  const std::string folder = testing::TempDir() + "/log_segment_test";
  const auto write = [&](const std::string& name, const std::string& octets) {
    ASSERT_TRUE(ReplaceFileLoosely(folder + "/" + name, octets).ok());
  };
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(CreateDirectories(folder).ok());
  write("open-9", Segment());
  write("open-10", Segment().substr(0, kThird + 100));
  write("open-11", std::string(1024, '\0'));
  write("metadata1", "x");
  EXPECT_TRUE(CheckOpenSegments(folder).ok());
  write("open-12", Segment());
  EXPECT_EQ(CheckOpenSegments(folder).message(),
            "the end of open-10 cannot be read, and entries follow in open-12");
  write("open-9", Damaged(kSecond));
  EXPECT_EQ(CheckOpenSegments(folder),
            absl::DataLossError("open-9 cannot be read at octet 200, and entries follow"));
  std::filesystem::remove_all(folder);
}

TEST(LogSegment, RemovesWhatATruncationLeftThatWasCutShort) {
  const std::string folder = testing::TempDir() + "/log_segment_test";
  const std::vector<std::string> whole = {"0000000000000001-0000000000000004",
                                          "0000000000000005-0000000000000009",
                                          "0000000000000010-0000000000000012",
                                          "metadata1",
                                          "open-9",
                                          "snapshot-1-9-15",
                                          "snapshot-1-9-15.meta"};
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(CreateDirectories(folder).ok());
  for (const std::string& name : whole) {
    ASSERT_TRUE(ReplaceFileLoosely(absl::StrCat(folder, "/", name), "x").ok());
  }
  ASSERT_TRUE(ReplaceFileLoosely(folder + "/0000000000000005-0000000000000007", "x").ok());
  EXPECT_TRUE(UndoTruncation(folder).ok());
  std::vector<std::string> left;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    left.push_back(file.path().filename());
  }
  EXPECT_THAT(left, testing::UnorderedElementsAreArray(whole));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace pharos::cluster
