#include "dns/udp_listener.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace pharos::dns {
namespace {

// Enough for a burst of some thousand queries while a batch is answered; the kernel's default holds
// about two hundred.
constexpr int kReceiveBufferOctets = 4 << 20;

// The address a datagram was sent to, from its control data.
bool ReadLocalAddress(const msghdr& header, IpAddress& local) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      std::array<uint8_t, 4> octets;
      std::memcpy(octets.data(), &info.ipi_addr, octets.size());
      local = IpAddress::V4(octets);
      return true;
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      std::array<uint8_t, 16> octets;
      std::memcpy(octets.data(), &info.ipi6_addr, octets.size());
      local = IpAddress::V6(octets);
      return true;
    }
  }
  return false;
}

// When a datagram came, from its control data; the infinite past if it does not say.
absl::Time ReadArrival(const msghdr& header) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time;
    std::memcpy(&time, CMSG_DATA(c), sizeof time);
    return absl::TimeFromTimespec(time);
  }
  return absl::InfinitePast();
}

// Writes control data that makes a datagram leave from `local`; returns its length.
size_t WriteLocalAddress(const IpAddress& local, MutableOctets control) {
  std::memset(control.data(), 0, control.size());
  auto* c = reinterpret_cast<cmsghdr*>(control.data());
  if (local.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, local.octets().data(), 4);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
  }
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, local.octets().data(), 16);
  c->cmsg_level = IPPROTO_IPV6;
  c->cmsg_type = IPV6_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(c), &info, sizeof info);
  return CMSG_SPACE(sizeof info);
}

}  // namespace

UdpListener::UdpListener(uv_loop_t* loop, Socket socket, QueryHandler& handler)
    : poll_(new uv_poll_t),
      before_wait_(new uv_prepare_t),
      socket_(std::move(socket)),
      handler_(handler),
      bound_(BoundAddress(socket_)),
      wildcard_(bound_.ip.IsUnspecified()),
      requests_(kBatch),
      replies_(socket_.fd(), counters_.replies),
      late_(kBatch) {
  const int on = 1;
  if (wildcard_) {
    const bool v4 = bound_.ip.is_v4();
    CHECK(setsockopt(socket_.fd(), v4 ? IPPROTO_IP : IPPROTO_IPV6,
                     v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on) == 0);
  }
  // As much as the host allows; net.core.rmem_max bounds it without an error.
  setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferOctets,
             sizeof kReceiveBufferOctets);
  for (size_t i = 0; i < kBatch; ++i) {
    requests_[i].vector = {requests_[i].octets.data(), kRequestOctetsMax};
  }
  CHECK(uv_poll_init(loop, poll_, socket_.fd()) == 0);
  poll_->data = this;
  CHECK(uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
          static_cast<UdpListener*>(poll->data)->OnReadable();
        }) == 0);
  CHECK(uv_prepare_init(loop, before_wait_) == 0);
  before_wait_->data = this;
}

UdpListener::~UdpListener() {
  replies_.Flush();
  uv_close(reinterpret_cast<uv_handle_t*>(before_wait_),
           [](uv_handle_t* prepare) { delete reinterpret_cast<uv_prepare_t*>(prepare); });
  uv_poll_stop(poll_);
  uv_close(reinterpret_cast<uv_handle_t*>(poll_),
           [](uv_handle_t* poll) { delete reinterpret_cast<uv_poll_t*>(poll); });
}

void UdpListener::OnReadable() {
  const uint64_t began_ms = uv_now(poll_->loop);
  const absl::Duration since_last =
      absl::Milliseconds(static_cast<int64_t>(began_ms - std::exchange(turn_began_ms_, began_ms)));
  bool emptied = false;
  int count = kBusyMin;
  for (int i = 0; i < kBatchesPerTurn && count >= kBusyMin; ++i) {
    count = ReceiveBatch();
    if (count > 0) HandleBatch(count);
    emptied = emptied || count < static_cast<int>(kBatch);
  }
  if (!emptied) {
    const Backlog::Turn turn{since_last, kBatch * kBatchesPerTurn,
                             ReadMemory(SK_MEMINFO_RMEM_ALLOC)};
    StampArrivals(backlog_.OnFullTurn(turn, absl::Now()));
  } else if (stamping_) {
    StampArrivals(backlog_.OnEmptied(absl::Now()));
  }
}

void UdpListener::StampArrivals(bool on) {
  if (on == stamping_) return;
  const int value = on ? 1 : 0;
  // Without it nothing is shed, which is no worse than before.
  if (setsockopt(socket_.fd(), SOL_SOCKET, SO_TIMESTAMPNS, &value, sizeof value) == 0) {
    stamping_ = on;
    used_ = kBatch;  // All of them are made with or without room for it.
  }
}

uint32_t UdpListener::ReadMemory(int index) const {
  std::array<uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket_.fd(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) != 0) return 0;
  return info[static_cast<size_t>(index)];
}

void UdpListener::ReadKernelDrops() { counters_.kernel_dropped.Set(ReadMemory(SK_MEMINFO_DROPS)); }

void UdpListener::PrepareToReceive(size_t i) {
  const bool control = wildcard_ || stamping_;
  msghdr& header = received_[i].msg_hdr;
  header.msg_name = &requests_[i].from;
  header.msg_namelen = sizeof requests_[i].from;
  header.msg_iov = &requests_[i].vector;
  header.msg_iovlen = 1;
  header.msg_control = control ? requests_[i].control.octets.data() : nullptr;
  header.msg_controllen = control ? requests_[i].control.octets.size() : 0;
}

int UdpListener::ReceiveBatch() {
  for (size_t i = 0; i < used_; ++i) PrepareToReceive(i);
  used_ = 0;
  const int count = recvmmsg(socket_.fd(), received_.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count > 0) {
    used_ = static_cast<size_t>(count);
    counters_.received.Add(static_cast<uint64_t>(count));
    counters_.batches.Add();
  }
  return count;
}

ReplyPath UdpListener::PathOf(const Request& request, const msghdr& header) {
  ReplyPath path;
  path.listener = this;
  path.transport = Transport::kUdp;
  path.client = SocketAddress::FromSockaddr(request.from);
  if (wildcard_) path.local_ip_known = ReadLocalAddress(header, path.local_ip);
  return path;
}

void UdpListener::HandleBatch(int count) {
  const absl::Time now = stamping_ ? absl::Now() : absl::InfinitePast();
  std::array<Octets, kBatch> messages;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    messages[i] = Octets(requests_[i].octets).first(received_[i].msg_len);
  }
  handling_ = true;
  handler_.BeginBatch();
  handler_.LookAhead(std::span(messages).first(static_cast<size_t>(count)));
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    Request& request = requests_[i];
    const msghdr& header = received_[i].msg_hdr;
    if (messages[i].size() < kHeaderOctets) {
      counters_.too_short.Add();
      continue;
    }
    if (stamping_ && Backlog::IsTooOld(ReadArrival(header), now)) {
      counters_.shed.Add();
      continue;
    }
    const MutableOctets room = replies_.Room();
    ReplyTarget target{&request.from, header.msg_namelen, {}};
    size_t octets = handler_.AnswerAhead(i, room);
    if (octets == 0) {
      octets = handler_.Handle(messages[i], PathOf(request, header), room).value_or(0);
    }
    if (octets == 0) continue;
    IpAddress local;
    if (wildcard_ && ReadLocalAddress(header, local)) {
      target.local =
          Octets(request.control.octets).first(WriteLocalAddress(local, request.control.octets));
    }
    replies_.Add(target, octets);
  }
  handler_.EndBatch();
  replies_.Flush();
  handling_ = false;
}

// Late replies come in bunches, as what they waited for does, so they leave together.
void UdpListener::Send(const ReplyPath& path, Octets message) {
  // Room in the batch is where a reply is being written.
  if (handling_) return SendAtOnce(path, message);
  const MutableOctets room = replies_.Room();
  std::ranges::copy(message, room.begin());
  Late& late = late_[late_next_++ % kBatch];
  ReplyTarget target{&late.to, path.client.ToSockaddr(late.to), {}};
  if (path.local_ip_known) {
    const size_t octets = WriteLocalAddress(path.local_ip, late.control.octets);
    target.local = Octets(late.control.octets).first(octets);
  }
  replies_.Add(target, message.size());
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(before_wait_)) != 0) return;
  uv_prepare_start(before_wait_, [](uv_prepare_t* prepare) {
    static_cast<UdpListener*>(prepare->data)->replies_.Flush();
    uv_prepare_stop(prepare);
  });
}

void UdpListener::SendAtOnce(const ReplyPath& path, Octets message) {
  sockaddr_storage to;
  ControlData control;
  iovec vector{const_cast<uint8_t*>(message.data()), message.size()};
  msghdr header{};
  header.msg_namelen = path.client.ToSockaddr(to);
  header.msg_name = &to;
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (path.local_ip_known) {
    header.msg_control = control.octets.data();
    header.msg_controllen = WriteLocalAddress(path.local_ip, control.octets);
  }
  const bool sent = sendmsg(socket_.fd(), &header, MSG_DONTWAIT) >= 0;
  (sent ? counters_.replies.sent : counters_.replies.send_failed).Add();
}

}  // namespace pharos::dns
