// One run of a command: its output and how it ended.
#pragma once

#include <uv.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/checks/children.h"
#include "agent/checks/output.h"
#include "agent/checks/uv_handle.h"

namespace pharos::agent {

// All calls are on the loop's thread.
class Command {
 public:
  // `code` is the exit code, or -1 if a signal ended it. The command may be destroyed within.
  using Ended = std::function<void(int code)>;

  // Keeps at most `octets_max` octets, the last, of what the command prints.
  Command(uv_loop_t* loop, Children& children, size_t octets_max);
  // Kills the command, if it runs, with its whole process group.
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // Runs `args` (Children::Start) and calls `ended` once its first process has ended; what that
  // left running in its process group is killed. Once.
  absl::Status Start(const std::vector<std::string>& args, Ended ended,
                     const ChildInput& input = {});

  std::string Output() const { return output_.Text(); }

 private:
  void ReadOutput();
  void TakeEnd();
  void End();

  uv_loop_t* loop_;
  Children& children_;
  Child child_;
  OutputTail output_;
  Ended ended_;
  UvHandle<uv_poll_t> output_poll_, end_poll_;
};

}  // namespace pharos::agent
