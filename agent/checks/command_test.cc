// Checks that run a command: scripts, Docker and services of the system.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "agent/checks/test_runner.h"

namespace pharos::agent {
namespace {

using registry::Health;
using testing::HasSubstr;
using testing::StartsWith;

CheckDefinition Shell(const std::string& line) {
  CheckDefinition check;
  check.args = {"/bin/sh", "-c", line};
  return check;
}

// A named pipe that processes hold open while they live.
class LifeLine {
 public:
  LifeLine() : path_(absl::StrCat(testing::TempDir(), "life_line_", getpid())) {
    unlink(path_.c_str());
    EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    // With a writer of our own meanwhile, so that opening does not wait.
    reader_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fcntl(reader_, F_SETFL, 0);
  }
  ~LifeLine() {
    close(reader_);
    unlink(path_.c_str());
  }
  LifeLine(const LifeLine&) = delete;
  LifeLine& operator=(const LifeLine&) = delete;

  const std::string& path() const { return path_; }
  // Waits until somebody has written the octet that says that it is there.
  void WaitForHolder() {
    char octet = 0;
    while (read(reader_, &octet, 1) != 1) std::this_thread::yield();
  }
  // Waits until nobody holds it any more.
  void WaitForNobody() {
    char octet = 0;
    while (read(reader_, &octet, 1) > 0) continue;
  }

 private:
  std::string path_;
  int reader_;
};

TEST(ScriptCheck, TakesItsStatusFromTheExitCode) {
  TestRunner runner;
  const struct {
    std::string_view line;
    Health status;
    std::string_view output;
  } kRows[] = {
      {"echo fine", Health::kPassing, "fine\n"},
      {"echo hm; exit 1", Health::kWarning, "hm\n"},
      {"echo bad >&2; exit 2", Health::kCritical, "bad\n"},
      {"echo out; echo err >&2; echo out; exit 0", Health::kPassing, "out\nerr\nout\n"},
      {"kill -9 $$", Health::kCritical, ""},
      {"cat", Health::kPassing, ""},
      {"printf 'a\\377b'", Health::kPassing,
       "a\xEF\xBF\xBD"
       "b"},
  };
  for (const auto& row : kRows) {
    const CheckReport report = runner.RunOnce(Shell(std::string(row.line)));
    EXPECT_EQ(report.status, row.status) << row.line;
    EXPECT_EQ(report.output, row.output) << row.line;
  }
}

TEST(ScriptCheck, SaysWhyItCouldNotBeStarted) {
  TestRunner runner;
  CheckDefinition check;
  check.args = {"/no/such/program"};
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_EQ(report.output, "cannot run \"/no/such/program\": No such file or directory");
}

TEST(ScriptCheck, KeepsTheEndOfItsOutput) {
  TestRunner runner;
  CheckDefinition check = Shell("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done");
  check.output_octets_max = 20;
  EXPECT_EQ(runner.RunOnce(check).output,
            "Captured 20 of 48890 bytes\n...\nline 4998\nline 4999\n");
}

TEST(ScriptCheck, InheritsNoDescriptor) {
  // One without close-on-exec, as a library might open it.
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int leaking = fcntl(null, F_DUPFD, 100);
  TestRunner runner;
  const CheckReport report = runner.RunOnce(
      Shell(absl::StrCat("readlink /proc/$$/fd/0; [ ! -e /proc/$$/fd/", leaking, " ]")));
  close(leaking);
  close(null);
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_EQ(report.output, "/dev/null\n");
}

TEST(ScriptCheck, IsKilledWithAllItStartedAtItsTimeout) {
  LifeLine life_line;
  TestRunner runner;
  CheckDefinition check =
      Shell("echo begun; (echo x; exec sleep 1000) > " + life_line.path() + " & wait");
  check.timeout = absl::Milliseconds(300);
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, StartsWith("Timed out (300ms) running check"));
  life_line.WaitForNobody();
}

TEST(ScriptCheck, LeavesNothingRunningBehindItsEnd) {
  LifeLine life_line;
  TestRunner runner;
  // Waits for its child to hold the line, as the open of a named pipe waits for its reader.
  CheckDefinition check = Shell("exec 3> " + life_line.path() + "; sleep 1000 & exit 0");
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
  life_line.WaitForNobody();
}

TEST(ScriptCheck, IsKilledWhenTheRunnerGoes) {
  LifeLine life_line;
  TestRunner runner;
  CheckDefinition check = Shell("exec 3> " + life_line.path() + "; echo x >&3; sleep 1000");
  check.id = "long";
  check.interval = absl::Milliseconds(1);
  runner.Set(check);
  life_line.WaitForHolder();
  EXPECT_EQ(runner.Counts().children, 1u);
  runner.Destroy();
  life_line.WaitForNobody();
}

TEST(ScriptCheck, IsKilledWhenItIsRemoved) {
  LifeLine life_line;
  TestRunner runner;
  CheckDefinition check = Shell("exec 3> " + life_line.path() + "; echo x >&3; sleep 1000");
  check.id = "long";
  check.interval = absl::Milliseconds(1);
  runner.Set(check);
  life_line.WaitForHolder();
  runner.Do([](CheckRunner& on_loop) { on_loop.Remove("long"); });
  life_line.WaitForNobody();
  EXPECT_EQ(runner.Counts().running, 0u);
}

TEST(OsServiceCheck, IsCriticalForAServiceThatIsNotThere) {
  TestRunner runner;
  CheckDefinition check;
  check.os_service = "no-such-service";
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, HasSubstr("\"no-such-service\""));
}

}  // namespace
}  // namespace pharos::agent
