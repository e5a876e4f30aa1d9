// Who is in a pool and alive: SWIM (Das et al., DSN 2002) with the suspicion and local health of
// Lifeguard (Dadgar et al., DSN-W 2018), as HashiCorp's memberlist 0.2 speaks it on the wire. Start
// reading at Receive and Tick in swim.cc.
//
// Nothing here waits, opens a socket or asks for the time: what happens is put in with the time it
// happens at, and what is to be done is taken out. Times are of a clock that never jumps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/log.h"
#include "base/random.h"
#include "cluster/gossip/broadcast_queue.h"
#include "cluster/gossip/messages.h"
#include "cluster/gossip/profile.h"
#include "cluster/gossip/suspicion.h"

namespace pharos::gossip {

// A node as this one knows it.
struct SwimNode {
  std::string name;
  std::string address_octets;  // As received.
  SocketAddress address;
  std::string meta;
  Versions versions;
  uint32_t incarnation = 0;
  NodeStatus status = NodeStatus::kDead;
  absl::Time status_since;
  // While it is suspect.
  std::unique_ptr<Suspicion> suspicion;
};

// The layer above. Called from within the calls of Swim, whose state then is consistent.
class SwimDelegate {
 public:
  virtual ~SwimDelegate() = default;

  // Why a node may not be in this pool; empty if it may. Asked of every claim of being alive.
  virtual std::string WhyNotAdmitted(const Alive& claim) = 0;
  // The same of a whole push/pull that joins.
  virtual std::string WhyNotMerged(std::span<const NodeState> nodes) = 0;
  // Whether a claim with another address is of the very node that is known by the name.
  virtual bool IsSameNode(const SwimNode& known, const Alive& claim) = 0;

  virtual void OnJoin(const SwimNode& node, absl::Time now) = 0;    // New, or back.
  virtual void OnUpdate(const SwimNode& node, absl::Time now) = 0;  // Another address or metadata.
  // Its status is kDead or kLeft.
  virtual void OnLeave(const SwimNode& node, absl::Time now) = 0;
  virtual void OnForgotten(const std::string& name) = 0;
  // Two nodes claim a name.
  virtual void OnConflict(const SwimNode& known, const Alive& claim, absl::Time now) = 0;
  virtual void OnUserMessage(Octets message, absl::Time now) = 0;

  virtual std::string LocalState(bool join) = 0;
  virtual void MergeRemoteState(Octets state, bool join, absl::Time now) = 0;
  // What acks carry, and what came of the probes of others by way of it.
  virtual std::string AckPayload() = 0;
  virtual void OnRoundTrip(const SwimNode& node, absl::Duration round_trip,
                           std::string_view payload) = 0;
  // Messages to go with others, whole with their octet of type: at most `octets` with
  // kCompoundPartOctets each.
  virtual void TakeBroadcasts(size_t octets, std::vector<std::string>& taken) = 0;
  // How an exchange of state that was asked for ended.
  virtual void OnExchanged(uint64_t exchange, const absl::Status& status, absl::Time now) = 0;
};

struct SwimOptions {
  std::string name;
  SocketAddress address;  // Where others reach this node.
  std::string meta;
  Versions versions;
  Profile profile;
  // What layers around a packet add to it.
  std::function<size_t()> overhead_octets = [] { return size_t{0}; };
};

// What is to be done, in order.
struct SendPacket {
  SocketAddress to;
  std::string message;
  bool with_crc = false;  // The receiver knows it.
};
// A connection to open for one question and its answer (OnStreamAnswer), or its failure, within the
// time.
struct Dial {
  uint64_t id = 0;
  SocketAddress to;
  std::string request;
  absl::Duration timeout;
};
struct Note {
  LogLevel level = LogLevel::kInfo;
  std::string text;
};
struct SwimOutputs {
  std::vector<SendPacket> packets;
  std::vector<Dial> dials;
  std::vector<Note> notes;
};

struct SwimCounters {
  uint64_t probes = 0, probes_failed = 0, probes_indirect = 0;
  uint64_t tcp_only = 0;         // Probes that only TCP answered: UDP is broken.
  uint64_t suspected_by_us = 0;  // Accusations of ours.
  uint64_t suspected_by_others = 0;
  uint64_t confirmations = 0;
  uint64_t refuted = 0;     // Accusations of us.
  uint64_t dead_by_us = 0;  // Suspicions of ours that ran out.
  uint64_t flaps = 0;
  uint64_t messages_malformed = 0, messages_unknown = 0, messages_received = 0;
  uint64_t relays_refused = 0;
  uint64_t exchanges_in = 0, exchanges_out = 0, exchanges_refused = 0;
  uint64_t conflicts = 0;
  uint64_t nodes_refused = 0;  // Beyond kNodesMax.
  uint64_t stalls = 0;         // Times that this process did not get to run.
  absl::Duration stalled;
};

class Swim {
 public:
  // The most nodes of a pool; further ones are refused.
  static constexpr size_t kNodesMax = 100'000;
  // Pings that others asked us to send and that wait for an answer.
  static constexpr size_t kRelaysMax = 1024;
  static constexpr size_t kPacketOctets = 1400;
  static constexpr size_t kAccusationsMax = 256;

  // `delegate` outlives this. `now` is when it starts.
  Swim(SwimOptions options, SwimDelegate& delegate, uint64_t seed, absl::Time now);
  Swim(const Swim&) = delete;
  Swim& operator=(const Swim&) = delete;

  // Inputs.

  // A packet without its layers of label and encryption.
  void Receive(const SocketAddress& from, Octets packet, absl::Time now);
  // The message of a stream that another node opened. Returns what to answer; empty for nothing, an
  // error for what the other side is to be told.
  absl::StatusOr<std::string> ReceiveStream(Octets message, absl::Time now);
  // How a Dial ended: with a message without its layers, or an error.
  void OnStreamAnswer(uint64_t dial, const absl::StatusOr<std::string>& answer, absl::Time now);
  // Whatever is due. To be called at next_deadline(), after what is in the sockets was put in.
  void Tick(absl::Time now);
  absl::Time next_deadline() const;

  // Exchanges state with a node, which joins its pool; delegate.OnExchanged tells of the end.
  uint64_t Join(const SocketAddress& address, absl::Time now);
  // New metadata of this node.
  void SetMeta(std::string meta, absl::Time now);
  // Says that this node leaves; it does not come back. The id is of BroadcastQueue.
  uint64_t Leave(absl::Time now);
  bool IsBroadcast(uint64_t id) const { return !broadcasts_.Contains(id); }
  // A message of the layer above to one node, its octet of type 8 not yet before it.
  void SendUser(const SocketAddress& to, std::string_view message);

  // Outputs. Taken after every input.
  SwimOutputs TakeOutputs() { return std::exchange(outputs_, {}); }
  bool has_outputs() const {
    return !outputs_.packets.empty() || !outputs_.dials.empty() || !outputs_.notes.empty();
  }

  // State.
  const SwimOptions& options() const { return options_; }
  const SwimNode& self() const { return *self_; }
  const SwimNode* Find(std::string_view name) const;
  // Alive, suspected, and dead ones that are not yet forgotten.
  size_t node_count() const { return nodes_.size(); }
  size_t alive_count() const;  // With suspected ones.
  void ForEachNode(const std::function<void(const SwimNode&)>& visit) const;
  // Random alive nodes that `fits`, this one not among them.
  std::vector<const SwimNode*> ChooseNodes(size_t count,
                                           const std::function<bool(const SwimNode&)>& fits);
  // 0: healthy; up to awareness_multiplier - 1 (Lifeguard section IV-A).
  int health_score() const { return health_score_; }
  bool leaving() const { return leaving_; }
  const SwimCounters& counters() const { return counters_; }
  // How often who accused whom, as far as kept.
  const std::map<std::pair<std::string, std::string>, uint64_t>& accusations() const {
    return accusations_;
  }
  // Says nothing more of what it knows by now, for pools that know it (simulation).
  void DropBroadcasts() { broadcasts_.Clear(); }
  size_t broadcasts_waiting() const { return broadcasts_.size(); }
  uint64_t broadcasts_dropped() const { return broadcasts_.dropped(); }

 private:
  struct Probe {
    uint32_t sequence = 0;
    std::string node;
    absl::Time start, timeout, deadline;
    bool widened = false;  // Others and TCP were asked.
    int nacks_wanted = 0, nacks = 0;
    uint64_t dial = 0;
    bool tcp_answered = false;
  };
  // A ping for another node.
  struct Relay {
    SocketAddress asker;
    uint32_t asked_sequence = 0;
    bool nack = false;
    absl::Time deadline;
  };
  enum class DialKind { kPing, kExchange, kJoin };
  // Suspected nodes by when they are dead; of one time, by name, so that a run can be repeated.
  struct SuspectOrder {
    bool operator()(const std::pair<absl::Time, SwimNode*>& a,
                    const std::pair<absl::Time, SwimNode*>& b) const {
      return a.first != b.first ? a.first < b.first : a.second->name < b.second->name;
    }
  };
  using SuspectQueue = std::set<std::pair<absl::Time, SwimNode*>, SuspectOrder>;

  // Packets.
  void ReceiveMessage(const SocketAddress& from, Octets message, absl::Time now);
  template <typename T>
  std::optional<T> Decode(Octets message);
  void ReceivePing(const SocketAddress& from, const Ping& ping);
  void ReceiveIndirectPing(const SocketAddress& from, const IndirectPing& ping, absl::Time now);
  void ReceiveAck(const Ack& ack, absl::Time now);
  void ReceiveNack(const Nack& nack);
  // A message with what goes along with it.
  void SendWithBroadcasts(const SocketAddress& to, std::string message);
  void Send(const SocketAddress& to, std::vector<std::string> messages, bool with_crc);
  std::vector<std::string> TakeBroadcasts(size_t octets);

  // States of nodes.
  void HandleAlive(const Alive& claim, absl::Time now, bool own = false);
  void HandleSuspect(const Suspect& suspect, absl::Time now);
  void HandleDead(const Dead& dead, absl::Time now);
  bool AcceptsAddress(const SwimNode& node, const Alive& claim, absl::Time now);
  SwimNode* AddNode(const Alive& claim, absl::Time now);
  void Refute(uint32_t accused);
  void BroadcastSelf();
  void SetStatus(SwimNode& node, NodeStatus status, absl::Time now);
  void StopSuspecting(SwimNode& node);
  void CountAccusation(const std::string& from, const std::string& node);

  // Timers.
  void NoticeStall(absl::Time now);
  void StartProbe(absl::Time now);
  SwimNode* NextToProbe(absl::Time now);
  void WidenProbe(absl::Time now);
  void FailProbe(absl::Time now);
  void EndProbe(int health_delta);
  void EndRelays(absl::Time now);
  void EndSuspicions(absl::Time now);
  void ForgetTheDead(absl::Time now);
  void Gossip(absl::Time now);
  void ExchangeState(absl::Time now);
  absl::Duration push_pull_interval() const;
  void AddHealth(int delta);

  // Exchanges.
  std::string EncodeState(bool join);
  absl::Status Merge(const PushPull& state, absl::Time now);
  absl::Status CheckVersions(std::span<const NodeState> nodes) const;
  uint64_t AddDial(DialKind kind, const SocketAddress& to, std::string request,
                   absl::Duration timeout);

  template <typename Fits>
  std::vector<SwimNode*> Choose(size_t count, Fits fits);
  absl::Duration RandomPart(absl::Duration of);
  void AddNote(LogLevel level, std::string text) {
    outputs_.notes.push_back({level, std::move(text)});
  }

  SwimOptions options_;
  SwimDelegate& delegate_;
  absl::Time started_;
  Random random_;
  SwimOutputs outputs_;
  SwimCounters counters_;

  // By name; the keys are the nodes' own names.
  absl::flat_hash_map<absl::string_view, std::unique_ptr<SwimNode>> nodes_;
  SwimNode* self_ = nullptr;
  std::vector<SwimNode*> probe_order_;  // All nodes, in random order.
  size_t next_to_probe_ = 0;
  SuspectQueue suspects_;
  size_t not_alive_count_ = 0;  // Dead and left ones.
  BroadcastQueue broadcasts_;
  bool leaving_ = false;
  int health_score_ = 0;

  uint32_t next_sequence_ = 0;
  std::optional<Probe> probe_;
  std::map<uint32_t, Relay> relays_;  // By our own sequence number.
  std::set<std::pair<absl::Time, uint32_t>> relay_deadlines_;
  uint64_t next_dial_ = 1;
  std::map<uint64_t, DialKind> dials_;
  absl::Time next_probe_, next_gossip_, next_push_pull_;
  std::map<std::pair<std::string, std::string>, uint64_t> accusations_;
};

}  // namespace pharos::gossip
