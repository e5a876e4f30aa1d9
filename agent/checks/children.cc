#include "agent/checks/children.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/log.h"

namespace pharos::agent {
namespace {

constexpr absl::Duration kReapInterval = absl::Milliseconds(20);
constexpr int kLastWaitMs = 1000;

absl::Status ErrnoStatus(std::string_view what, int error) {
  return absl::UnavailableError(absl::StrFormat("%s: %s", what, std::strerror(error)));
}

// What posix_spawn is told: descriptors, session and signals of the child.
class SpawnSettings {
 public:
  explicit SpawnSettings(int output_fd) {
    CHECK(posix_spawn_file_actions_init(&actions_) == 0 && posix_spawnattr_init(&attributes_) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions_, output_fd, STDOUT_FILENO) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions_, output_fd, STDERR_FILENO) == 0);
    // Not every library opens its sockets to close on exec.
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1) == 0);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    CHECK(posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF) == 0);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // 0 or an errno, execve's too.
  int Spawn(const std::vector<std::string>& args, pid_t& pid) const {
    std::vector<char*> argv;
    argv.reserve(args.size() + 1);
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    return posix_spawnp(&pid, argv[0], &actions_, &attributes_, argv.data(), environ);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// Whether the child had ended; its descriptor is closed then.
bool Reap(int pid_fd) {
  siginfo_t info{};
  const bool waits =
      waitid(P_PIDFD, static_cast<id_t>(pid_fd), &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0;
  if (!waits) close(pid_fd);
  return !waits;
}

}  // namespace

Children::Children(uv_loop_t* loop) : timer_(loop) {}

Children::~Children() {
  CHECK(running_ == 0);
  for (const int pid_fd : ending_) {
    pollfd ended = {.fd = pid_fd, .events = POLLIN, .revents = 0};
    poll(&ended, 1, kLastWaitMs);
    if (!Reap(pid_fd)) {
      PHAROS_LOG(kWarn, "agent.checks", "a killed child does not end; left behind");
      close(pid_fd);
    }
  }
}

absl::StatusOr<Child> Children::Start(const std::vector<std::string>& args) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("cannot make a pipe", errno);
  Child child;
  const int error = SpawnSettings(ends[1]).Spawn(args, child.pid);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    return ErrnoStatus(absl::StrFormat("cannot run \"%s\"", args[0]), error);
  }
  child.output_fd = ends[0];
  fcntl(child.output_fd, F_SETFL, O_NONBLOCK);
  // By its number: glibc 2.36 declares pidfd_open for C alone.
  child.pid_fd = static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0));
  if (child.pid_fd < 0) {
    const int why = errno;
    kill(-child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    close(child.output_fd);
    return ErrnoStatus("cannot watch a child", why);
  }
  ++running_;
  return child;
}

void Children::End(Child child) {
  --running_;
  close(child.output_fd);
  // Its number stays its own until it is reaped, so this cannot meet anyone else.
  kill(-child.pid, SIGKILL);
  ending_.push_back(child.pid_fd);
  ReapEnded();
}

void Children::ReapEnded() {
  ending_.erase(std::remove_if(ending_.begin(), ending_.end(), Reap), ending_.end());
  if (!ending_.empty()) timer_.Once(kReapInterval, [this] { ReapEnded(); });
}

}  // namespace pharos::agent
