#include "http/server.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "http/server_thread.h"

namespace pharos::http {
namespace {

std::string Reason(int error) { return std::generic_category().message(error); }

bool SomebodyAnswers(const std::string& path) {
  const Socket probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return connect(probe.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Makes room for a socket: a file of a process that has ended is removed, anything else is not.
absl::Status ClearUnixPath(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("unix socket %s has %d octets; expected a path of at most %d", path,
                        path.size(), sizeof(sockaddr_un::sun_path) - 1));
  }
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return absl::OkStatus();
  if (!S_ISSOCK(found.st_mode)) {
    return absl::AlreadyExistsError(absl::StrFormat(
        "cannot listen on unix socket %s: a file that is no socket is there", path));
  }
  if (SomebodyAnswers(path)) {
    return absl::UnavailableError(
        absl::StrFormat("cannot listen on unix socket %s: address already in use", path));
  }
  unlink(path.c_str());
  return absl::OkStatus();
}

std::optional<unsigned> ParseNumber(std::string_view text, int base) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  const auto [read_to, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc() || read_to != end) return std::nullopt;
  return number;
}

absl::StatusOr<uid_t> FindUser(const std::string& user) {
  if (user.empty()) return static_cast<uid_t>(-1);
  if (const auto number = ParseNumber(user, 10)) return *number;
  const passwd* found = getpwnam(user.c_str());
  if (found != nullptr) return found->pw_uid;
  return absl::InvalidArgumentError(
      absl::StrFormat("unix_sockets.user is \"%s\"; expected a user of this machine", user));
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  if (name.empty()) return static_cast<gid_t>(-1);
  if (const auto number = ParseNumber(name, 10)) return *number;
  const group* found = getgrnam(name.c_str());
  if (found != nullptr) return found->gr_gid;
  return absl::InvalidArgumentError(
      absl::StrFormat("unix_sockets.group is \"%s\"; expected a group of this machine", name));
}

absl::Status SetOwner(const std::string& path, const UnixSocketOptions& options) {
  ASSIGN_OR_RETURN(const uid_t user, FindUser(options.user));
  ASSIGN_OR_RETURN(const gid_t group, FindGroup(options.group));
  if (chown(path.c_str(), user, group) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "cannot give unix socket %s to its user and group: %s", path, Reason(errno)));
  }
  if (options.mode.empty()) return absl::OkStatus();
  const auto mode = ParseNumber(options.mode, 8);
  if (!mode || *mode > 0777) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "unix_sockets.mode is \"%s\"; expected an octal number such as 0660", options.mode));
  }
  if (chmod(path.c_str(), *mode) != 0) {
    return absl::PermissionDeniedError(
        absl::StrFormat("cannot set the mode of unix socket %s: %s", path, Reason(errno)));
  }
  return absl::OkStatus();
}

class ThreadedServer : public Server {
 public:
  explicit ThreadedServer(const ServerOptions& options)
      : options_(options), counts_(options.connections_max, options.connections_per_client_max) {}
  ~ThreadedServer() override;

  absl::Status StartAll(const MakeHandler& make_handler);

  std::vector<Listen> addresses() const override { return options_.listen; }
  absl::Status ReloadTls(const TlsOptions& tls) override;
  void SetConnectionsPerClientMax(int max) override { counts_.SetPerClientMax(max); }
  ServerCounters counters() const override;
  void ForEachEndpoint(const VisitEndpoint& visit) const override;
  void ForEachThread(const std::function<void(ThreadHandler&, int)>& work) override;

 private:
  struct Thread {
    std::unique_ptr<Loop> loop;
    std::unique_ptr<ServerThread> server;
  };

  absl::Status PickPorts();
  absl::Status ListenOn(ServerThread& thread, const Listen& listen, bool first);

  ServerOptions options_;
  ConnectionCounts counts_;
  TlsContext tls_;
  std::vector<Thread> threads_;
};

ThreadedServer::~ThreadedServer() {
  for (Thread& thread : threads_) {
    thread.loop->PostAndWait([&thread] { thread.server.reset(); });
    thread.loop->Stop();
  }
  for (const Listen& listen : options_.listen) {
    if (!listen.unix_path.empty()) unlink(listen.unix_path.c_str());
  }
}

// Finds out before any thread starts which ports there are, as all threads share them.
absl::Status ThreadedServer::PickPorts() {
  for (Listen& listen : options_.listen) {
    if (!listen.unix_path.empty()) {
      RETURN_IF_ERROR(ClearUnixPath(listen.unix_path));
      continue;
    }
    if (listen.address.port == 0) {
      ASSIGN_OR_RETURN(const Socket probe,
                       OpenListeningSocket(Transport::kTcp, listen.address, false));
      listen.address = BoundAddress(probe);
    }
    RETURN_IF_ERROR(CheckAddressIsFree(Transport::kTcp, listen.address));
  }
  return absl::OkStatus();
}

absl::Status ThreadedServer::ListenOn(ServerThread& thread, const Listen& listen, bool first) {
  if (listen.unix_path.empty()) {
    ASSIGN_OR_RETURN(Socket socket, OpenListeningSocket(Transport::kTcp, listen.address, true));
    return thread.Listen(std::move(socket), listen.tls);
  }
  if (!first) return absl::OkStatus();
  RETURN_IF_ERROR(thread.ListenUnix(listen.unix_path, listen.tls));
  return SetOwner(listen.unix_path, options_.unix_sockets);
}

absl::Status ThreadedServer::StartAll(const MakeHandler& make_handler) {
  RETURN_IF_ERROR(PickPorts());
  ASSIGN_OR_RETURN(tls_, MakeTlsContext(options_.tls));
  for (const Listen& listen : options_.listen) {
    if (!listen.tls || !options_.tls.cert_file.empty()) continue;
    PHAROS_LOG(kWarn, "agent.http",
               "HTTPS on %s has no certificate, so nobody can connect; set cert_file and key_file",
               listen.unix_path.empty() ? listen.address.ToString() : listen.unix_path);
  }
  for (int i = 0; i < std::max(options_.threads, 1); ++i) {
    Thread& thread = threads_.emplace_back();
    thread.loop = std::make_unique<Loop>(absl::StrFormat("http-%d", i));
    absl::Status status;
    thread.loop->PostAndWait([&] {
      thread.server = std::make_unique<ServerThread>(*thread.loop, options_, counts_,
                                                     make_handler(*thread.loop, i));
      thread.server->SetTls(tls_);
      for (const Listen& listen : options_.listen) {
        status = ListenOn(*thread.server, listen, i == 0);
        if (!status.ok()) return;
      }
    });
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status ThreadedServer::ReloadTls(const TlsOptions& tls) {
  ASSIGN_OR_RETURN(tls_, MakeTlsContext(tls));
  for (Thread& thread : threads_) {
    thread.loop->PostAndWait([&] { thread.server->SetTls(tls_); });
  }
  return absl::OkStatus();
}

ServerCounters ThreadedServer::counters() const {
  ServerCounters sums;
  for (const Thread& thread : threads_) {
    const ThreadCounters& counters = thread.server->counters();
    sums.accepted += counters.accepted;
    sums.open += counters.open;
    sums.requests += counters.requests;
    sums.closed_at_cap += counters.closed_at_cap;
    sums.closed_at_client_cap += counters.closed_at_client_cap;
    sums.malformed += counters.malformed;
    sums.timed_out += counters.timed_out;
    sums.too_large += counters.too_large;
    sums.tls_failed += counters.tls_failed;
    sums.octets_in += counters.octets_in;
    sums.octets_out += counters.octets_out;
  }
  return sums;
}

void ThreadedServer::ForEachEndpoint(const VisitEndpoint& visit) const {
  for (const Thread& thread : threads_) {
    const auto& endpoints = thread.server->counters().endpoints;
    for (size_t i = 0; i < endpoints.size(); ++i) {
      visit(i < kEndpointGroups.size() ? kEndpointGroups[i] : "other", endpoints[i]);
    }
  }
}

void ThreadedServer::ForEachThread(const std::function<void(ThreadHandler&, int)>& work) {
  for (size_t i = 0; i < threads_.size(); ++i) {
    threads_[i].loop->PostAndWait(
        [&] { work(threads_[i].server->handler(), static_cast<int>(i)); });
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const MakeHandler& make_handler) {
  auto server = std::make_unique<ThreadedServer>(options);
  RETURN_IF_ERROR(server->StartAll(make_handler));
  return server;
}

}  // namespace pharos::http
