// A pool on the network: Serf with its sockets, its clock and its files. Start reading here for how
// a node takes part.
#pragma once

#include <uv.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/cidr.h"
#include "base/loop.h"
#include "base/socket.h"
#include "cluster/gossip/line_limit.h"
#include "cluster/gossip/serf.h"
#include "cluster/gossip/snapshot_file.h"
#include "cluster/gossip/stream.h"
#include "cluster/gossip/stream_socket.h"

namespace pharos::gossip {

struct PoolOptions {
  std::string log_component = "agent.serf.lan";
  SocketAddress bind;       // Port 0: the kernel picks one.
  SocketAddress advertise;  // Port 0: the bound one.
  // Its address, keyring and overhead are set by the pool.
  SerfOptions serf;
  std::vector<Cidr> allowed;  // Whose nodes may be here; empty: everybody's.
  std::string encrypt_key;    // Base64; empty: none but those of the file.
  std::string keyring_path;   // Empty: keys are kept in memory.
  bool verify_incoming = true, verify_outgoing = true;
  std::string snapshot_path;  // Empty: nothing is remembered.
  bool rejoin_after_leave = false;
  uint16_t default_port = 8301;  // Of addresses to join without one.
  // Addresses as Join takes them. `start_join` is tried once, `retry_join` until it works.
  std::vector<std::string> start_join, retry_join;
  absl::Duration retry_interval = absl::Seconds(30);
  int retry_max = 0;  // 0: for ever.
};

// Called on the thread `gossip`.
struct PoolEvents {
  std::function<void(const MemberEvent&)> member = [](const MemberEvent&) {};
  std::function<void(const UserEvent&)> user_event = [](const UserEvent&) {};
  // There is no way on: the name is another node's, or no retry_join works.
  std::function<void(const absl::Status&)> failed = [](const absl::Status&) {};
};

struct PoolCounters {
  uint64_t packets_in = 0, packets_out = 0, octets_in = 0, octets_out = 0;
  uint64_t packets_refused = 0;  // Not encrypted as they should be, or with another label.
  uint64_t packets_unsent = 0;   // That the kernel did not take.
  uint64_t streams_in = 0, streams_out = 0, streams_refused = 0;
  uint64_t stream_octets_in = 0, stream_octets_out = 0;
  absl::Duration lag;  // How late the last turn of the loop was.
};

// Whatever is not said to be for any thread is on the thread of the loop.
class Pool {
 public:
  // Streams that are served at once; further ones are closed.
  static constexpr size_t kStreamsMax = 128;
  // What they may have sent together before they were whole; who sends more is closed.
  static constexpr size_t kIncomingOctetsMax = 128 << 20;
  // What waits for names to resolve.
  static constexpr size_t kJoinAddressesMax = 1024;

  // From another thread than the loop's. Opens the sockets and joins in the background. The error
  // says what address cannot be listened on, or what file not be read.
  static absl::StatusOr<std::unique_ptr<Pool>> Start(Loop& loop, PoolOptions options,
                                                     PoolEvents events);
  // From another thread than the loop's: closes without leaving.
  ~Pool();

  // Any thread.
  Loop& loop() { return loop_; }
  SocketAddress address() const { return address_; }
  const PoolOptions& options() const { return options_; }

  // Joins the pools of the nodes at each of the addresses: an IP address or a host name, each with
  // or without a port and, before a slash, the name of the node. `done` gets how many nodes were
  // joined, and what went wrong with the others, by address.
  using JoinDone = std::function<void(int joined, std::map<std::string, std::string> errors)>;
  void Join(std::vector<std::string> addresses, JoinDone done);
  // Leaves the pool in good order; `done` once that is done.
  void Leave(std::function<void()> done);
  // Calls that change Serf's state; what comes of them goes out at once.
  void Run(const std::function<void(Serf& serf, absl::Time now)>& work);

  const Serf& serf() const { return *serf_; }
  const Keyring& keyring() const { return keyring_; }
  const PoolCounters& counters() const { return counters_; }
  // Of the clock that the pool runs by, which never jumps.
  static absl::Time Now();

 private:
  struct Poll;
  struct JoinJob;
  struct Resolution;

  Pool(Loop& loop, PoolOptions options, PoolEvents events);
  absl::Status Open();
  absl::Status OpenSockets();
  void StartSerf();
  void CloseAll();

  void ReadPackets();
  void ReadPacket(const SocketAddress& from, Octets datagram, absl::Time now);
  void OnTimer();
  // Sends what is to be sent, tells what is to be told, and sets the timer anew.
  void Flush();
  void SendPacket(const gossip::SendPacket& packet);
  void OpenStream(const Dial& dial);
  void AcceptStream();
  void AnswerStream(uint64_t id, StreamReader& reader, absl::StatusOr<Octets> octets);
  void CloseStream(uint64_t id);
  void HandleEvents(SerfOutputs& outputs);
  void LogMember(const MemberEvent& event);
  void LogNotes(const std::vector<Note>& notes);
  void LogHeldBack();
  // One line for what is refused, at most every few seconds.
  void LogRefused(std::string_view what, const SocketAddress& from, const absl::Status& why);
  void FlushSnapshot();
  bool IsAllowed(const SocketAddress& from) const;
  Nonce NewNonce();

  void Resolve(const std::shared_ptr<JoinJob>& job, const std::string& address);
  void JoinResolved(const std::shared_ptr<JoinJob>& job, const std::string& given,
                    const std::vector<SocketAddress>& addresses);
  void FinishAddress(const std::shared_ptr<JoinJob>& job);
  void StartJoins();
  void RetryJoin(int attempt);
  void Rejoin(std::vector<std::pair<std::string, std::string>> candidates);

  Loop& loop_;
  PoolOptions options_;
  PoolEvents events_;
  SocketAddress address_;
  Keyring keyring_;
  Security security_;
  std::unique_ptr<SnapshotFile> snapshot_;
  std::unique_ptr<Serf> serf_;
  PoolCounters counters_;

  Socket udp_;
  Poll* udp_poll_ = nullptr;
  uv_tcp_t* listener_ = nullptr;
  std::unique_ptr<LoopTimer> timer_, snapshot_timer_, retry_timer_;
  absl::Time timer_at_ = absl::InfiniteFuture();
  struct Stream {
    std::unique_ptr<StreamSocket> socket;
    std::unique_ptr<StreamReader> reader;
    bool incoming = false;
    uint64_t dial = 0;
    size_t octets = 0;  // Received.
  };
  uint64_t next_stream_ = 1;
  size_t incoming_ = 0, incoming_octets_ = 0;
  std::map<uint64_t, Stream> streams_;
  // Exchanges that join, and what waits for their end.
  std::map<uint64_t, std::function<void(const absl::Status&)>> joins_;
  std::vector<std::function<void()>> leave_done_;
  bool left_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // False once this is closed.

  absl::Time refused_logged_ = absl::InfinitePast();
  uint64_t refused_since_ = 0;
  LineLimit lines_;
};

}  // namespace pharos::gossip
