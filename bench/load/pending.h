// The queries under way on one socket, by message id.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace pharos::load {

// Ids go round in order, so the oldest query is found without a search, and an id is used again
// only when everything sent before it has been answered or given up.
class Pending {
 public:
  struct Query {
    uint32_t question = 0;  // Its place among all questions.
    bool waiting = false;
    int64_t sent_ns = 0;
  };

  explicit Pending(size_t window) : queries_(kIds), window_(window) {}

  // How many more may be sent now.
  size_t Room() const;
  // The id of the query that will be added `ahead` queries from now.
  uint16_t IdAhead(size_t ahead) const { return static_cast<uint16_t>(next_ + ahead); }
  void Add(uint32_t question, int64_t sent_ns);
  // The query that a reply with this id answers, which is then no longer under way; nullopt for
  // an id that nothing waits for.
  std::optional<Query> Take(uint16_t id);
  // Gives up what was sent before `deadline_ns`; returns how many that were.
  size_t Expire(int64_t deadline_ns);
  bool empty() const { return waiting_ == 0; }

 private:
  static constexpr size_t kIds = 65'536;

  std::vector<Query> queries_;
  size_t window_;
  size_t waiting_ = 0;
  // Counts of all queries; their low 16 bits are ids. Everything before oldest_ is done.
  uint64_t oldest_ = 0;
  uint64_t next_ = 0;
};

}  // namespace pharos::load
