#include "cluster/image_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pharos::cluster {
namespace {

std::string Make(const std::vector<std::string>& blocks) {
  ImageFileWriter writer;
  for (const std::string& block : blocks) writer.Add(block);
  std::string file;
  for (const std::string& part : writer.Finish()) file += part;
  return file;
}

absl::Status Read(const std::string& file, std::vector<std::string>& blocks) {
  blocks.clear();
  return ReadImageFile(AsOctets(file), [&blocks](std::string_view block) {
    blocks.emplace_back(block);
    return absl::OkStatus();
  });
}

TEST(ImageFile, BlocksComeBack) {
  for (const std::vector<std::string>& blocks :
       {std::vector<std::string>{}, {"one"}, {"", "two", std::string(100'000, 'x')}}) {
    const std::string file = Make(blocks);
    EXPECT_EQ(file.size() % 8, 0u);
    std::vector<std::string> read;
    EXPECT_TRUE(Read(file, read).ok());
    EXPECT_EQ(read, blocks);
  }
}

TEST(ImageFile, EveryDamageIsNoticed) {
  const std::string file = Make({"first block", "second block"});
  std::vector<std::string> read;
  for (size_t length = 0; length + 8 <= file.size(); ++length) {
    EXPECT_FALSE(Read(file.substr(0, length), read).ok()) << "cut to " << length;
  }
  // What fills the end up to a multiple of 8, and 4 octets of the header, mean nothing.
  const size_t meaningful = 16 + 8 + 11 + 8 + 12 + 8;
  for (size_t i = 0; i < meaningful; ++i) {
    if (i >= 12 && i < 16) continue;
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(Read(damaged, read).ok()) << "octet " << i;
  }
  EXPECT_FALSE(Read(file + "and something more", read).ok());
}

TEST(ImageFile, ANewerVersionIsToldApartFromDamage) {
  std::string file = Make({"block"});
  file[11] = 2;
  std::vector<std::string> read;
  const absl::Status status = Read(file, read);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(
      std::string(status.message()),
      "the catalog image has format version 2; this version of Pharos reads up to 1: upgrade it");
}

}  // namespace
}  // namespace pharos::cluster
