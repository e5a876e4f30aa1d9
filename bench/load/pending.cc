#include "bench/load/pending.h"

#include <algorithm>

namespace pharos::load {

size_t Pending::Room() const {
  const size_t ids = kIds - static_cast<size_t>(next_ - oldest_);
  return std::min(window_ - waiting_, ids);
}

void Pending::Add(uint32_t question, int64_t sent_ns) {
  queries_[next_ % kIds] = {question, true, sent_ns};
  ++next_;
  ++waiting_;
}

std::optional<Pending::Query> Pending::Take(uint16_t id) {
  Query& query = queries_[id];
  if (!query.waiting) return std::nullopt;
  query.waiting = false;
  --waiting_;
  return query;
}

size_t Pending::Expire(int64_t deadline_ns) {
  size_t lost = 0;
  for (; oldest_ < next_; ++oldest_) {
    Query& query = queries_[oldest_ % kIds];
    if (!query.waiting) continue;
    if (query.sent_ns >= deadline_ns) break;
    query.waiting = false;
    --waiting_;
    ++lost;
  }
  return lost;
}

}  // namespace pharos::load
