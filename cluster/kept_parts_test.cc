#include "cluster/kept_parts.h"

#include <gtest/gtest.h>

#include <memory>

namespace pharos::cluster {
namespace {

TEST(KeptParts, AreReadAsTheyWereWritten) {
  const std::vector<ToldPart> parts = {
      {"dc1", "sweb", 1234, std::make_shared<const std::string>("one")},
      {"dc2", "Q", 5678, std::make_shared<const std::string>("two")}};
  const auto read = DecodeKeptParts(AsOctets(EncodeKeptParts(parts)));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].datacenter(), "dc1");
  EXPECT_EQ((*read)[0].topic(), "sweb");
  EXPECT_EQ((*read)[0].fresh_unix_ms(), 1234);
  EXPECT_EQ((*read)[0].response(), "one");
  EXPECT_EQ((*read)[1].topic(), "Q");
}

TEST(KeptParts, NotesThatAnOctetWasChanged) {
  std::string file =
      EncodeKeptParts({{"dc1", "sweb", 1, std::make_shared<const std::string>("response")}});
  for (size_t at = 0; at < file.size(); ++at) {
    file[at] = static_cast<char>(file[at] ^ 1);
    const auto read = DecodeKeptParts(AsOctets(file));
    // Padding means nothing; everything else is noticed.
    if (read.ok()) {
      EXPECT_EQ(read->at(0).response(), "response");
    }
    file[at] = static_cast<char>(file[at] ^ 1);
  }
  EXPECT_FALSE(DecodeKeptParts(AsOctets(file.substr(0, file.size() - 8))).ok());
}

}  // namespace
}  // namespace pharos::cluster
