#include "bench/load/run.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <tuple>

#include "absl/strings/str_format.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "bench/load/pending.h"
#include "dns/reply_batch.h"
#include "dns/types.h"

namespace pharos::load {
namespace {

constexpr size_t kBatch = 64;
// Beyond what a reply may have, so that one that is too long shows; and buffers do not lie a power
// of 2 apart, which would put all of them into the same few lines of the cache.
constexpr size_t kReplyExtraOctets = 64;
// What the kernel hands over at most in one piece where it may merge datagrams.
constexpr size_t kMergedOctetsMax = 65'535;

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

absl::Status Failed(std::string_view what, const Options& options) {
  return absl::ErrnoToStatus(errno, absl::StrFormat("%s %s", what, options.server.ToString()));
}

// Of the datagrams that are in `message`, one behind the other, all but the last are this long.
size_t SegmentOctets(const mmsghdr& message) {
  const msghdr& header = message.msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
    int octets;
    std::memcpy(&octets, CMSG_DATA(c), sizeof octets);
    return static_cast<size_t>(octets);
  }
  return message.msg_len;
}

// Buffers for a batch in one direction, wired up once.
class Batch {
 public:
  explicit Batch(size_t octets) : octets_(octets), buffer_(kBatch * octets) {
    for (size_t i = 0; i < kBatch; ++i) {
      pieces_[i] = {&buffer_[i * octets_], octets_};
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_control = controls_[i].data();
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  mmsghdr* messages() { return messages_.data(); }
  // Has to precede each reception: the kernel leaves there how much it wrote.
  void MakeRoomForControl() {
    for (mmsghdr& message : messages_) message.msg_hdr.msg_controllen = kControlOctets;
  }
  const mmsghdr& message(size_t i) const { return messages_[i]; }
  Octets received(size_t i) const {
    return Octets(buffer_).subspan(i * octets_, messages_[i].msg_len);
  }
  void Fill(size_t i, const std::vector<uint8_t>& message, uint16_t id) {
    std::memcpy(pieces_[i].iov_base, message.data(), message.size());
    StoreU16(&buffer_[i * octets_], id);
    pieces_[i].iov_len = message.size();
  }

 private:
  static constexpr size_t kControlOctets = CMSG_SPACE(sizeof(int));

  size_t octets_;
  std::vector<uint8_t> buffer_;
  alignas(cmsghdr) std::array<std::array<uint8_t, kControlOctets>, kBatch> controls_{};
  std::array<iovec, kBatch> pieces_{};
  std::array<mmsghdr, kBatch> messages_{};
};

class Socket {
 public:
  explicit Socket(size_t window) : pending(window) {}
  ~Socket() {
    if (fd >= 0) close(fd);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  absl::Status Connect(const Options& options) {
    sockaddr_storage address;
    const socklen_t length = options.server.ToSockaddr(address);
    fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      return Failed("cannot connect to", options);
    }
    // A whole window of large replies has to fit, or the generator loses what the server answered.
    // The kernel lowers this to its own limit.
    const int receive_octets = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_octets, sizeof receive_octets) != 0) {
      return Failed("cannot size the buffer of a socket to", options);
    }
    const int on = 1;
    if (options.merge && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) != 0) {
      return Failed("cannot have the kernel merge what comes from", options);
    }
    if (options.merge) merged = std::make_unique<dns::ReplyBatch>(fd, counters);
    return absl::OkStatus();
  }

  int fd = -1;
  Pending pending;
  std::unique_ptr<dns::ReplyBatch> merged;  // Null unless queries are merged.

 private:
  dns::SendCounters counters;
};

class Generator {
 public:
  Generator(const Options& options, const std::vector<Question>& questions)
      : options_(options),
        questions_(questions),
        random_(options.seed),
        timeout_ns_(absl::ToInt64Nanoseconds(options.timeout)),
        received_((options.merge ? kMergedOctetsMax
                                 : std::max<size_t>(options.edns_octets, dns::kPlainUdpOctetsMax)) +
                  kReplyExtraOctets) {}

  absl::StatusOr<Outcome> Run() {
    RETURN_IF_ERROR(Open());
    start_ns_ = NowNs();
    end_ns_ = start_ns_ + absl::ToInt64Nanoseconds(options_.duration);
    int64_t now_ns = start_ns_;
    while (MaySend(now_ns) || !AllDone()) {
      const uint64_t before = outcome_.sent + outcome_.answered;
      RETURN_IF_ERROR(SendDue(now_ns));
      RETURN_IF_ERROR(ReceiveAll());
      now_ns = NowNs();
      for (const auto& socket : sockets_) {
        outcome_.lost += socket->pending.Expire(now_ns - timeout_ns_);
      }
      if (outcome_.sent + outcome_.answered == before) {
        Wait();
      } else {
        outcome_.elapsed = absl::Nanoseconds(now_ns - start_ns_);
      }
    }
    return outcome_;
  }

 private:
  absl::Status Open() {
    server_ = {&address_, options_.server.ToSockaddr(address_), {}};
    // At a fixed rate a slow server must not slow us down.
    const size_t window = options_.rate > 0 ? kWindowMax : options_.window;
    for (size_t i = 0; i < options_.sockets; ++i) {
      sockets_.push_back(std::make_unique<Socket>(window));
      RETURN_IF_ERROR(sockets_.back()->Connect(options_));
      polled_.push_back({sockets_.back()->fd, POLLIN, 0});
    }
    return absl::OkStatus();
  }

  bool MaySend(int64_t now_ns) const {
    return now_ns < end_ns_ && (options_.count == 0 || outcome_.sent < options_.count);
  }

  bool AllDone() const {
    return std::all_of(sockets_.begin(), sockets_.end(),
                       [](const auto& socket) { return socket->pending.empty(); });
  }

  // When the query that is the `n`th of all is due.
  int64_t DueNs(uint64_t n) const {
    return start_ns_ + static_cast<int64_t>(static_cast<double>(n) * 1e9 / options_.rate);
  }

  // How many queries are due by now and still to be sent, by rate and count.
  uint64_t DueCount(int64_t now_ns) const {
    uint64_t due = options_.count > 0 ? options_.count : UINT64_MAX;
    if (options_.rate > 0) {
      const double seconds = static_cast<double>(now_ns - start_ns_) * 1e-9;
      due = std::min(due, static_cast<uint64_t>(seconds * options_.rate) + 1);
    }
    return due > outcome_.sent ? due - outcome_.sent : 0;
  }

  absl::Status SendDue(int64_t now_ns) {
    if (!MaySend(now_ns)) return absl::OkStatus();
    // One batch a socket and turn, beginning with another socket each time, so that all of them
    // get their share of a low rate.
    for (size_t i = 0; i < sockets_.size(); ++i) {
      first_ = (first_ + 1) % sockets_.size();
      const uint64_t due = DueCount(now_ns);
      if (due == 0) break;
      RETURN_IF_ERROR(SendBatch(*sockets_[first_], due));
    }
    return absl::OkStatus();
  }

  absl::Status SendBatch(Socket& socket, uint64_t due) {
    const size_t room = socket.pending.Room();
    if (room < std::min(options_.burst, options_.window)) return absl::OkStatus();
    const size_t count = std::min({kBatch, room, static_cast<size_t>(due)});
    if (count == 0) return absl::OkStatus();
    std::array<uint32_t, kBatch> chosen;
    for (size_t i = 0; i < count; ++i) {
      chosen[i] = random_.Below(static_cast<uint32_t>(questions_.size()));
      const std::vector<uint8_t>& message = questions_[chosen[i]].message;
      if (options_.merge) {
        AddMerged(*socket.merged, message, socket.pending.IdAhead(i));
      } else {
        to_send_.Fill(i, message, socket.pending.IdAhead(i));
      }
    }
    const int64_t now_ns = NowNs();
    int sent = static_cast<int>(count);
    if (options_.merge) {
      // What the kernel does not take counts as sent, and so as lost.
      socket.merged->Flush();
    } else {
      sent = sendmmsg(socket.fd, to_send_.messages(), static_cast<unsigned>(count), 0);
    }
    if (sent < 0) return MayTryAgain() ? absl::OkStatus() : Failed("cannot send to", options_);
    for (int i = 0; i < sent; ++i) {
      const int64_t sent_ns = options_.rate > 0 ? DueNs(outcome_.sent) : now_ns;
      socket.pending.Add(chosen[static_cast<size_t>(i)], sent_ns);
      ++outcome_.sent;
    }
    return absl::OkStatus();
  }

  void AddMerged(dns::ReplyBatch& merged, const std::vector<uint8_t>& message, uint16_t id) const {
    const MutableOctets room = merged.Room();
    std::ranges::copy(message, room.begin());
    StoreU16(room.data(), id);
    merged.Add(server_, message.size());
  }

  static bool MayTryAgain() {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS;
  }

  absl::Status ReceiveAll() {
    for (const auto& socket : sockets_) {
      if (socket->pending.empty()) continue;
      if (options_.merge) received_.MakeRoomForControl();
      const int count = recvmmsg(socket->fd, received_.messages(), kBatch, MSG_DONTWAIT, nullptr);
      if (count < 0) {
        if (MayTryAgain()) continue;
        return Failed("cannot receive from", options_);
      }
      const int64_t now_ns = NowNs();
      for (int i = 0; i < count; ++i) {
        ReceiveMerged(socket->pending, static_cast<size_t>(i), now_ns);
      }
    }
    return absl::OkStatus();
  }

  void ReceiveMerged(Pending& pending, size_t i, int64_t now_ns) {
    Octets rest = received_.received(i);
    const size_t octets = options_.merge ? SegmentOctets(received_.message(i)) : rest.size();
    while (rest.size() > octets) {
      Receive(pending, rest.first(octets), now_ns);
      rest = rest.subspan(octets);
    }
    Receive(pending, rest, now_ns);
  }

  void Receive(Pending& pending, Octets reply, int64_t now_ns) {
    if (reply.size() < 2) {
      ++outcome_.malformed;
      return;
    }
    const std::optional<Pending::Query> query = pending.Take(LoadU16(reply.data()));
    if (!query) {
      ++outcome_.stray;
      return;
    }
    ++outcome_.answered;
    outcome_.reply_octets += reply.size();
    outcome_.latency.Add(now_ns - query->sent_ns);
    switch (Judge(questions_[query->question], reply)) {
      case Verdict::kRight:
        break;
      case Verdict::kMalformed:
        ++outcome_.malformed;
        break;
      case Verdict::kWrongQuestion:
        ++outcome_.wrong_question;
        break;
      case Verdict::kWrongRcode:
        ++outcome_.wrong_rcode;
        break;
      case Verdict::kWrongAnswers:
        ++outcome_.wrong_answers;
        break;
    }
  }

  // Sleeps until a reply comes, the next query is due, or a millisecond passed.
  void Wait() {
    int64_t wait_ns = 1'000'000;
    if (options_.rate > 0) {
      wait_ns = std::clamp<int64_t>(DueNs(outcome_.sent) - NowNs(), 0, wait_ns);
    }
    const timespec most = {0, wait_ns};
    // Whatever it says, the sockets are tried again.
    std::ignore = ppoll(polled_.data(), polled_.size(), &most, nullptr);
  }

  const Options& options_;
  const std::vector<Question>& questions_;
  Random random_;
  const int64_t timeout_ns_;
  int64_t start_ns_ = 0;
  int64_t end_ns_ = 0;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::vector<pollfd> polled_;
  size_t first_ = 0;
  sockaddr_storage address_{};
  dns::ReplyTarget server_{};
  Batch to_send_{kQueryOctetsMax};
  Batch received_;
  Outcome outcome_;
};

}  // namespace

absl::StatusOr<Outcome> Run(const Options& options, const std::vector<Question>& questions) {
  // Too large for a stack.
  return std::make_unique<Generator>(options, questions)->Run();
}

}  // namespace pharos::load
