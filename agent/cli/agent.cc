// `pharos agent`: start, signals, orderly stop.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/agent.h"
#include "agent/cli/agent_flags.h"
#include "agent/cli/command.h"
#include "agent/config/load.h"
#include "agent/version.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

// The signals that the main thread takes, one at a time, in Run's loop. Blocked before any other
// thread starts, so that none is ever interrupted.
sigset_t BlockSignals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&taken, signal);
  pthread_sigmask(SIG_BLOCK, &taken, nullptr);
  // A client that leaves is an error of one write, not the end of the agent.
  signal(SIGPIPE, SIG_IGN);
  return taken;
}

int TakeSignal(const sigset_t& taken) {
  while (true) {
    const int signal = sigwaitinfo(&taken, nullptr);
    if (signal > 0) return signal;
  }
}

// Connections are many and cheap; the soft limit on descriptors is for programs that use select(2).
void AllowManyFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Holds the process id in a file while it lives.
class PidFile {
 public:
  static absl::StatusOr<std::unique_ptr<PidFile>> Write(const std::string& path) {
    if (path.empty()) return std::make_unique<PidFile>("");
    RETURN_IF_ERROR(ReplaceFile(path, absl::StrFormat("%d", getpid()), 0644));
    return std::make_unique<PidFile>(path);
  }
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  // That of an agent that has taken its place stays.
  ~PidFile() {
    std::error_code ignored;
    const auto there = ReadFile(path_, 64);
    if (there.ok() && *there == absl::StrFormat("%d", getpid())) {
      std::filesystem::remove(path_, ignored);
    }
  }

 private:
  std::string path_;
};

// From now on a second SIGINT or SIGTERM ends the process at once.
void LetSignalsKill(const std::string& pid_file) {
  std::thread([pid_file] {
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    TakeSignal(ending);
    if (!pid_file.empty()) unlink(pid_file.c_str());
    _exit(kExitError);
  }).detach();
}

// The port of HTTP (or HTTPS); -1: it is off.
int HttpPort(const Agent& agent, bool tls) {
  for (const http::Listen& listen : agent.http_addresses()) {
    if (listen.tls == tls) return listen.unix_path.empty() ? int{listen.address.port} : 0;
  }
  return -1;
}

int PortOrOff(const SocketAddress& address) { return address.port == 0 ? -1 : int{address.port}; }

void PrintBanner(const Config& config, const Agent& agent, std::ostream& out) {
  std::vector<std::string> client;
  client.reserve(config.addresses.dns.size());
  for (const IpAddress& ip : config.addresses.dns) client.push_back(ip.ToString());
  const std::vector<SocketAddress> dns = agent.dns_addresses();
  out << absl::StrFormat(
      "           Version: '%s'\n"
      "           Node ID: '%s'\n"
      "         Node name: '%s'\n"
      "        Datacenter: '%s' (Segment: '%s')\n"
      "            Server: %s (Bootstrap: %s)\n"
      "       Client Addr: [%s] (HTTP: %d, HTTPS: %d, gRPC: %d, DNS: %d)\n"
      "      Cluster Addr: %s (LAN: %d, WAN: %d)\n"
      "           Encrypt: Gossip: %s, TLS-Outgoing: %s, TLS-Incoming: %s, "
      "Auto-Encrypt-TLS: false\n\n",
      kVersion, agent.node_id(), config.node_name, config.datacenter, config.server ? "<all>" : "",
      config.server ? "true" : "false", config.bootstrap ? "true" : "false",
      absl::StrJoin(client, " "), HttpPort(agent, false), HttpPort(agent, true), config.ports.grpc,
      dns.empty() ? -1 : int{dns.front().port}, config.advertise_addr.ToString(),
      PortOrOff(agent.lan_address()), PortOrOff(agent.wan_address()),
      config.gossip.encrypt.empty() ? "false" : "true",
      config.cluster.verify_outgoing ? "true" : "false",
      config.cluster.verify_incoming ? "true" : "false");
}

void LogNotes(const LoadedConfig& loaded) {
  for (const std::string& warning : loaded.warnings) PHAROS_LOG(kWarn, "agent", "%s", warning);
  if (!loaded.no_effect_keys.empty()) {
    PHAROS_LOG(kWarn, "agent", "These keys have no effect in this version: %s",
               absl::StrJoin(loaded.no_effect_keys, ", "));
  }
}

// Loads what the command line names and puts it in the place of what runs; an error leaves that.
void Reload(const ConfigRequest& request, Agent& agent) {
  PHAROS_LOG(kInfo, "agent", "Reloading configuration...");
  const auto waiting = agent.TakeReloads();
  absl::StatusOr<LoadedConfig> loaded = LoadConfig(request, ReadMachine());
  absl::Status status = loaded.status();
  if (loaded.ok()) {
    LogNotes(*loaded);
    status = agent.Reload(*std::move(loaded));
  }
  if (status.ok()) {
    PHAROS_LOG(kInfo, "agent", "Configuration reloaded");
  } else {
    PHAROS_LOG(kError, "agent", "Reload failed, the running configuration stays: %s",
               std::string(status.message()));
  }
  for (const auto& done : waiting) done(status);
}

// Whether the agent says good-bye to its cluster before it ends.
bool LeavesAt(int signal, const Config& config, const Agent& agent) {
  if (agent.leave_wanted()) return true;
  return signal == SIGINT ? !config.skip_leave_on_interrupt : config.leave_on_terminate;
}

// `left`: whether the agent ended because it was told to leave its cluster.
absl::Status Run(const ParsedFlags& parsed, std::ostream& out, bool& left) {
  // The Raft log is written by libuv's pool of threads; others may keep some of them waiting.
  // Before libuv is first used.
  setenv("UV_THREADPOOL_SIZE", "8", 0);
  const sigset_t taken = BlockSignals();
  AllowManyFiles();
  ASSIGN_OR_RETURN(const ConfigRequest request, MakeConfigRequest(parsed));
  ASSIGN_OR_RETURN(LoadedConfig loaded, LoadConfig(request, ReadMachine()));
  const Config config = loaded.config;
  const LoadedConfig notes = loaded;
  RETURN_IF_ERROR(SetUpLog(config.log));
  out << "==> Starting Pharos agent...\n" << std::flush;
  // Only who has started, and so has the data folder, is the one that the file names.
  ASSIGN_OR_RETURN(const std::unique_ptr<Agent> agent, Agent::Start(std::move(loaded)));
  ASSIGN_OR_RETURN(const std::unique_ptr<PidFile> pid_file, PidFile::Write(config.pid_file));
  PrintBanner(config, *agent, out);
  out << "==> Log data will now stream in as it occurs:\n\n" << std::flush;
  LogNotes(notes);
  agent->LogStarted();
  out << "==> Pharos agent running!\n" << std::flush;

  while (true) {
    const int signal = TakeSignal(taken);
    switch (signal) {
      case SIGHUP:
        Reload(request, *agent);
        break;
      case SIGUSR1:
        agent->LogMetrics();
        break;
      default:
        LetSignalsKill(config.pid_file);
        RETURN_IF_ERROR(agent->failure());
        out << "==> Caught a signal to stop; stopping the agent\n" << std::flush;
        if (LeavesAt(signal, config, *agent)) {
          out << "==> Gracefully shutting down agent...\n" << std::flush;
          agent->Leave();
        }
        left = agent->left();
        return absl::OkStatus();
    }
  }
}

}  // namespace

int RunAgent(Arguments arguments, const Streams& streams) {
  ParsedFlags parsed;
  const auto done = ReadCommandFlags(
      "Usage: pharos agent [options]\n\n  Starts the agent and runs until it is stopped.",
      AgentFlags(), arguments, streams, parsed);
  if (done) return *done;
  bool left = false;
  if (const absl::Status ended = Run(parsed, streams.out, left); !ended.ok()) {
    streams.err << "==> " << std::string(ended.message()) << "\n";
    return kExitError;
  }
  // As Consul: 0 is for an agent that left its cluster, and a stop is not that.
  return left ? kExitOk : kExitError;
}

}  // namespace pharos::agent
