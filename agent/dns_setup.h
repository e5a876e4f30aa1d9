// From the agent's configuration to that of the DNS front end.
#pragma once

#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/config/config.h"
#include "dns/answer_config.h"
#include "dns/server.h"
#include "dns/uv_resolver.h"
#include "dns/worker.h"

namespace pharos::agent {

// InvalidArgument for a domain that cannot be served. The seed of cookies is left to the agent,
// which keeps one as long as it runs.
absl::StatusOr<dns::AnswerConfig> MakeAnswerConfig(const Config& config);

// No address where `ports.dns` is off.
dns::ServerOptions MakeServerOptions(const Config& config);

dns::WorkerOptions MakeWorkerOptions(const Config& config);

// For each of `threads` DNS threads, which share the process's bound on the cache.
dns::ResolverOptions MakeResolverOptions(const Config& config, int threads);

// InvalidArgument for upstreams that are this very server (dns/own_address.h), FailedPrecondition
// for files of theirs that cannot be used.
absl::Status CheckUpstreams(const dns::ResolverOptions& options,
                            std::span<const SocketAddress> listening,
                            std::span<const IpAddress> local_ips);

}  // namespace pharos::agent
