#include "agent/local/store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace pharos::agent {
namespace {

class StoreTest : public testing::Test {
 protected:
  StoreTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("pharos-store-" + std::to_string(getpid()))) {}
  ~StoreTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  Store store_{folder_.string()};
};

TEST_F(StoreTest, KeepsRegistrationsOfEachKindApart) {
  const std::string odd = "a/../\"b\"\n" + std::string(300, 'x');
  ASSERT_TRUE(store_.Put(Kept::kService, "web", R"({"Name":"web"})").ok());
  ASSERT_TRUE(store_.Put(Kept::kService, odd, "{}").ok());
  ASSERT_TRUE(store_.Put(Kept::kCheck, "web", "check").ok());
  ASSERT_TRUE(store_.Put(Kept::kMaintenance, "", "why").ok());

  const Store again(folder_.string());
  const auto services = again.Load(Kept::kService);
  ASSERT_EQ(services.size(), 2U);
  EXPECT_EQ(services[0].id, odd);
  EXPECT_EQ(services[1].id, "web");
  EXPECT_EQ(services[1].body, R"({"Name":"web"})");
  ASSERT_EQ(again.Load(Kept::kCheck).size(), 1U);
  EXPECT_EQ(again.Load(Kept::kMaintenance).at(0).body, "why");
}

TEST_F(StoreTest, ReplacesAndRemoves) {
  ASSERT_TRUE(store_.Put(Kept::kService, "web", "1").ok());
  ASSERT_TRUE(store_.Put(Kept::kService, "web", "2").ok());
  EXPECT_EQ(store_.Load(Kept::kService).at(0).body, "2");
  ASSERT_TRUE(store_.Remove(Kept::kService, "web").ok());
  EXPECT_TRUE(store_.Load(Kept::kService).empty());
  EXPECT_TRUE(store_.Remove(Kept::kService, "web").ok()) << "what is not there is no error";
  EXPECT_TRUE(store_.Remove(Kept::kCheck, "web").ok()) << "nor is a folder that is not";
}

TEST_F(StoreTest, LeavesOutWhatItCannotReadAndLosesNothing) {
  ASSERT_TRUE(store_.Put(Kept::kService, "web", "{}").ok());
  const std::filesystem::path bad = folder_ / "services" / "bad.json";
  std::ofstream(bad) << "half of a fi";
  EXPECT_EQ(store_.Load(Kept::kService).size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(bad));
}

TEST_F(StoreTest, KeepsWhatATtlCheckWasTold) {
  EXPECT_FALSE(store_.LoadTtl("c"));
  const absl::Time deadline = absl::FromUnixMillis(1'700'000'000'123);
  store_.PutTtl("c", {.status = registry::Health::kWarning, .output = "hot", .deadline = deadline});
  const auto kept = store_.LoadTtl("c");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->status, registry::Health::kWarning);
  EXPECT_EQ(kept->output, "hot");
  EXPECT_EQ(kept->deadline, deadline);
  store_.RemoveTtl("c");
  EXPECT_FALSE(store_.LoadTtl("c"));
}

TEST(Store, KeepsNothingWithoutADataDirectory) {
  Store store("");
  EXPECT_TRUE(store.Put(Kept::kService, "web", "{}").ok());
  EXPECT_TRUE(store.Load(Kept::kService).empty());
}

}  // namespace
}  // namespace pharos::agent
