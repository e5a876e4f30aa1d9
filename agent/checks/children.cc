#include "agent/checks/children.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
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
  // An `input_fd` of -1: /dev/null.
  SpawnSettings(int input_fd, int output_fd) {
    CHECK(posix_spawn_file_actions_init(&actions_) == 0 && posix_spawnattr_init(&attributes_) == 0);
    CHECK((input_fd < 0
               ? posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
               : posix_spawn_file_actions_adddup2(&actions_, input_fd, STDIN_FILENO)) == 0);
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
  int Spawn(const std::vector<std::string>& args, const std::vector<std::string>& environment,
            pid_t& pid) const {
    std::vector<char*> argv = Pointers(args), envp = Pointers(environment);
    // The first of two of one name counts.
    for (char** ours = environ; *ours != nullptr; ++ours) envp.insert(envp.end() - 1, *ours);
    return posix_spawnp(&pid, argv[0], &actions_, &attributes_, argv.data(), envp.data());
  }

 private:
  // As execve(2) takes them: the last is null.
  static std::vector<char*> Pointers(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
  }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// A file in memory with the text, to be read from its beginning; -1: there is no room for it.
int MakeInput(const std::string& text) {
  const int fd = memfd_create("input", MFD_CLOEXEC);
  if (fd < 0) return -1;
  for (size_t at = 0; at < text.size();) {
    const ssize_t written = write(fd, text.data() + at, text.size() - at);
    if (written < 0) {
      close(fd);
      return -1;
    }
    at += static_cast<size_t>(written);
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

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

absl::StatusOr<Child> Children::Start(const std::vector<std::string>& args,
                                      const ChildInput& input) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("cannot make a pipe", errno);
  const int input_fd = input.text.empty() ? -1 : MakeInput(input.text);
  Child child;
  const int error = SpawnSettings(input_fd, ends[1]).Spawn(args, input.environment, child.pid);
  close(ends[1]);
  if (input_fd >= 0) close(input_fd);
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
