// TCP checks: whether a connection, under TLS if asked for, comes about.
#include "absl/strings/str_format.h"
#include "agent/checks/endpoint.h"
#include "agent/checks/probe.h"
#include "agent/checks/stream.h"

namespace pharos::agent {
namespace {

using registry::Health;

class TcpProbe : public Probe {
 public:
  TcpProbe(const ProbeContext& context, const CheckDefinition& definition)
      : definition_(definition),
        stream_(context.loop.uv(), context.tls,
                {.connected = [this] { TakeConnected(); },
                 .received = [](std::string_view) {},
                 .failed =
                     [this](std::string why) {
                       Finish({Health::kCritical, std::move(why)});
                     }}) {}

  ProbeResult TimedOut(absl::Duration) override {
    return {Health::kCritical, absl::StrFormat("dial tcp %s: i/o timeout", definition_.tcp)};
  }

 protected:
  std::optional<ProbeResult> Begin() override {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(definition_.tcp);
    if (!endpoint.ok()) {
      return ProbeResult{Health::kCritical,
                         absl::StrFormat("dial tcp: %s", endpoint.status().message())};
    }
    std::optional<TlsRequest> tls;
    if (definition_.tcp_use_tls) tls = TlsRequestOf(definition_, *endpoint);
    std::optional<std::string> why = stream_.Start(*endpoint, std::move(tls));
    if (!why) return std::nullopt;
    return ProbeResult{Health::kCritical, *std::move(why)};
  }

 private:
  void TakeConnected() {
    Finish({Health::kPassing, absl::StrFormat("TCP connect %s: Success", definition_.tcp)});
  }

  const CheckDefinition& definition_;
  Stream stream_;
};

}  // namespace

std::unique_ptr<Probe> MakeTcpProbe(const ProbeContext& context,
                                    const CheckDefinition& definition) {
  return std::make_unique<TcpProbe>(context, definition);
}

}  // namespace pharos::agent
