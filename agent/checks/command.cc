#include "agent/checks/command.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace pharos::agent {
namespace {

// A child that prints without end gets its turn like every other.
constexpr int kReadsPerTurn = 16;

}  // namespace

Command::Command(uv_loop_t* loop, Children& children, size_t octets_max)
    : loop_(loop), children_(children), output_(octets_max) {}

Command::~Command() {
  if (child_.pid >= 0) End();
}

absl::Status Command::Start(const std::vector<std::string>& args, Ended ended,
                            const ChildInput& input) {
  absl::StatusOr<Child> child = children_.Start(args, input);
  if (!child.ok()) return child.status();
  child_ = *child;
  ended_ = std::move(ended);
  int error = output_poll_.Open(
      this, [&](uv_poll_t* poll) { return uv_poll_init(loop_, poll, child_.output_fd); });
  if (error == 0) {
    error = end_poll_.Open(
        this, [&](uv_poll_t* poll) { return uv_poll_init(loop_, poll, child_.pid_fd); });
  }
  if (error != 0) {
    End();
    return absl::UnavailableError(uv_strerror(error));
  }
  uv_poll_start(output_poll_.get(), UV_READABLE,
                [](uv_poll_t* poll, int, int) { static_cast<Command*>(poll->data)->ReadOutput(); });
  uv_poll_start(end_poll_.get(), UV_READABLE,
                [](uv_poll_t* poll, int, int) { static_cast<Command*>(poll->data)->TakeEnd(); });
  return absl::OkStatus();
}

void Command::ReadOutput() {
  std::array<char, 16384> buffer;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t got = read(child_.output_fd, buffer.data(), buffer.size());
    if (got > 0) {
      output_.Add({buffer.data(), static_cast<size_t>(got)});
      continue;
    }
    // At the end there is nothing more to poll for.
    if (got == 0) uv_poll_stop(output_poll_.get());
    return;
  }
}

void Command::TakeEnd() {
  ReadOutput();  // What it wrote just before.
  siginfo_t info{};
  // WNOWAIT: reaping is End's, after it has used the process number.
  const bool exited =
      waitid(P_PIDFD, static_cast<id_t>(child_.pid_fd), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      info.si_code == CLD_EXITED;
  End();
  const Ended ended = std::move(ended_);
  ended(exited ? info.si_status : -1);
}

void Command::End() {
  output_poll_.Close();
  end_poll_.Close();
  children_.End(std::exchange(child_, Child()));
}

}  // namespace pharos::agent
