// How often each service was asked for by its name, on one HTTP thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace pharos::http {

// Where it was asked for; each has its own metrics.
enum class AskedIn : uint8_t { kHealth, kCatalog };

class ServiceQueryCounts {
 public:
  // Services, and sets of tags of them, that are counted each by itself: names come from clients,
  // so what is beyond counts as the service kOthers.
  static constexpr size_t kCountedMax = 1000;
  static constexpr std::string_view kOthers = "*";

  struct Key {
    AskedIn asked_in;
    std::string service;
    std::string tags;  // Sorted and joined by commas; empty: none were asked for.

    bool operator<(const Key& other) const {
      return std::tie(asked_in, service, tags) <
             std::tie(other.asked_in, other.service, other.tags);
    }
  };
  struct Counts {
    uint64_t asked = 0;
    uint64_t not_found = 0;  // Of them: there was no such instance.
  };

  void Add(AskedIn asked_in, const std::string& service, std::vector<std::string> tags, bool found);

  const std::map<Key, Counts>& counts() const { return counts_; }

 private:
  std::map<Key, Counts> counts_;
};

}  // namespace pharos::http
