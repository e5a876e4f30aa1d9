// What holds for all checks of an agent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace pharos::agent {

struct RunnerOptions {
  std::string user_agent = "Consul Health Check";
  size_t output_octets_max = 4096;  // Of a check that does not say otherwise.
  bool discard_output = false;      // Reports have no output.
  // PEM files for checks over TLS: the authorities trusted (none: the system's) and the certificate
  // shown (none: none), as enable_agent_tls_for_checks asks.
  std::string ca_file, ca_path, cert_file, key_file;
  uint64_t seed = 0;  // Of the spread of first runs.
  std::string docker_socket = "/var/run/docker.sock";
  // Shorter intervals are raised to this.
  absl::Duration interval_min = absl::Seconds(1);
  // Runs at the same time; what is due beyond that waits its turn.
  size_t network_runs_max = 256;
  size_t process_runs_max = 64;
};

}  // namespace pharos::agent
