#include "cluster/gossip/pool.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <latch>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/gossip/join_address.h"
#include "cluster/gossip/keyring_file.h"

namespace pharos::gossip {
namespace {

constexpr int kReceiveBuffer = 2 << 20;
// Datagrams in one turn of the loop; then timers and streams get theirs.
constexpr int kPacketsATurn = 512;
constexpr absl::Duration kRefusedEvery = absl::Seconds(10);
constexpr absl::Duration kSnapshotEvery = absl::Milliseconds(500);
constexpr absl::Duration kFirstRetry = absl::Seconds(1);

const char* NameOf(MemberEvent::Kind kind) {
  switch (kind) {
    case MemberEvent::Kind::kJoin:
      return "EventMemberJoin";
    case MemberEvent::Kind::kUpdate:
      return "EventMemberUpdate";
    case MemberEvent::Kind::kLeave:
      return "EventMemberLeave";
    case MemberEvent::Kind::kFail:
      return "EventMemberFailed";
    case MemberEvent::Kind::kReap:
      break;
  }
  return "EventMemberReap";
}

}  // namespace

struct Pool::Poll {
  uv_poll_t poll;
  Pool* pool;
};

// Addresses that are joined together.
struct Pool::JoinJob {
  size_t open = 1;  // Addresses, and exchanges of theirs, that are not done.
  int joined = 0;
  std::map<std::string, std::string> errors;
  JoinDone done;
};

struct Pool::Resolution {
  uv_getaddrinfo_t request;
  Pool* pool;
  std::shared_ptr<bool> alive;
  std::shared_ptr<JoinJob> job;
  std::string given;
  uint16_t port;
};

absl::Time Pool::Now() {
  return absl::UnixEpoch() + absl::Nanoseconds(static_cast<int64_t>(uv_hrtime()));
}

Pool::Pool(Loop& loop, PoolOptions options, PoolEvents events)
    : loop_(loop), options_(std::move(options)), events_(std::move(events)) {}

absl::StatusOr<std::unique_ptr<Pool>> Pool::Start(Loop& loop, PoolOptions options,
                                                  PoolEvents events) {
  std::unique_ptr<Pool> pool(new Pool(loop, std::move(options), std::move(events)));
  RETURN_IF_ERROR(pool->Open());
  return pool;
}

Pool::~Pool() {
  loop_.PostAndWait([this] { CloseAll(); });
}

absl::Status Pool::Open() {
  ASSIGN_OR_RETURN(keyring_, LoadKeyring(options_.keyring_path, options_.encrypt_key));
  if (!options_.snapshot_path.empty()) {
    ASSIGN_OR_RETURN(snapshot_,
                     SnapshotFile::Open(options_.snapshot_path, options_.rejoin_after_leave));
  }
  security_ = {.keyring = &keyring_,
               .label = {},
               .verify_incoming = options_.verify_incoming,
               .verify_outgoing = options_.verify_outgoing};
  absl::Status status;
  loop_.PostAndWait([&] {
    status = OpenSockets();
    if (!status.ok()) return;
    StartSerf();
    StartJoins();
  });
  return status;
}

// UDP and TCP on one port; where the kernel picks it, until there is one that is free for both.
absl::Status Pool::OpenSockets() {
  constexpr int kAttempts = 32;
  absl::Status status;
  Socket tcp;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    absl::StatusOr<Socket> udp = OpenListeningSocket(Transport::kUdp, options_.bind, false);
    if (!udp.ok()) return udp.status();
    udp_ = *std::move(udp);
    address_ = BoundAddress(udp_);
    absl::StatusOr<Socket> opened = OpenListeningSocket(Transport::kTcp, address_, false);
    status = opened.status();
    if (opened.ok()) tcp = *std::move(opened);
    if (status.ok() || options_.bind.port != 0) break;
  }
  RETURN_IF_ERROR(status);
  for (int size = kReceiveBuffer; size > 0; size /= 2) {
    if (setsockopt(udp_.fd(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0) break;
  }
  udp_poll_ = new Poll{.poll = {}, .pool = this};
  udp_poll_->poll.data = udp_poll_;
  CHECK(uv_poll_init(loop_.uv(), &udp_poll_->poll, udp_.fd()) == 0);
  uv_poll_start(&udp_poll_->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    Pool* const pool = static_cast<Poll*>(poll->data)->pool;
    pool->ReadPackets();
    pool->Flush();
  });
  listener_ = new uv_tcp_t;
  uv_tcp_init(loop_.uv(), listener_);
  listener_->data = this;
  CHECK(uv_tcp_open(listener_, tcp.Release()) == 0);
  const int error = uv_listen(reinterpret_cast<uv_stream_t*>(listener_), SOMAXCONN,
                              [](uv_stream_t* listener, int failed) {
                                if (failed == 0) static_cast<Pool*>(listener->data)->AcceptStream();
                              });
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrFormat("cannot listen on tcp %s: %s", address_.ToString(), uv_strerror(error)));
  }
  return absl::OkStatus();
}

void Pool::StartSerf() {
  SerfOptions serf = options_.serf;
  serf.address = options_.advertise;
  if (serf.address.port == 0) serf.address.port = address_.port;
  options_.advertise = serf.address;
  serf.keyring = &keyring_;
  serf.save_keys = [this](const Keyring& keyring) {
    return options_.keyring_path.empty() ? absl::OkStatus()
                                         : SaveKeyring(options_.keyring_path, keyring);
  };
  serf.overhead_octets = [this] { return security_.overhead_octets(); };
  if (snapshot_ != nullptr) {
    serf.clock = snapshot_->memory().clock;
    serf.event_clock = snapshot_->memory().event_clock;
    serf.query_clock = snapshot_->memory().query_clock;
  }
  serf_ = std::make_unique<Serf>(std::move(serf), SecureRandomU64(), Now());
  timer_ = std::make_unique<LoopTimer>(loop_.uv());
  if (snapshot_ != nullptr) {
    snapshot_timer_ = std::make_unique<LoopTimer>(loop_.uv());
    snapshot_timer_->Every(kSnapshotEvery, [this] { FlushSnapshot(); });
  }
  retry_timer_ = std::make_unique<LoopTimer>(loop_.uv());
  Flush();
}

void Pool::CloseAll() {
  *alive_ = false;
  if (snapshot_ != nullptr && serf_ != nullptr) FlushSnapshot();
  timer_.reset();
  snapshot_timer_.reset();
  retry_timer_.reset();
  streams_.clear();
  if (udp_poll_ != nullptr) {
    uv_close(reinterpret_cast<uv_handle_t*>(&udp_poll_->poll),
             [](uv_handle_t* handle) { delete static_cast<Poll*>(handle->data); });
    udp_poll_ = nullptr;
  }
  if (listener_ != nullptr) {
    uv_close(reinterpret_cast<uv_handle_t*>(listener_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
    listener_ = nullptr;
  }
  for (const auto& done : std::exchange(leave_done_, {})) done();
}

Nonce Pool::NewNonce() {
  Nonce nonce;
  SecureRandom(nonce);
  return nonce;
}

bool Pool::IsAllowed(const SocketAddress& from) const {
  return options_.allowed.empty() ||
         std::any_of(options_.allowed.begin(), options_.allowed.end(),
                     [&](const Cidr& cidr) { return cidr.Contains(from.ip); });
}

// Packets.

void Pool::ReadPackets() {
  static thread_local std::array<uint8_t, 64 << 10> buffer;
  for (int i = 0; i < kPacketsATurn; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const ssize_t count = recvfrom(udp_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (count < 0) return;
    ReadPacket(SocketAddress::FromSockaddr(from), Octets(buffer).first(static_cast<size_t>(count)),
               Now());
  }
}

void Pool::ReadPacket(const SocketAddress& from, Octets datagram, absl::Time now) {
  ++counters_.packets_in;
  counters_.octets_in += datagram.size();
  if (!IsAllowed(from)) {
    return LogRefused("packet", from, absl::PermissionDeniedError("its network is not allowed"));
  }
  const absl::StatusOr<std::string> packet = OpenPacket(datagram, security_);
  if (!packet.ok()) return LogRefused("packet", from, packet.status());
  serf_->Receive(from, AsOctets(*packet), now);
}

void Pool::SendPacket(const gossip::SendPacket& packet) {
  const std::string datagram =
      SealPacket(AsOctets(packet.message), packet.with_crc, NewNonce(), security_);
  sockaddr_storage to;
  const socklen_t size = packet.to.ToSockaddr(to);
  const ssize_t sent = sendto(udp_.fd(), datagram.data(), datagram.size(), MSG_DONTWAIT,
                              reinterpret_cast<const sockaddr*>(&to), size);
  if (sent < 0) {
    ++counters_.packets_unsent;
    return;
  }
  ++counters_.packets_out;
  counters_.octets_out += datagram.size();
}

// Time.

void Pool::OnTimer() {
  const absl::Time due = timer_at_;
  timer_at_ = absl::InfiniteFuture();
  counters_.lag = std::max(absl::ZeroDuration(), Now() - due);
  // What came in the meantime is heard before anybody is accused of silence.
  ReadPackets();
  serf_->Tick(Now());
  Flush();
  LogHeldBack();
}

void Pool::Flush() {
  if (serf_ == nullptr) return;
  SerfOutputs outputs = serf_->TakeOutputs();
  for (const gossip::SendPacket& packet : outputs.swim.packets) SendPacket(packet);
  for (const Dial& dial : outputs.swim.dials) OpenStream(dial);
  LogNotes(outputs.swim.notes);
  HandleEvents(outputs);
  if (serf_->has_left() && !left_) {
    left_ = true;
    for (const auto& done : std::exchange(leave_done_, {})) done();
  }
  const absl::Time next = serf_->next_deadline();
  if (next == timer_at_) return;
  timer_at_ = next;
  timer_->Once(std::max(absl::ZeroDuration(), next - Now()) + absl::Milliseconds(1),
               [this] { OnTimer(); });
}

// Streams.

void Pool::OpenStream(const Dial& dial) {
  const uint64_t id = next_stream_++;
  ++counters_.streams_out;
  Stream& stream = streams_[id];
  stream.dial = dial.id;
  stream.socket = std::make_unique<StreamSocket>(loop_.uv());
  stream.reader = std::make_unique<StreamReader>(StreamSide::kAcceptor, security_);
  stream.socket->on_read = [this, id](absl::StatusOr<Octets> octets) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    absl::StatusOr<std::string> answer;
    if (!octets.ok()) {
      answer = octets.status();
    } else {
      counters_.stream_octets_in += octets->size();
      const absl::StatusOr<bool> whole = found->second.reader->Feed(*octets);
      if (whole.ok() && !*whole) return;
      if (whole.ok()) {
        answer = found->second.reader->message();
      } else {
        answer = whole.status();
      }
    }
    const uint64_t dialled = found->second.dial;
    CloseStream(id);
    serf_->OnStreamAnswer(dialled, answer, Now());
    Flush();
  };
  stream.socket->SetDeadline(dial.timeout);
  std::string request =
      SealStream(AsOctets(dial.request), StreamSide::kDialler, NewNonce(), security_);
  counters_.stream_octets_out += request.size();
  stream.socket->Connect(dial.to, std::move(request));
}

void Pool::AcceptStream() {
  auto socket = std::make_unique<StreamSocket>(loop_.uv());
  if (!socket->Accept(reinterpret_cast<uv_stream_t*>(listener_)).ok()) return;
  if (incoming_ >= kStreamsMax) {
    ++counters_.streams_refused;
    return;
  }
  ++incoming_;
  ++counters_.streams_in;
  const uint64_t id = next_stream_++;
  Stream& stream = streams_[id];
  stream.incoming = true;
  stream.socket = std::move(socket);
  stream.reader = std::make_unique<StreamReader>(StreamSide::kDialler, security_);
  stream.socket->on_read = [this, id](const absl::StatusOr<Octets>& octets) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    if (!octets.ok() || found->second.reader == nullptr) return CloseStream(id);
    AnswerStream(id, *found->second.reader, octets);
  };
  stream.socket->SetDeadline(options_.serf.profile.tcp_timeout);
  stream.socket->Read();
}

void Pool::AnswerStream(uint64_t id, StreamReader& reader, absl::StatusOr<Octets> octets) {
  Stream& stream = streams_.at(id);
  counters_.stream_octets_in += octets->size();
  stream.octets += octets->size();
  incoming_octets_ += octets->size();
  if (incoming_octets_ > kIncomingOctetsMax) {
    ++counters_.streams_refused;
    return CloseStream(id);
  }
  const absl::StatusOr<bool> whole = reader.Feed(*octets);
  if (whole.ok() && !*whole) return;
  absl::StatusOr<std::string> answer;
  if (whole.ok()) {
    answer = serf_->ReceiveStream(AsOctets(reader.message()), Now());
  } else {
    answer = whole.status();
  }
  if (!answer.ok()) {
    LogRefused("stream", stream.socket->peer(), answer.status());
    answer = EncodeMessage(MessageType::kError,
                           StreamError{.error = std::string(answer.status().message())});
  }
  stream.reader.reset();
  if (answer->empty()) {
    CloseStream(id);
  } else {
    std::string sealed =
        SealStream(AsOctets(*answer), StreamSide::kAcceptor, NewNonce(), security_);
    counters_.stream_octets_out += sealed.size();
    stream.socket->Write(std::move(sealed), [this, id] { CloseStream(id); });
  }
  Flush();
}

void Pool::CloseStream(uint64_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  if (found->second.incoming) {
    --incoming_;
    incoming_octets_ -= found->second.octets;
  }
  streams_.erase(found);
}

// Events.

void Pool::HandleEvents(SerfOutputs& outputs) {
  const SocketAddress own = options_.advertise;
  for (const MemberEvent& event : outputs.members) {
    LogMember(event);
    if (snapshot_ != nullptr && event.member.name != options_.serf.name) {
      const bool here =
          event.kind == MemberEvent::Kind::kJoin || event.kind == MemberEvent::Kind::kUpdate;
      if (here) {
        snapshot_->SetAlive(event.member.name, event.member.address.ToString());
      } else {
        snapshot_->SetGone(event.member.name);
      }
    }
    events_.member(event);
  }
  for (const UserEvent& event : outputs.events) events_.user_event(event);
  for (const auto& [exchange, status] : outputs.joins) {
    const auto found = joins_.find(exchange);
    if (found == joins_.end()) continue;
    const auto done = std::move(found->second);
    joins_.erase(found);
    done(status);
  }
  if (outputs.lost_name) {
    events_.failed(absl::AlreadyExistsError(absl::StrFormat(
        "another node has the name \"%s\", and most others know it by that; this is %s",
        options_.serf.name, own.ToString())));
  }
}

void Pool::LogMember(const MemberEvent& event) {
  if (!lines_.MayWrite(Now(), NameOf(event.kind))) return;
  PHAROS_LOG(kInfo, options_.log_component, "%s: %s %s", NameOf(event.kind), event.member.name,
             event.member.address.ip.ToString());
}

void Pool::LogNotes(const std::vector<Note>& notes) {
  for (const Note& note : notes) {
    if (!LogEnabled(note.level) || !lines_.MayWrite(Now(), "other")) continue;
    WriteLog(note.level, options_.log_component, note.text);
  }
}

// What was held back, once that second is over.
void Pool::LogHeldBack() {
  const std::map<std::string, int> held_back = lines_.TakeHeldBack(Now());
  if (held_back.empty()) return;
  PHAROS_LOG(kInfo, options_.log_component, "Further lines of a second, by kind: %s",
             absl::StrJoin(held_back, " ", absl::PairFormatter("=")));
}

void Pool::LogRefused(std::string_view what, const SocketAddress& from, const absl::Status& why) {
  ++counters_.packets_refused;
  const absl::Time now = Now();
  if (now - refused_logged_ < kRefusedEvery) {
    ++refused_since_;
    return;
  }
  PHAROS_LOG(kWarn, options_.log_component, "Refused a %s: from=%s others_since=%d: %s", what,
             from.ToString(), refused_since_, std::string(why.message()));
  refused_logged_ = now;
  refused_since_ = 0;
}

void Pool::FlushSnapshot() {
  if (!serf_->leaving()) {
    snapshot_->SetClocks(serf_->clock(), serf_->event_clock(), serf_->query_clock());
  }
  if (const absl::Status status = snapshot_->Flush(); !status.ok()) {
    PHAROS_LOG(kWarn, options_.log_component, "Cannot remember the members: %s",
               std::string(status.message()));
  }
}

void Pool::Run(const std::function<void(Serf& serf, absl::Time now)>& work) {
  work(*serf_, Now());
  Flush();
}

void Pool::Leave(std::function<void()> done) {
  if (left_) return done();
  leave_done_.push_back(std::move(done));
  if (snapshot_ != nullptr && !serf_->leaving()) {
    snapshot_->SetLeft();
    FlushSnapshot();
  }
  retry_timer_->Cancel();
  serf_->Leave(Now());
  Flush();
}

// Joining.

void Pool::Join(std::vector<std::string> addresses, JoinDone done) {
  const auto job = std::make_shared<JoinJob>();
  job->done = std::move(done);
  if (addresses.size() > kJoinAddressesMax) addresses.resize(kJoinAddressesMax);
  for (const std::string& address : addresses) {
    ++job->open;
    Resolve(job, address);
  }
  FinishAddress(job);
  Flush();
}

void Pool::FinishAddress(const std::shared_ptr<JoinJob>& job) {
  if (--job->open == 0) job->done(job->joined, job->errors);
}

void Pool::Resolve(const std::shared_ptr<JoinJob>& job, const std::string& given) {
  const absl::StatusOr<JoinAddress> address = ParseJoinAddress(given, options_.default_port);
  if (!address.ok()) {
    job->errors[given] = std::string(address.status().message());
    return FinishAddress(job);
  }
  if (const std::optional<IpAddress> ip = IpAddress::Parse(address->host)) {
    return JoinResolved(job, given, {{*ip, address->port}});
  }
  auto* const resolution = new Resolution{.request = {},
                                          .pool = this,
                                          .alive = alive_,
                                          .job = job,
                                          .given = given,
                                          .port = address->port};
  resolution->request.data = resolution;
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  const int error = uv_getaddrinfo(
      loop_.uv(), &resolution->request,
      [](uv_getaddrinfo_t* request, int failed, addrinfo* found) {
        const std::unique_ptr<Resolution> ended(static_cast<Resolution*>(request->data));
        std::vector<SocketAddress> addresses;
        for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
          sockaddr_storage storage{};
          std::memcpy(&storage, at->ai_addr, at->ai_addrlen);
          addresses.push_back({SocketAddress::FromSockaddr(storage).ip, ended->port});
        }
        uv_freeaddrinfo(found);
        if (!*ended->alive) return;
        if (failed != 0) {
          ended->job->errors[ended->given] =
              absl::StrFormat("Failed to resolve %s: %s", ended->given, uv_strerror(failed));
        }
        ended->pool->JoinResolved(ended->job, ended->given, addresses);
        ended->pool->Flush();
      },
      address->host.c_str(), nullptr, &hints);
  if (error != 0) {
    delete resolution;
    job->errors[given] = uv_strerror(error);
    FinishAddress(job);
  }
}

void Pool::JoinResolved(const std::shared_ptr<JoinJob>& job, const std::string& given,
                        const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> joined;
  for (const SocketAddress& address : addresses) {
    if (std::find(joined.begin(), joined.end(), address) != joined.end()) continue;
    joined.push_back(address);
    ++job->open;
    const uint64_t exchange = serf_->Join(address, Now());
    joins_[exchange] = [this, job, given, address](const absl::Status& status) {
      if (status.ok()) {
        ++job->joined;
      } else {
        job->errors[given] = absl::StrFormat("Failed to join %s: %s", address.ToString(),
                                             std::string(status.message()));
      }
      FinishAddress(job);
    };
  }
  FinishAddress(job);
}

void Pool::StartJoins() {
  if (!options_.start_join.empty()) {
    Join(options_.start_join, [this](int joined, const auto& errors) {
      PHAROS_LOG(kInfo, options_.log_component, "(LAN) joined: number_of_nodes=%d", joined);
      for (const auto& [address, why] : errors) {
        PHAROS_LOG(kWarn, options_.log_component, "Failed to join: %s", why);
      }
      if (joined == 0) {
        events_.failed(absl::UnavailableError("none of the addresses of start_join was joined"));
      }
    });
  }
  if (!options_.retry_join.empty()) RetryJoin(1);
  if (snapshot_ == nullptr || snapshot_->memory().alive.empty()) return;
  std::vector<std::pair<std::string, std::string>> candidates(snapshot_->memory().alive.begin(),
                                                              snapshot_->memory().alive.end());
  Random random(SecureRandomU64());
  for (size_t i = candidates.size(); i > 1; --i) {
    std::swap(candidates[i - 1], candidates[random.Below(static_cast<uint32_t>(i))]);
  }
  Rejoin(std::move(candidates));
}

// One after the other, until one of them works.
void Pool::Rejoin(std::vector<std::pair<std::string, std::string>> candidates) {
  if (candidates.empty()) return;
  const auto [name, address] = candidates.back();
  candidates.pop_back();
  Join({address}, [this, name = name, candidates](int joined, const auto&) {
    if (joined > 0) {
      PHAROS_LOG(kInfo, options_.log_component, "Re-joined to previously known node: %s", name);
    } else {
      Rejoin(candidates);
    }
  });
}

void Pool::RetryJoin(int attempt) {
  if (serf_->leaving()) return;
  Join(options_.retry_join, [this, attempt](int joined, const auto& errors) {
    // A list often has the node itself in it, and joining that joins nobody.
    const bool alone = serf_->members().size() <= 1;
    const bool only_self = joined > 0 && alone && options_.retry_join.size() > 1;
    if (joined > 0 && !only_self) {
      PHAROS_LOG(kInfo, options_.log_component, "Join completed. Synced with %d initial agents",
                 joined);
      return;
    }
    if (options_.retry_max > 0 && attempt >= options_.retry_max) {
      return events_.failed(absl::UnavailableError(absl::StrFormat(
          "no agent of retry_join was joined in %d attempts (retry_max)", attempt)));
    }
    // Quick at first, as a pool's nodes often start together; then as configured. Who counts
    // attempts means them to be so far apart.
    absl::Duration wait = options_.retry_interval;
    if (options_.retry_max == 0) {
      wait = std::min(wait, kFirstRetry * (1 << std::min(attempt - 1, 10)));
    }
    PHAROS_LOG(kWarn, options_.log_component, "Join failed: attempt=%d retry_interval=%s: %s",
               attempt, absl::FormatDuration(wait),
               errors.empty() ? "only this node answered" : errors.begin()->second);
    retry_timer_->Once(wait, [this, attempt] { RetryJoin(attempt + 1); });
  });
}

}  // namespace pharos::gossip
