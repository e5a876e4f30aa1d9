// Docker checks, against a daemon that says what the test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/checks/options.h"
#include "agent/checks/test_runner.h"

namespace pharos::agent {
namespace {

using registry::Health;
using testing::HasSubstr;

// Of the Engine API's three steps, what the daemon says to each; an empty answer hangs up.
struct Script {
  std::string created = R"(201 {"Id":"e1"})";
  std::string printed = {};  // Frames of output, behind "200 ".
  std::string inspected = R"(200 {"ExitCode":0,"Running":false})";
};

std::string Frame(char stream, std::string_view text) {
  std::string frame = {stream,
                       0,
                       0,
                       0,
                       0,
                       0,
                       static_cast<char>(text.size() >> 8),
                       static_cast<char>(text.size() & 0xff)};
  return frame.append(text);
}

// Answers one request for each connection, and remembers what was asked.
class FakeDaemon {
 public:
  explicit FakeDaemon(Script script) : script_(std::move(script)) {
    std::string folder = testing::TempDir() + "docker-XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    path_ = folder + "/docker.sock";
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(path_.size(), sizeof(address.sun_path));
    path_.copy(address.sun_path, path_.size());
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    thread_ = std::thread([this] { Run(); });
  }
  ~FakeDaemon() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    unlink(path_.c_str());
  }
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  const std::string& path() const { return path_; }
  // Request lines and bodies so far.
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void Run() {
    while (true) {
      const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      const std::string request = ReadRequest(peer);
      const std::string answer = Answer(request);
      if (!answer.empty()) Send(peer, answer);
      close(peer);
    }
  }

  static std::string ReadRequest(int peer) {
    std::string request;
    std::array<char, 4096> piece;
    while (true) {
      const size_t head = request.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t length = request.find("Content-Length: ");
        const size_t body =
            length > head ? 0 : std::strtoul(request.c_str() + length + 16, nullptr, 10);
        if (request.size() >= head + 4 + body) return request;
      }
      const ssize_t count = read(peer, piece.data(), piece.size());
      if (count <= 0) return request;
      request.append(piece.data(), static_cast<size_t>(count));
    }
  }

  std::string Answer(const std::string& request) {
    const std::string line = request.substr(0, request.find(" HTTP/"));
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(line + " " + request.substr(request.find("\r\n\r\n") + 4));
    }
    if (line.ends_with("/exec")) return script_.created;
    if (line.ends_with("/start")) return "200 " + script_.printed;
    return script_.inspected;
  }

  static void Send(int peer, const std::string& answer) {
    const std::string body = answer.substr(answer.find(' ') + 1);
    const std::string reply =
        absl::StrFormat("HTTP/1.1 %s Said\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
                        answer.substr(0, answer.find(' ')), body.size()) +
        body;
    for (size_t sent = 0; sent < reply.size();) {
      const ssize_t count = send(peer, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<size_t>(count);
    }
  }

  Script script_;
  std::string path_;
  int listener_ = -1;
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::thread thread_;
};

CheckDefinition InContainer(std::string container) {
  CheckDefinition check;
  check.docker_container_id = std::move(container);
  check.args = {"/bin/alive", "--now"};
  check.timeout = absl::Seconds(30);
  return check;
}

CheckReport RunAgainst(const std::string& socket, const CheckDefinition& check) {
  RunnerOptions options;
  options.docker_socket = socket;
  TestRunner runner(options);
  return runner.RunOnce(check);
}

TEST(DockerCheck, IsWhatTheCommandExitsWith) {
  const struct {
    std::string_view exit_code;
    Health want;
  } kRows[] = {{"0", Health::kPassing},
               {"1", Health::kWarning},
               {"2", Health::kCritical},
               {"137", Health::kCritical},
               {"-1", Health::kCritical}};
  for (const auto& row : kRows) {
    FakeDaemon daemon(
        {.printed = Frame(1, "says ") + Frame(2, "enough"),
         .inspected = absl::StrFormat(R"(200 {"ExitCode":%s})", std::string(row.exit_code))});
    const CheckReport report = RunAgainst(daemon.path(), InContainer("web"));
    EXPECT_EQ(report.status, row.want) << row.exit_code;
    EXPECT_EQ(report.output, "says enough") << row.exit_code;
  }
}

TEST(DockerCheck, AsksTheDaemonToRunTheCommandInTheContainer) {
  const struct {
    std::string container, shell, path, command;
  } kRows[] = {
      {"web", "", "web", R"(["/bin/alive","--now"])"},
      {"a b/..", "", "a%20b%2F..", R"(["/bin/alive","--now"])"},
      {"web", "/bin/sh", "web", R"(["/bin/sh","-c","/bin/alive --now"])"},
  };
  for (const auto& row : kRows) {
    FakeDaemon daemon(Script{});
    CheckDefinition check = InContainer(row.container);
    check.shell = row.shell;
    RunAgainst(daemon.path(), check);
    const std::vector<std::string> asked = daemon.asked();
    ASSERT_GE(asked.size(), 3u);
    EXPECT_THAT(asked[0], HasSubstr("POST /v1.24/containers/" + row.path + "/exec "));
    EXPECT_THAT(asked[0], HasSubstr("\"Cmd\":" + row.command));
    EXPECT_THAT(asked[1], HasSubstr("POST /v1.24/exec/e1/start "));
    EXPECT_THAT(asked[2], HasSubstr("GET /v1.24/exec/e1/json "));
  }
}

TEST(DockerCheck, IsCriticalWithTheReasonWhenItCannotRun) {
  const struct {
    std::string_view shows;
    Script script;
    std::string_view want;
  } kRows[] = {
      {"no such container",
       {.created = R"(404 {"message":"No such container: web"})"},
       R"(404 Said: {"message":"No such container: web"})"},
      {"a container that is stopped",
       {.created = R"(409 {"message":"Container web is not running"})"},
       "Container web is not running"},
      {"a daemon in trouble", {.created = R"(500 {"message":"no space"})"}, "no space"},
      {"a daemon that hangs up", {.created = ""}, "mpty reply"},
      {"a daemon that speaks no JSON", {.created = "201 <html>"}, "a command without an Id"},
      {"a daemon that forgets the Id", {.created = R"(201 {"Id":7})"}, "a command without an Id"},
      {"a command that is still running",
       {.inspected = R"(200 {"ExitCode":null,"Running":true})"},
       "no exit code"},
      {"a command the daemon knows nothing of",
       {.inspected = R"(404 {"message":"No such exec instance"})"},
       "No such exec instance"},
  };
  for (const auto& row : kRows) {
    FakeDaemon daemon(row.script);
    const CheckReport report = RunAgainst(daemon.path(), InContainer("web"));
    EXPECT_EQ(report.status, Health::kCritical) << row.shows;
    EXPECT_THAT(report.output, HasSubstr("Docker at " + daemon.path() + ": ")) << row.shows;
    EXPECT_THAT(report.output, HasSubstr(std::string(row.want))) << row.shows;
  }
}

TEST(DockerCheck, IsCriticalWithoutADaemon) {
  const std::string path = testing::TempDir() + "no-docker.sock";
  const CheckReport report = RunAgainst(path, InContainer("web"));
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, HasSubstr("Docker at " + path + ": "));
  EXPECT_THAT(report.output, HasSubstr("ouldn't connect"));
}

TEST(DockerCheck, KeepsTheEndOfWhatIsPrinted) {
  FakeDaemon daemon({.printed = Frame(1, std::string(5000, 'x')) + Frame(1, "the end")});
  CheckDefinition check = InContainer("web");
  check.output_octets_max = 100;
  const CheckReport report = RunAgainst(daemon.path(), check);
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_LT(report.output.size(), 300u);
  EXPECT_TRUE(report.output.ends_with("the end"));
}

}  // namespace
}  // namespace pharos::agent
