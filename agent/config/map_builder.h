// Puts a map together key by key, in order, in constant time a key: configuration files come from
// outside and may hold very many.
#pragma once

#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "agent/config/value.h"

namespace pharos::agent {

class MapBuilder {
 public:
  explicit MapBuilder(Position at) : map_(Value::Map(at)) {}
  // Goes on with a map that is there already.
  explicit MapBuilder(Value map) : map_(std::move(map)) {
    for (size_t i = 0; i < map_.map.size(); ++i) index_.emplace(map_.map[i].key, i);
  }

  // The value stored under `key`, or null. Valid until the next Set.
  Value* Find(const std::string& key) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &map_.map[found->second].value;
  }
  // Stores the value; one stored before under this key is replaced and keeps its place.
  void Set(std::string key, Position key_at, Value value) {
    const auto [found, added] = index_.try_emplace(key, map_.map.size());
    if (added) {
      map_.map.push_back(Entry{std::move(key), key_at, std::move(value)});
    } else {
      map_.map[found->second].at = key_at;
      map_.map[found->second].value = std::move(value);
    }
  }
  Value Take() && { return std::move(map_); }

 private:
  Value map_;
  absl::flat_hash_map<std::string, size_t> index_;
};

}  // namespace pharos::agent
