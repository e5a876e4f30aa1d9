// Child processes: started with nothing of ours open, and ended with all that they started.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/loop.h"

namespace pharos::agent {

// A running child. Its two descriptors are owned by whoever holds it, until Children::End.
struct Child {
  pid_t pid = -1;
  int pid_fd = -1;     // Readable once the child has ended (pidfd_open(2)).
  int output_fd = -1;  // What it writes to its standard output and error. Does not block.
};

// What a child is given beside its arguments.
struct ChildInput {
  std::string text{};                      // On its standard input; empty: /dev/null is there.
  std::vector<std::string> environment{};  // `NAME=value`, beside ours.
};

// All calls are on the loop's thread.
class Children {
 public:
  explicit Children(uv_loop_t* loop);
  // Waits, a second at most, for the last of those that were ended.
  ~Children();
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  // Starts `args` (its first is looked for in PATH) in a session of its own, with our environment,
  // one pipe as standard output and error, no other descriptor, and the default action for every
  // signal. An error says why it could not be started.
  absl::StatusOr<Child> Start(const std::vector<std::string>& args, const ChildInput& input = {});

  // Kills what is left of the child's process group, with SIGKILL, and takes the child's end when
  // it comes. Processes that left the group (setsid(1)) go on.
  void End(Child child);

  // Children that were started and have not ended.
  size_t count() const { return running_ + ending_.size(); }

 private:
  void ReapEnded();

  LoopTimer timer_;
  size_t running_ = 0;
  std::vector<int> ending_;  // Their pid_fd.
};

}  // namespace pharos::agent
