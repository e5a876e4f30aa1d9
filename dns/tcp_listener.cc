#include "dns/tcp_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::dns {
namespace {

constexpr int kBacklog = 1024;
constexpr size_t kLengthOctets = 2;
constexpr size_t kReadBufferOctets = size_t{64} * 1024;

}  // namespace

// Deleted by libuv's close callback, so that callbacks under way still find it.
struct TcpListener::Connection {
  uv_tcp_t handle{};
  TcpListener* listener = nullptr;
  uint64_t id = 0;
  SocketAddress client;
  uint64_t active_at_ms = 0;  // By the loop's clock: when something last came or left.
  std::list<Connection*>::iterator position;  // In by_activity_.
  std::vector<uint8_t> input;                 // What has come and is not handled yet.
  std::vector<uint8_t> output;  // Framed answers that are not handed to the kernel yet.
  size_t unsent_octets = 0;     // Handed to libuv, and not yet to the kernel.
  size_t in_flight = 0;         // Queries whose answer did not come at once.
  bool reading = false;
  bool client_done = false;  // It will send no more.
  bool closing = false;
  bool counted = false;   // In clients_.
  bool handling = false;  // HandleInput is at work; answers that come meanwhile only queue.

  bool IsIdle() const { return in_flight == 0 && unsent_octets == 0 && output.empty(); }
};

struct TcpListener::PendingWrite {
  uv_write_t request{};
  std::vector<uint8_t> octets;
};

TcpListener::TcpListener(uv_loop_t* loop, QueryHandler& handler, const TcpLimits& limits)
    : loop_(loop),
      handler_(handler),
      limits_(limits),
      listening_(new uv_tcp_t),
      sweep_(loop),
      read_buffer_(kReadBufferOctets),
      reply_buffer_(kMessageOctetsMax) {
  CHECK(uv_tcp_init(loop, listening_) == 0);
  listening_->data = this;
  // As often as the shortest time-out.
  sweep_.Every(std::max(IdleTimeoutAt(limits, limits.connections_max), absl::Milliseconds(10)),
               [this] { Sweep(); });
}

TcpListener::~TcpListener() {
  std::vector<Connection*> open;
  for (const auto& [id, connection] : connections_) open.push_back(connection);
  for (Connection* connection : open) Close(*connection);
  uv_close(reinterpret_cast<uv_handle_t*>(listening_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
}

absl::Status TcpListener::Listen(Socket socket) {
  const SocketAddress address = bound_ = BoundAddress(socket);
  int error = uv_tcp_open(listening_, socket.fd());
  if (error == 0) {
    socket.Release();
    error = uv_listen(reinterpret_cast<uv_stream_t*>(listening_), kBacklog,
                      [](uv_stream_t* stream, int status) {
                        if (status == 0) static_cast<TcpListener*>(stream->data)->Accept();
                      });
  }
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrFormat("cannot listen on tcp %s: %s", address.ToString(), uv_strerror(error)));
}

void TcpListener::Accept() {
  if (connections_.size() >= limits_.connections_max) CloseLongestIdle();
  auto* connection = new Connection;
  connection->listener = this;
  connection->id = ++last_id_;
  CHECK(uv_tcp_init(loop_, &connection->handle) == 0);
  connection->handle.data = connection;
  connections_[connection->id] = connection;
  connection->position = by_activity_.insert(by_activity_.end(), connection);
  counters_.accepted.Add();
  counters_.open.Set(connections_.size());
  Touch(*connection);
  if (uv_accept(reinterpret_cast<uv_stream_t*>(listening_),
                reinterpret_cast<uv_stream_t*>(&connection->handle)) != 0) {
    Close(*connection);
    return;
  }
  uv_tcp_nodelay(&connection->handle, 1);
  sockaddr_storage peer{};
  int size = sizeof peer;
  uv_tcp_getpeername(&connection->handle, reinterpret_cast<sockaddr*>(&peer), &size);
  connection->client = SocketAddress::FromSockaddr(peer);
  const bool room = MakeRoomFor(connection->client.ip);
  clients_.Add(connection->client.ip);
  connection->counted = true;
  if (!room) return Close(*connection);
  Update(*connection);
}

bool TcpListener::MakeRoomFor(const IpAddress& client) {
  const size_t most = limits_.connections_per_client_max;
  if (most == 0 || clients_.Of(client) < most) return true;
  Connection* const longest = FindLongestIdle(&client);
  if (longest == nullptr) {
    counters_.refused_at_client_cap.Add();
    return false;
  }
  counters_.closed_at_client_cap.Add();
  Close(*longest);
  return true;
}

void TcpListener::Touch(Connection& connection) {
  connection.active_at_ms = uv_now(loop_);
  if (!connection.closing)
    by_activity_.splice(by_activity_.end(), by_activity_, connection.position);
}

void TcpListener::OnRead(Connection& connection, Octets data) {
  connection.input.insert(connection.input.end(), data.begin(), data.end());
  HandleInput(connection);
}

void TcpListener::HandleInput(Connection& connection) {
  if (std::exchange(connection.handling, true)) return;
  // As long as the kernel takes the answers at once, there is room for more.
  while (HandleSome(connection) && !connection.closing) Write(connection);
  connection.handling = false;
  Write(connection);
  Update(connection);
}

bool TcpListener::HandleSome(Connection& connection) {
  size_t used = 0;
  bool in_batch = false;
  while (connection.in_flight < limits_.queries_in_flight_max &&
         connection.unsent_octets + connection.output.size() < limits_.unsent_octets_max) {
    const Octets rest = Octets(connection.input).subspan(used);
    if (rest.size() < kLengthOctets) break;
    const size_t octets = LoadU16(rest.data());
    if (octets < kHeaderOctets) {
      // No message is so short; what follows cannot be trusted to begin where we think.
      connection.client_done = true;
      used = connection.input.size();
      break;
    }
    if (rest.size() < kLengthOctets + octets) break;
    if (!std::exchange(in_batch, true)) handler_.BeginBatch();
    used += kLengthOctets + octets;
    counters_.received.Add();
    Touch(connection);
    ReplyPath path;
    path.listener = this;
    path.transport = Transport::kTcp;
    path.client = connection.client;
    path.connection_id = connection.id;
    path.idle_timeout = IdleTimeoutAt(limits_, connections_.size());
    const std::optional<size_t> reply =
        handler_.Handle(rest.subspan(kLengthOctets, octets), path, reply_buffer_);
    if (!reply) {
      ++connection.in_flight;
    } else if (*reply > 0) {
      QueueOutput(connection, Octets(reply_buffer_).first(*reply));
    }
  }
  if (in_batch) handler_.EndBatch();
  connection.input.erase(connection.input.begin(),
                         connection.input.begin() + static_cast<ptrdiff_t>(used));
  return used > 0;
}

void TcpListener::QueueOutput(Connection& connection, Octets message) {
  connection.output.push_back(static_cast<uint8_t>(message.size() >> 8));
  connection.output.push_back(static_cast<uint8_t>(message.size()));
  connection.output.insert(connection.output.end(), message.begin(), message.end());
  counters_.sent.Add();
}

void TcpListener::Send(const ReplyPath& path, Octets message) {
  const auto found = connections_.find(path.connection_id);
  if (found == connections_.end()) return;  // The client has left.
  Connection& connection = *found->second;
  if (connection.in_flight > 0) --connection.in_flight;
  QueueOutput(connection, message);
  Touch(connection);
  // Input that waited for room in flight goes on.
  HandleInput(connection);
}

void TcpListener::Write(Connection& connection) {
  if (connection.output.empty() || connection.closing) return;
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection.handle);
  size_t written = 0;
  if (connection.unsent_octets == 0) {
    uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(connection.output.data()),
                                  static_cast<unsigned>(connection.output.size()));
    const int result = uv_try_write(stream, &buffer, 1);
    if (result > 0) written = static_cast<size_t>(result);
  }
  if (written == connection.output.size()) {
    connection.output.clear();
    return;
  }
  auto* pending = new PendingWrite;
  pending->octets.assign(connection.output.begin() + static_cast<ptrdiff_t>(written),
                         connection.output.end());
  connection.output.clear();
  connection.unsent_octets += pending->octets.size();
  pending->request.data = pending;
  uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(pending->octets.data()),
                                static_cast<unsigned>(pending->octets.size()));
  const int error =
      uv_write(&pending->request, stream, &buffer, 1, [](uv_write_t* request, int status) {
        const std::unique_ptr<PendingWrite> done(static_cast<PendingWrite*>(request->data));
        auto* owner = static_cast<Connection*>(request->handle->data);
        if (owner->closing) return;
        if (status != 0) {
          owner->listener->Close(*owner);
        } else {
          owner->listener->OnWritten(*owner, done->octets.size());
        }
      });
  if (error != 0) {
    delete pending;
    Close(connection);
  }
}

void TcpListener::OnWritten(Connection& connection, size_t octets) {
  connection.unsent_octets -= octets;
  Touch(connection);
  HandleInput(connection);
}

void TcpListener::Update(Connection& connection) {
  if (connection.closing) return;
  const bool idle = connection.in_flight == 0 && connection.unsent_octets == 0;
  if (connection.client_done && idle) {
    Close(connection);
    return;
  }
  const bool want = !connection.client_done &&
                    connection.in_flight < limits_.queries_in_flight_max &&
                    connection.unsent_octets < limits_.unsent_octets_max;
  if (want == connection.reading) return;
  connection.reading = want;
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection.handle);
  if (!want) {
    uv_read_stop(stream);
    return;
  }
  uv_read_start(
      stream,
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        std::vector<uint8_t>& octets =
            static_cast<Connection*>(handle->data)->listener->read_buffer_;
        *buffer = uv_buf_init(reinterpret_cast<char*>(octets.data()),
                              static_cast<unsigned>(octets.size()));
      },
      [](uv_stream_t* from, ssize_t count, const uv_buf_t* buffer) {
        auto* owner = static_cast<Connection*>(from->data);
        if (count > 0) {
          owner->listener->OnRead(
              *owner, {reinterpret_cast<const uint8_t*>(buffer->base), static_cast<size_t>(count)});
        } else if (count == UV_EOF) {
          owner->client_done = true;
          owner->listener->Update(*owner);
        } else if (count < 0) {
          owner->listener->Close(*owner);
        }
      });
}

void TcpListener::Close(Connection& connection) {
  if (connection.closing) return;
  connection.closing = true;
  connections_.erase(connection.id);
  by_activity_.erase(connection.position);
  if (connection.counted) clients_.Remove(connection.client.ip);
  counters_.open.Set(connections_.size());
  uv_close(reinterpret_cast<uv_handle_t*>(&connection.handle),
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
}

TcpListener::Connection* TcpListener::FindLongestIdle(const IpAddress* client) {
  const auto found =
      std::find_if(by_activity_.begin(), by_activity_.end(), [client](const Connection* each) {
        // One that is not counted yet is the one that room is made for.
        return each->counted && each->IsIdle() && (client == nullptr || each->client.ip == *client);
      });
  return found == by_activity_.end() ? nullptr : *found;
}

void TcpListener::CloseLongestIdle() {
  if (by_activity_.empty()) return;
  Connection* longest = FindLongestIdle(nullptr);
  // All are at work: the one that nothing happened on for longest has the least to lose.
  if (longest == nullptr) longest = by_activity_.front();
  counters_.closed_at_cap.Add();
  Close(*longest);
}

void TcpListener::Sweep() {
  const uint64_t now_ms = uv_now(loop_);
  const absl::Duration whole = limits_.idle_timeout;
  std::vector<Connection*> ended;
  for (Connection* connection : by_activity_) {
    const auto silent = absl::Milliseconds(static_cast<int64_t>(now_ms - connection->active_at_ms));
    if (silent < IdleTimeoutAt(limits_, connections_.size() - ended.size())) break;
    // Who waits for our answer is not idle (RFC 7766 section 6.2.3), and what is being sent gets
    // all the time there is.
    if (connection->in_flight > 0 || (silent < whole && !connection->IsIdle())) continue;
    (silent < whole ? counters_.closed_under_pressure : counters_.closed_idle).Add();
    ended.push_back(connection);
  }
  for (Connection* connection : ended) Close(*connection);
}

}  // namespace pharos::dns
