#include "http/server_thread.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::http {
namespace {

constexpr int kBacklog = 1024;
constexpr size_t kReadBufferOctets = size_t{64} * 1024;
constexpr absl::Duration kSweepMin = absl::Milliseconds(10);
constexpr absl::Duration kSweepMax = absl::Seconds(1);

// Often enough that no limit is overrun by much.
absl::Duration SweepInterval(const ServerOptions& options) {
  const absl::Duration shortest =
      std::min({options.handshake_timeout, options.head_timeout, options.body_timeout,
                options.idle_timeout, options.write_timeout});
  return std::clamp(shortest / 4, kSweepMin, kSweepMax);
}

}  // namespace

ConnectionCounts::Verdict ConnectionCounts::Add(const IpAddress* client) {
  const std::lock_guard lock(mutex_);
  if (connections_max_ > 0 && open_ >= connections_max_) return Verdict::kServerFull;
  if (client != nullptr) {
    int& open = by_client_[*client];
    if (per_client_max_ > 0 && open >= per_client_max_) return Verdict::kClientFull;
    ++open;
  }
  ++open_;
  return Verdict::kAccepted;
}

void ConnectionCounts::Remove(const IpAddress* client) {
  const std::lock_guard lock(mutex_);
  --open_;
  if (client == nullptr) return;
  const auto found = by_client_.find(*client);
  if (--found->second == 0) by_client_.erase(found);
}

void ConnectionCounts::SetPerClientMax(int max) {
  const std::lock_guard lock(mutex_);
  per_client_max_ = max;
}

// Deleted by libuv's close callback.
struct ServerThread::Listener {
  ServerThread* thread;
  bool is_pipe;
  bool tls;
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };
};

ServerThread::ServerThread(Loop& loop, const ServerOptions& options, ConnectionCounts& counts,
                           std::unique_ptr<ThreadHandler> handler)
    : loop_(loop),
      options_(options),
      counts_(counts),
      handler_(std::move(handler)),
      sweep_(loop.uv()),
      read_buffer_(kReadBufferOctets, '\0') {
  sweep_.Every(SweepInterval(options), [this] { Sweep(); });
}

ServerThread::~ServerThread() {
  for (Listener* listener : listeners_) {
    uv_close(&listener->handle,
             [](uv_handle_t* handle) { delete static_cast<Listener*>(handle->data); });
  }
  handler_.reset();
  std::vector<Connection*> open;
  for (const auto& [id, connection] : connections_) open.push_back(connection);
  for (Connection* connection : open) connection->Close();
}

absl::Status ServerThread::Listen(Socket socket, bool tls) {
  const SocketAddress address = BoundAddress(socket);
  auto* listener = new Listener{.thread = this, .is_pipe = false, .tls = tls, .handle = {}};
  CHECK(uv_tcp_init(loop_.uv(), &listener->tcp) == 0);
  listener->handle.data = listener;
  listeners_.push_back(listener);
  int error = uv_tcp_open(&listener->tcp, socket.fd());
  if (error == 0) {
    socket.Release();
    error = uv_listen(&listener->stream, kBacklog, [](uv_stream_t* stream, int status) {
      auto& self = *static_cast<Listener*>(stream->data);
      if (status == 0) self.thread->Accept(self);
    });
  }
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrFormat("cannot listen on tcp %s: %s", address.ToString(), uv_strerror(error)));
}

absl::Status ServerThread::ListenUnix(const std::string& path, bool tls) {
  auto* listener = new Listener{.thread = this, .is_pipe = true, .tls = tls, .handle = {}};
  CHECK(uv_pipe_init(loop_.uv(), &listener->pipe, 0) == 0);
  listener->handle.data = listener;
  listeners_.push_back(listener);
  int error = uv_pipe_bind(&listener->pipe, path.c_str());
  if (error == 0) {
    error = uv_listen(&listener->stream, kBacklog, [](uv_stream_t* stream, int status) {
      auto& self = *static_cast<Listener*>(stream->data);
      if (status == 0) self.thread->Accept(self);
    });
  }
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrFormat("cannot listen on unix socket %s: %s", path, uv_strerror(error)));
}

void ServerThread::Accept(Listener& listener) {
  auto* connection =
      new Connection(*this, ++last_id_, listener.is_pipe, listener.tls ? tls_ : nullptr);
  connections_.emplace(connection->id(), connection);
  if (uv_accept(&listener.stream, connection->stream()) != 0) {
    connections_.erase(connection->id());
    uv_close(reinterpret_cast<uv_handle_t*>(connection->stream()),
             [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
    return;
  }
  std::optional<IpAddress> client;
  if (!listener.is_pipe) {
    auto* tcp = reinterpret_cast<uv_tcp_t*>(connection->stream());
    uv_tcp_nodelay(tcp, 1);
    sockaddr_storage peer{};
    int size = sizeof peer;
    uv_tcp_getpeername(tcp, reinterpret_cast<sockaddr*>(&peer), &size);
    const SocketAddress address = SocketAddress::FromSockaddr(peer);
    connection->set_peer(address.ToString());
    client = address.ip;
  }
  const ConnectionCounts::Verdict verdict = counts_.Add(client ? &*client : nullptr);
  if (verdict == ConnectionCounts::Verdict::kAccepted) {
    if (client) clients_.emplace(connection->id(), *client);
    ++counters_.accepted;
    ++counters_.open;
    return connection->StartReading();
  }
  // Not counted, so it is forgotten before it is closed.
  connections_.erase(connection->id());
  if (verdict == ConnectionCounts::Verdict::kClientFull) {
    ++counters_.closed_at_client_cap;
    constexpr std::string_view kTooMany =
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        "Your IP is issuing too many concurrent connections, please rate limit your calls\n";
    const uv_buf_t buffer = uv_buf_init(const_cast<char*>(kTooMany.data()), kTooMany.size());
    if (!listener.tls) uv_try_write(connection->stream(), &buffer, 1);
  } else {
    ++counters_.closed_at_cap;
  }
  uv_close(reinterpret_cast<uv_handle_t*>(connection->stream()),
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
}

void ServerThread::Forget(Connection& connection) {
  if (connections_.erase(connection.id()) == 0) return;
  const auto client = clients_.find(connection.id());
  counts_.Remove(client == clients_.end() ? nullptr : &client->second);
  if (client != clients_.end()) clients_.erase(client);
  --counters_.open;
}

void ServerThread::Sweep() {
  const uint64_t now_ms = uv_now(loop_.uv());
  std::vector<Connection*> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  // Closing one changes the list but no other connection.
  for (Connection* connection : all) connection->CloseIfOverdue(now_ms);
}

size_t EndpointGroupOf(std::string_view path) {
  constexpr std::string_view kPrefix = "/v1/";
  if (!path.starts_with(kPrefix)) return kEndpointGroups.size();
  path.remove_prefix(kPrefix.size());
  const std::string_view word = path.substr(0, path.find('/'));
  const auto* const found = std::find(kEndpointGroups.begin(), kEndpointGroups.end(), word);
  return static_cast<size_t>(found - kEndpointGroups.begin());
}

const std::string& ServerThread::Date() {
  const absl::Time now = absl::Now();
  const int64_t now_s = absl::ToUnixSeconds(now);
  if (now_s != date_s_) {
    date_s_ = now_s;
    date_ = FormatDate(now);
  }
  return date_;
}

}  // namespace pharos::http
