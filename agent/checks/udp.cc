// UDP checks: whether a datagram is refused. Silence cannot be told from a service that has nothing
// to say, so it passes, as does any answer.
#include <array>

#include "absl/strings/str_format.h"
#include "agent/checks/endpoint.h"
#include "agent/checks/probe.h"
#include "agent/checks/resolver.h"
#include "agent/checks/uv_handle.h"

namespace pharos::agent {
namespace {

using registry::Health;

class UdpProbe : public Probe {
 public:
  UdpProbe(const ProbeContext& context, const CheckDefinition& definition)
      : loop_(context.loop.uv()), definition_(definition), resolver_(loop_) {}

  ProbeResult TimedOut(absl::Duration) override {
    if (!udp_) return Failure(absl::StrFormat("lookup %s: i/o timeout", definition_.udp));
    return Success();
  }

 protected:
  std::optional<ProbeResult> Begin() override {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(definition_.udp);
    if (!endpoint.ok()) return Failure(std::string(endpoint.status().message()));
    const auto addresses =
        resolver_.Start(*endpoint, [this](const absl::StatusOr<SocketAddresses>& found) {
          std::optional<ProbeResult> result = TakeAddresses(found);
          if (result) Finish(*std::move(result));
        });
    return addresses ? TakeAddresses(*addresses) : std::nullopt;
  }

 private:
  std::optional<ProbeResult> TakeAddresses(const absl::StatusOr<SocketAddresses>& addresses) {
    if (!addresses.ok()) return Failure(std::string(addresses.status().message()));
    const int error = SendTo(addresses->front());
    if (error == 0) return std::nullopt;
    return Failure(absl::StrFormat("dial udp %s: %s", SocketAddressText(addresses->front()),
                                   ErrorText(error)));
  }

  // An empty datagram, the least that a service could take for a request. The socket is connected:
  // only then does the system tell us of an ICMP refusal.
  int SendTo(const sockaddr_storage& address) {
    int error = udp_.Open(this, [this](uv_udp_t* udp) { return uv_udp_init(loop_, udp); });
    if (error != 0) return error;
    error = uv_udp_connect(udp_.get(), reinterpret_cast<const sockaddr*>(&address));
    if (error != 0) return error;
    error = uv_udp_recv_start(
        udp_.get(),
        [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
          auto* self = static_cast<UdpProbe*>(handle->data);
          *buffer = uv_buf_init(self->buffer_.data(), self->buffer_.size());
        },
        [](uv_udp_t* udp, ssize_t count, const uv_buf_t*, const sockaddr* from, unsigned) {
          // Nothing, from nobody: libuv says that it has read all.
          if (count == 0 && from == nullptr) return;
          static_cast<UdpProbe*>(udp->data)->TakeAnswer(count);
        });
    if (error != 0) return error;
    std::array<char, 1> nothing{};
    const uv_buf_t datagram = uv_buf_init(nothing.data(), 0);
    const int sent = uv_udp_try_send(udp_.get(), &datagram, 1, nullptr);
    return sent < 0 ? sent : 0;
  }

  void TakeAnswer(ssize_t count) {
    if (count >= 0) {
      Finish(Success());
    } else {
      Finish(Failure(
          absl::StrFormat("read udp %s: %s", definition_.udp, ErrorText(static_cast<int>(count)))));
    }
  }

  ProbeResult Success() const {
    return {Health::kPassing, absl::StrFormat("UDP connect %s: Success", definition_.udp)};
  }
  static ProbeResult Failure(std::string why) { return {Health::kCritical, std::move(why)}; }

  uv_loop_t* loop_;
  const CheckDefinition& definition_;
  Resolver resolver_;
  UvHandle<uv_udp_t> udp_;
  std::array<char, 2048> buffer_;
};

}  // namespace

std::unique_ptr<Probe> MakeUdpProbe(const ProbeContext& context,
                                    const CheckDefinition& definition) {
  return std::make_unique<UdpProbe>(context, definition);
}

}  // namespace pharos::agent
