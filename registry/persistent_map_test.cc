#include "registry/persistent_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace pharos::registry {
namespace {

using Map = PersistentMap<std::string, int>;

std::map<std::string, int> Content(const Map& map) {
  std::map<std::string, int> content;
  map.ForEach([&content](const std::string& key, int value) { content[key] = value; });
  return content;
}

TEST(PersistentMap, BehavesAsStdMapAndOldCopiesNeverChange) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Map map;
    std::map<std::string, int> model;
    std::vector<std::pair<Map, std::map<std::string, int>>> copies;
    for (int step = 0; step < 20000; ++step) {
      const std::string key = "key" + std::to_string(random() % 3000);
      if (random() % 3 == 0) {
        EXPECT_EQ(map.Erase(key), model.erase(key) == 1);
      } else {
        map.Set(key, step);
        model[key] = step;
      }
      EXPECT_EQ(map.size(), model.size());
      if (step % 2500 == 0) copies.emplace_back(map, model);
    }
    EXPECT_EQ(Content(map), model);
    for (const auto& [copy, content] : copies) EXPECT_EQ(Content(copy), content);
    for (const auto& [key, value] : model) {
      const int* found = map.Find(std::string_view(key));
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(*found, value);
    }
    EXPECT_EQ(map.Find(std::string_view("never")), nullptr);
  }
}

TEST(PersistentMap, LookingUpInStagesFindsTheSame) {
  Map map;
  constexpr int kCount = 3000;
  for (int i = 0; i < kCount; i += 2) map.Set("key" + std::to_string(i), i);
  std::vector<std::string> keys;
  keys.reserve(kCount);
  for (int i = 0; i < kCount; ++i) keys.push_back("key" + std::to_string(i));
  std::vector<Map::Cursor> cursors;
  cursors.reserve(keys.size());
  for (const std::string& key : keys) cursors.push_back(map.Start(HashKey(std::string_view(key))));
  for (Map::Cursor& cursor : cursors) Map::PrefetchShard(cursor);
  for (Map::Cursor& cursor : cursors) Map::PrefetchEntry(cursor);
  for (int i = 0; i < kCount; ++i) {
    const auto at = static_cast<size_t>(i);
    const int* found = Map::Find(keys[at], cursors[at]);
    EXPECT_EQ(found, map.Find(keys[at]));
    EXPECT_EQ(found != nullptr, i % 2 == 0);
  }
}

TEST(PersistentMap, AnEmptyMapHasNothing) {
  Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.Find(std::string_view("")), nullptr);
  EXPECT_FALSE(map.Erase("x"));
  Map::Cursor cursor = map.Start(HashKey(std::string_view("x")));
  Map::PrefetchShard(cursor);
  Map::PrefetchEntry(cursor);
  EXPECT_EQ(Map::Find(std::string_view("x"), cursor), nullptr);
}

// Values are destroyed when the last copy that has them goes.
TEST(PersistentMap, ReleasesWhatNoCopyHolds) {
  struct Tracked : RefCounted {
    explicit Tracked(int& count) : alive(count) { ++alive; }
    ~Tracked() { --alive; }
    Tracked(const Tracked&) = delete;
    Tracked& operator=(const Tracked&) = delete;
    int& alive;
  };
  int alive = 0;
  PersistentMap<std::string, Ref<Tracked>> map;
  for (int i = 0; i < 100; ++i) map.Set(std::to_string(i), MakeRef<Tracked>(alive));
  {
    const auto copy = map;
    for (int i = 0; i < 60; ++i) map.Erase(std::to_string(i));
    EXPECT_EQ(alive, 100);
    EXPECT_EQ(copy.size(), 100u);
  }
  EXPECT_EQ(alive, 40);
}

}  // namespace
}  // namespace pharos::registry
