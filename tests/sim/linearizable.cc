#include "tests/sim/linearizable.h"

#include <algorithm>
#include <bitset>
#include <unordered_set>

#include "base/check.h"

namespace pharos::sim {
namespace {

constexpr size_t kOperationsMax = 512;
using Taken = std::bitset<kOperationsMax>;

struct State {
  Taken taken;
  int64_t value;
  friend bool operator==(const State&, const State&) = default;
};
struct HashState {
  size_t operator()(const State& state) const {
    return std::hash<Taken>()(state.taken) * 31 + std::hash<int64_t>()(state.value);
  }
};

// Tries every order that the times allow, depth first; a state that was seen before leads nowhere.
class Search {
 public:
  explicit Search(const std::vector<Operation>& history) : history_(history) {
    for (const Operation& operation : history_) {
      if (operation.ended != Operation::kNever) ++must_;
    }
  }

  bool Run(int64_t first) {
    struct Frame {
      State state;
      size_t done;
      size_t next;
    };
    std::vector<Frame> stack = {{{{}, first}, 0, 0}};
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.done == must_) return true;
      const uint64_t earliest_end = EarliestEnd(frame.state.taken);
      bool descended = false;
      for (size_t i = frame.next; i < history_.size(); ++i) {
        const Operation& operation = history_[i];
        if (frame.state.taken[i] || operation.begun > earliest_end) continue;
        if (!operation.is_write && operation.value != frame.state.value) continue;
        State state = frame.state;
        state.taken[i] = true;
        if (operation.is_write) state.value = operation.value;
        if (!seen_.insert(state).second) continue;
        frame.next = i + 1;
        const size_t done = frame.done + (operation.ended != Operation::kNever ? 1 : 0);
        stack.push_back({state, done, 0});
        descended = true;
        break;
      }
      if (!descended) stack.pop_back();
    }
    return false;
  }

 private:
  uint64_t EarliestEnd(const Taken& taken) const {
    uint64_t earliest = Operation::kNever;
    for (size_t i = 0; i < history_.size(); ++i) {
      if (!taken[i]) earliest = std::min(earliest, history_[i].ended);
    }
    return earliest;
  }

  const std::vector<Operation>& history_;
  size_t must_ = 0;
  std::unordered_set<State, HashState> seen_;
};

}  // namespace

bool IsLinearizable(const std::vector<Operation>& history, int64_t first) {
  std::unordered_set<int64_t> read;
  for (const Operation& operation : history) {
    if (!operation.is_write) read.insert(operation.value);
  }
  // A write of unknown outcome that nobody saw may come after all else, so it forbids nothing.
  std::vector<Operation> telling;
  for (const Operation& operation : history) {
    const bool unknown = operation.is_write && operation.ended == Operation::kNever;
    if (!unknown || read.contains(operation.value)) telling.push_back(operation);
  }
  CHECK(telling.size() <= kOperationsMax);
  return Search(telling).Run(first);
}

}  // namespace pharos::sim
