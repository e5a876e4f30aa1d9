// One run of one check, of whatever type.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "agent/checks/children.h"
#include "agent/checks/curl_multi.h"
#include "agent/checks/options.h"
#include "agent/checks/tls.h"
#include "agent/config/definition.h"
#include "base/loop.h"
#include "registry/types.h"

namespace pharos::agent {

struct ProbeResult {
  registry::Health status = registry::Health::kCritical;
  std::string output;
};

// All calls are on the loop's thread.
class Probe {
 public:
  using Done = std::function<void(ProbeResult)>;

  // Ends the run wherever it is; `done` is not called any more.
  virtual ~Probe() = default;

  // Begins the run. A result means that it is over already; else `done` is called once, later, as
  // the probe's last act, so that `done` may destroy the probe. Called once.
  std::optional<ProbeResult> Start(Done done) {
    done_ = std::move(done);
    return Begin();
  }

  // The result when `timeout` has passed and `done` was not called; the probe is destroyed next.
  virtual ProbeResult TimedOut(absl::Duration timeout) = 0;

 protected:
  virtual std::optional<ProbeResult> Begin() = 0;
  // Destroys this: nothing may follow.
  void Finish(ProbeResult result) {
    const Done done = std::move(done_);
    done(std::move(result));
  }

 private:
  Done done_;
};

// What runs have in common. Everything is borrowed and outlives them.
struct ProbeContext {
  Loop& loop;
  CurlMulti& curl;
  TlsClient& tls;
  Children& children;
  const RunnerOptions& options;
};

// A run of a check of the type of its name. `definition` outlives the probe; `octets_max` bounds
// what is kept of its output.
std::unique_ptr<Probe> MakeHttpProbe(const ProbeContext& context, const CheckDefinition& definition,
                                     size_t octets_max);
std::unique_ptr<Probe> MakeTcpProbe(const ProbeContext& context, const CheckDefinition& definition);
std::unique_ptr<Probe> MakeUdpProbe(const ProbeContext& context, const CheckDefinition& definition);
std::unique_ptr<Probe> MakeGrpcProbe(const ProbeContext& context, const CheckDefinition& definition,
                                     absl::Duration timeout);
std::unique_ptr<Probe> MakeH2PingProbe(const ProbeContext& context,
                                       const CheckDefinition& definition);
std::unique_ptr<Probe> MakeScriptProbe(const ProbeContext& context,
                                       const CheckDefinition& definition, size_t octets_max);
std::unique_ptr<Probe> MakeDockerProbe(const ProbeContext& context,
                                       const CheckDefinition& definition, size_t octets_max);
std::unique_ptr<Probe> MakeOsServiceProbe(const ProbeContext& context,
                                          const CheckDefinition& definition, size_t octets_max);

}  // namespace pharos::agent
