#include "agent/agent.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/dns_setup.h"
#include "agent/node_id.h"
#include "agent/registration.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "dns/own_address.h"
#include "dns/worker.h"

namespace pharos::agent {
namespace {

dns::UvResolver& ResolverOf(dns::ThreadHandler& handler) {
  return static_cast<dns::UvResolver&>(static_cast<dns::Worker&>(handler).resolver());
}

std::vector<IpAddress> LocalAddresses() {
  const std::vector<InterfaceAddress> interfaces = ReadMachine().interfaces;
  std::vector<IpAddress> addresses;
  addresses.reserve(interfaces.size());
  for (const InterfaceAddress& interface : interfaces) {
    addresses.push_back(interface.address);
  }
  return addresses;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(LoadedConfig loaded) {
  std::unique_ptr<Agent> agent(new Agent);
  agent->loaded_ = std::move(loaded);
  RETURN_IF_ERROR(agent->StartParts());
  return agent;
}

absl::Status Agent::StartParts() {
  const Config& config = loaded_.config;
  ASSIGN_OR_RETURN(node_id_, LoadNodeId(config.node_id, config.data_dir));
  consensus_ = std::make_unique<cluster::Consensus>(config.datacenter, clock_);
  RETURN_IF_ERROR(RegisterThisNode(config));
  return StartDns();
}

Agent::~Agent() {
  dns_.reset();
  consensus_.reset();
}

absl::Status Agent::StartDns() {
  const dns::ServerOptions options = MakeServerOptions(loaded_.config);
  if (options.addresses.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(dns::AnswerConfig answers, MakeAnswerConfig(loaded_.config));
  const auto shared = std::make_shared<const dns::AnswerConfig>(std::move(answers));
  const dns::ResolverOptions resolver_options =
      MakeResolverOptions(loaded_.config, options.threads);
  RETURN_IF_ERROR(
      dns::RejectOwnAddresses(resolver_options.upstreams, options.addresses, LocalAddresses()));
  ASSIGN_OR_RETURN(dns_, dns::Server::Start(options, [&](Loop& loop, int) {
                     return std::make_unique<dns::Worker>(
                         consensus_->published(),
                         std::make_unique<dns::UvResolver>(loop.uv(), resolver_options), clock_,
                         shared, SecureRandomU64());
                   }));
  return absl::OkStatus();
}

absl::Status Agent::RegisterThisNode(const Config& config) {
  std::vector<std::string> checks_not_run;
  catalog::v1::Register wanted = MakeRegistration(config, node_id_, checks_not_run);
  RETURN_IF_ERROR(consensus_->ProposeAndWait(MakeUpdate(registered_, wanted)).status());
  registered_ = std::move(wanted);
  checks_not_run_ = std::move(checks_not_run);
  return absl::OkStatus();
}

void Agent::LogStarted() const {
  for (const SocketAddress& address : dns_addresses()) {
    for (const char* network : {"udp", "tcp"}) {
      PHAROS_LOG(kInfo, "agent", "Started DNS server: address=%s network=%s", address.ToString(),
                 network);
    }
  }
  LogRegistered();
}

void Agent::LogRegistered() const {
  PHAROS_LOG(kInfo, "agent", "Synced node info");
  for (const catalog::v1::Service& service : registered_.services()) {
    PHAROS_LOG(kInfo, "agent", "Synced service: service=%s", service.id());
  }
  if (checks_not_run_.empty()) return;
  PHAROS_LOG(kWarn, "agent",
             "This version does not run checks; these have no status and do not count: %s",
             absl::StrJoin(checks_not_run_, ", "));
}

absl::Status Agent::Reload(LoadedConfig loaded) {
  const std::vector<std::string> need_restart = KeysThatNeedRestart(loaded_, loaded);
  // Only what a reload may change is taken over; the rest stays as it was started.
  Config next = loaded_.config;
  next.services = loaded.config.services;
  next.checks = loaded.config.checks;
  next.node_meta = loaded.config.node_meta;
  next.log.level = loaded.config.log.level;
  const std::string domain = next.dns.domain, alt_domain = next.dns.alt_domain;
  const int threads = next.dns.threads;
  next.dns = loaded.config.dns;
  next.dns.domain = domain;
  next.dns.alt_domain = alt_domain;
  next.dns.threads = threads;

  ASSIGN_OR_RETURN(dns::AnswerConfig answers, MakeAnswerConfig(next));
  const dns::ServerOptions options = MakeServerOptions(next);
  const dns::ResolverOptions resolver_options = MakeResolverOptions(next, options.threads);
  RETURN_IF_ERROR(
      dns::RejectOwnAddresses(resolver_options.upstreams, options.addresses, LocalAddresses()));
  RETURN_IF_ERROR(RegisterThisNode(next));

  SetLogLevel(next.log.level);
  LogRegistered();
  if (dns_ != nullptr) {
    const auto shared = std::make_shared<const dns::AnswerConfig>(std::move(answers));
    dns_->ForEachThread([&](dns::ThreadHandler& handler, int) {
      static_cast<dns::Worker&>(handler).SetConfig(shared);
      ResolverOf(handler).Reconfigure(resolver_options);
    });
  }
  if (!need_restart.empty()) {
    PHAROS_LOG(kWarn, "agent", "Changes of these keys wait for a restart: %s",
               absl::StrJoin(need_restart, ", "));
  }
  loaded.config = std::move(next);
  loaded_ = std::move(loaded);
  return absl::OkStatus();
}

std::vector<SocketAddress> Agent::dns_addresses() const {
  return dns_ == nullptr ? std::vector<SocketAddress>() : dns_->addresses();
}

}  // namespace pharos::agent
