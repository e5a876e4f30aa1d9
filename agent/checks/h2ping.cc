// H2PING checks: whether the peer answers an HTTP/2 PING (RFC 9113 section 6.7).
#include <nghttp2/nghttp2.h>

#include <array>
#include <cstring>

#include "absl/strings/str_format.h"
#include "agent/checks/endpoint.h"
#include "agent/checks/probe.h"
#include "agent/checks/stream.h"
#include "base/check.h"
#include "base/random.h"

namespace pharos::agent {
namespace {

using registry::Health;

constexpr size_t kPingOctets = 8;

// The protocol, apart from any socket: the preface and a ping out, the answer in.
class PingSession {
 public:
  PingSession() : session_(nullptr, &nghttp2_session_del) {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &PingSession::OnFrame);
    nghttp2_session* session = nullptr;
    CHECK(nghttp2_session_client_new(&session, callbacks, this) == 0);
    nghttp2_session_callbacks_del(callbacks);
    session_.reset(session);
    SecureRandom(ping_);
    CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0) == 0);
    CHECK(nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, ping_.data()) == 0);
  }

  // What to send to the peer now.
  std::string TakeOutput() {
    std::string output;
    const uint8_t* octets = nullptr;
    while (true) {
      const ssize_t count = nghttp2_session_mem_send(session_.get(), &octets);
      if (count <= 0) return output;
      output.append(AsText({octets, static_cast<size_t>(count)}));
    }
  }

  // Returns why what the peer sent is not HTTP/2, or nothing.
  std::optional<std::string> Receive(std::string_view octets) {
    const ssize_t taken =
        nghttp2_session_mem_recv(session_.get(), AsOctets(octets).data(), octets.size());
    if (taken < 0) return nghttp2_strerror(static_cast<int>(taken));
    return std::nullopt;
  }

  bool answered() const { return answered_; }

 private:
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    auto* session = static_cast<PingSession*>(self);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
        std::memcmp(frame->ping.opaque_data, session->ping_.data(), kPingOctets) == 0) {
      session->answered_ = true;
    }
    return 0;
  }

  std::unique_ptr<nghttp2_session, decltype(&nghttp2_session_del)> session_;
  std::array<uint8_t, kPingOctets> ping_{};
  bool answered_ = false;
};

class H2PingProbe : public Probe {
 public:
  H2PingProbe(const ProbeContext& context, const CheckDefinition& definition)
      : definition_(definition),
        stream_(context.loop.uv(), context.tls,
                {.connected = [this] { stream_.Send(session_.TakeOutput()); },
                 .received = [this](std::string_view octets) { TakeOctets(octets); },
                 .failed = [this](const std::string& why) { Finish(Failure(why)); }}) {}

  ProbeResult TimedOut(absl::Duration) override { return Failure("i/o timeout"); }

 protected:
  std::optional<ProbeResult> Begin() override {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(definition_.h2ping);
    if (!endpoint.ok()) return Failure(std::string(endpoint.status().message()));
    std::optional<TlsRequest> tls;
    if (definition_.h2ping_use_tls) {
      tls = TlsRequestOf(definition_, *endpoint);
      tls->http2 = true;
    }
    const std::optional<std::string> why = stream_.Start(*endpoint, std::move(tls));
    if (!why) return std::nullopt;
    return Failure(*why);
  }

 private:
  void TakeOctets(std::string_view octets) {
    const std::optional<std::string> why = session_.Receive(octets);
    if (session_.answered()) {
      Finish({Health::kPassing, "HTTP2 ping was successful"});
    } else if (why) {
      Finish(Failure(*why));
    } else {
      stream_.Send(session_.TakeOutput());
    }
  }

  ProbeResult Failure(std::string_view why) const {
    return {Health::kCritical,
            absl::StrFormat("HTTP2 ping to %s failed: %s", definition_.h2ping, why)};
  }

  const CheckDefinition& definition_;
  PingSession session_;
  Stream stream_;
};

}  // namespace

std::unique_ptr<Probe> MakeH2PingProbe(const ProbeContext& context,
                                       const CheckDefinition& definition) {
  return std::make_unique<H2PingProbe>(context, definition);
}

}  // namespace pharos::agent
