#include "dns/upstream_ports.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "dns/types.h"

namespace pharos::dns {
namespace {

// Whether the error may be what an ICMP message said about an earlier query. Others are about the
// message at hand.
bool IsFromIcmp(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == ENOPROTOOPT || error == EOPNOTSUPP || error == EACCES;
}

}  // namespace

struct UpstreamPorts::Port : std::enable_shared_from_this<Port> {
  SocketAddress upstream;
  Socket socket;
  uv_poll_t* poll = nullptr;  // Null: closed.
  UpstreamPorts* ports = nullptr;
  uint64_t opened_ms = 0;  // By the loop's clock.
  bool taking = true;
  // Of each id that was sent from here, whose it is; 0: nobody waits for it any more. An id is used
  // once, so a reply that comes too late is nobody else's.
  absl::flat_hash_map<uint16_t, uint64_t> exchanges;
  size_t waiting = 0;

  std::vector<uint64_t> WaitingExchanges() const {
    std::vector<uint64_t> found;
    for (const auto& [id, exchange] : exchanges) {
      if (exchange != 0) found.push_back(exchange);
    }
    return found;
  }
};

UpstreamPorts::UpstreamPorts(uv_loop_t* loop, UpstreamSocketOwner& owner, absl::Duration age_max)
    : loop_(loop),
      owner_(owner),
      age_max_(age_max),
      sweep_(loop),
      buffer_(kBatch * kReplyOctetsMax) {
  for (size_t i = 0; i < kBatch; ++i) {
    pieces_[i] = {&buffer_[i * kReplyOctetsMax], kReplyOctetsMax};
    received_[i].msg_hdr.msg_iov = &pieces_[i];
    received_[i].msg_hdr.msg_iovlen = 1;
  }
}

UpstreamPorts::~UpstreamPorts() { Close(); }

void UpstreamPorts::Close() {
  for (const auto& [upstream, taking] : taking_) {
    for (const PortRef& port : taking.ports) {
      if (port != nullptr) ClosePort(*port);
    }
  }
  for (const auto& [exchange, place] : places_) ClosePort(*place.port);
  taking_.clear();
  places_.clear();
  broken_.clear();
  sweep_.reset();
}

// Connected, so that the kernel picks a random port, takes replies from nobody else, and tells of
// ICMP errors.
UpstreamPorts::PortRef UpstreamPorts::Open(const SocketAddress& upstream) {
  sockaddr_storage address;
  const socklen_t length = upstream.ToSockaddr(address);
  Socket socket(::socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0 ||
      connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return nullptr;
  }
  auto port = std::make_shared<Port>();
  port->upstream = upstream;
  port->socket = std::move(socket);
  port->ports = this;
  port->opened_ms = uv_now(loop_);
  port->poll = new uv_poll_t;
  if (uv_poll_init(loop_, port->poll, port->socket.fd()) != 0) {
    delete std::exchange(port->poll, nullptr);
    return nullptr;
  }
  // There are no calls any more once it is closed, which is before it is gone.
  port->poll->data = port.get();
  CHECK(uv_poll_start(port->poll, UV_READABLE, [](uv_poll_t* poll, int status, int) {
          const PortRef readable = static_cast<Port*>(poll->data)->shared_from_this();
          readable->ports->OnReadable(readable, status);
        }) == 0);
  return port;
}

bool UpstreamPorts::IsOld(const Port& port) const {
  const auto age_ms = static_cast<int64_t>(uv_now(loop_) - port.opened_ms);
  return absl::Milliseconds(age_ms) >= age_max_;
}

bool UpstreamPorts::MayTake(const PortRef& port, uint16_t id) const {
  return port != nullptr && !IsOld(*port) && port->exchanges.size() < kQueriesMax &&
         !port->exchanges.contains(id);
}

UpstreamPorts::PortRef UpstreamPorts::Choose(const SocketAddress& upstream, uint16_t id) {
  if (!sweeping_) SweepAfter(age_max_);
  Taking& taking = taking_[upstream];
  PortRef& next = taking.ports[taking.next];
  if (next != nullptr && IsOld(*next)) Retire(PortRef(next));
  if (next == nullptr) {
    next = Open(upstream);
    taking.next = (taking.next + 1) % kPortsMax;
    if (next != nullptr) return next;
  }
  uint8_t drawn;
  random_.Fill(MutableOctets(&drawn, 1));
  PortRef& port = taking.ports[drawn % kPortsMax];
  if (port != nullptr && !MayTake(port, id)) Retire(PortRef(port));
  if (port == nullptr) port = Open(upstream);
  if (port != nullptr) return port;
  // No more sockets are to be had, so one that is there has to do.
  const auto other = std::ranges::find_if(
      taking.ports, [&](const PortRef& candidate) { return MayTake(candidate, id); });
  return other == taking.ports.end() ? nullptr : *other;
}

bool UpstreamPorts::Send(uint64_t exchange, const SocketAddress& upstream, Octets message) {
  if (!sweep_) return false;
  if (const auto again = places_.find(exchange); again != places_.end()) {
    // If the port is broken, the exchange is among those that are told.
    return SendFrom(PortRef(again->second.port), message) != Sent::kNo;
  }
  const uint16_t id = LoadU16(message.data());
  for (size_t i = 0; i < kTriesMax; ++i) {
    const PortRef port = Choose(upstream, id);
    const Sent sent = port == nullptr ? Sent::kNo : SendFrom(port, message);
    if (sent == Sent::kNo) return false;
    if (sent == Sent::kBroken) continue;
    port->exchanges[id] = exchange;
    ++port->waiting;
    places_[exchange] = {port, id};
    return true;
  }
  return false;
}

UpstreamPorts::Sent UpstreamPorts::SendFrom(const PortRef& port, Octets message) {
  if (send(port->socket.fd(), message.data(), message.size(), 0) ==
      static_cast<ssize_t>(message.size())) {
    return Sent::kYes;
  }
  if (!IsFromIcmp(errno)) return Sent::kNo;
  Retire(port);
  broken_.push_back(port);
  SweepAfter(absl::ZeroDuration());
  return Sent::kBroken;
}

void UpstreamPorts::Cancel(uint64_t exchange) {
  const auto at = places_.find(exchange);
  if (at == places_.end()) return;
  const PortRef port = at->second.port;
  port->exchanges[at->second.id] = 0;
  --port->waiting;
  places_.erase(at);
  if (!port->taking && port->waiting == 0) ClosePort(*port);
}

// An error comes before the replies that were there already, which are still good.
void UpstreamPorts::OnReadable(const PortRef& port, int status) {
  bool failed = status < 0;
  for (int i = 0; i < kReadsMax && port->poll != nullptr; ++i) {
    const int received =
        recvmmsg(port->socket.fd(), received_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (received < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) break;
      failed = true;
      continue;
    }
    const auto count = static_cast<size_t>(received);
    for (size_t j = 0; j < count; ++j) {
      OnReply(port, MutableOctets(buffer_).subspan(j * kReplyOctetsMax, received_[j].msg_len));
    }
    if (count < kBatch) break;
  }
  if (failed) Fail(port);
}

void UpstreamPorts::OnReply(const PortRef& port, MutableOctets message) {
  const auto known = message.size() < sizeof(uint16_t)
                         ? port->exchanges.end()
                         : port->exchanges.find(LoadU16(message.data()));
  if (known != port->exchanges.end()) {
    if (known->second != 0) owner_.OnMessage(known->second, port->upstream, message);
    return;
  }
  // Whatever was asked from here may be what somebody tries to forge a reply for.
  for (const uint64_t exchange : port->WaitingExchanges()) {
    owner_.OnMessage(exchange, port->upstream, message);
  }
}

void UpstreamPorts::Retire(const PortRef& port) {
  if (!std::exchange(port->taking, false)) return;
  std::array<PortRef, kPortsMax>& ports = taking_[port->upstream].ports;
  *std::ranges::find(ports, port) = nullptr;
  if (port->waiting == 0) ClosePort(*port);
}

void UpstreamPorts::ClosePort(Port& port) {
  port.taking = false;
  if (port.poll == nullptr) return;
  uv_poll_stop(port.poll);
  uv_close(reinterpret_cast<uv_handle_t*>(std::exchange(port.poll, nullptr)),
           [](uv_handle_t* poll) { delete reinterpret_cast<uv_poll_t*>(poll); });
  port.socket = Socket();
}

void UpstreamPorts::Fail(const PortRef& port) {
  Retire(port);
  for (const uint64_t exchange : port->WaitingExchanges()) owner_.OnError(exchange);
}

void UpstreamPorts::SweepAfter(absl::Duration delay) {
  sweeping_ = true;
  sweep_->Once(delay, [this] { Sweep(); });
}

void UpstreamPorts::Sweep() {
  sweeping_ = false;
  for (const PortRef& port : std::exchange(broken_, {})) Fail(port);
  std::vector<PortRef> old;
  for (const auto& [upstream, taking] : taking_) {
    std::ranges::copy_if(taking.ports, std::back_inserter(old),
                         [this](const PortRef& port) { return port != nullptr && IsOld(*port); });
  }
  for (const PortRef& port : old) Retire(port);
  absl::erase_if(taking_, [](const auto& entry) {
    return std::ranges::all_of(entry.second.ports,
                               [](const PortRef& port) { return port == nullptr; });
  });
  if (!taking_.empty() && !sweeping_) SweepAfter(age_max_);
}

}  // namespace pharos::dns
