// The layer above membership, as HashiCorp's Serf 0.9 has it: members with tags that leave or fail,
// user events and queries to all of them, keys that change while the pool runs, and network
// coordinates. Start reading at OnUserMessage in serf.cc.
//
// As Swim, which it owns: inputs with their time, outputs taken out, no sockets and no clock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cluster/gossip/broadcast_queue.h"
#include "cluster/gossip/coordinate.h"
#include "cluster/gossip/event_buffer.h"
#include "cluster/gossip/keyring.h"
#include "cluster/gossip/lamport.h"
#include "cluster/gossip/serf_messages.h"
#include "cluster/gossip/swim.h"

namespace pharos::gossip {

enum class MemberStatus : uint8_t { kNone = 0, kAlive = 1, kLeaving = 2, kLeft = 3, kFailed = 4 };

struct Member {
  std::string name;
  SocketAddress address;
  Tags tags;
  MemberStatus status = MemberStatus::kNone;
  Versions versions;
  LamportTime status_time = 0;
  absl::Time gone_since;  // While it is left or failed.

  std::string Tag(const std::string& key) const {
    const auto found = tags.find(key);
    return found == tags.end() ? std::string() : found->second;
  }
};

struct MemberEvent {
  enum class Kind { kJoin, kUpdate, kLeave, kFail, kReap } kind;
  Member member;
};

// What a query brought until its deadline.
struct QueryOutcome {
  std::vector<std::string> acks;                               // By whom.
  std::vector<std::pair<std::string, std::string>> responses;  // By whom, and what.
};
struct QueryRequest {
  std::string name, payload = {};
  std::vector<std::string> filters = {};  // PackNodeFilter, PackTagFilter
  bool wants_acks = false;
  uint8_t relay_factor = 0;
  absl::Duration timeout = absl::ZeroDuration();  // Zero: by the size of the pool.
  size_t responses_max = 0;                       // It ends early with so many; 0: only in time.
  std::function<void(const QueryOutcome&)> done = {};
};

enum class KeyOperation { kInstall, kUse, kRemove, kList };
struct KeyOutcome {
  size_t nodes = 0, responses = 0;
  std::map<std::string, std::string> messages = {};            // By node: what went wrong there.
  std::vector<std::string> errors = {};                        // Nodes that refused.
  std::map<std::string, size_t> keys = {}, primary_keys = {};  // Base64: on how many nodes.
  // OK if every node answered and none refused.
  absl::Status status() const;
};

struct SerfOptions {
  std::string name = {};
  SocketAddress address = {};
  Tags tags = {};
  Profile profile = {};
  Versions versions = {};
  // Encryption of the pool; null: no operations on keys. `save_keys` keeps a changed ring.
  Keyring* keyring = nullptr;
  std::function<absl::Status(const Keyring&)> save_keys = {};
  std::function<size_t()> overhead_octets = [] { return size_t{0}; };
  // Why a node with such tags may not be here; empty if it may.
  std::function<std::string(const std::string& name, const Tags& tags)> why_not_admitted = {};
  // Two nodes with one id (by tag) are two nodes; one id with a new address is the node moved.
  std::string id_tag = "id";
  bool resolve_conflicts = false;  // Ask the others who is right, and end if it is not us.
  // Of an earlier life.
  LamportTime clock = 0, event_clock = 0, query_clock = 0;

  absl::Duration broadcast_timeout = absl::Seconds(5);
  absl::Duration leave_propagate_delay = absl::Seconds(3);
  absl::Duration reap_interval = absl::Seconds(15);
  absl::Duration reconnect_interval = absl::Seconds(30);
  absl::Duration reconnect_timeout = absl::Hours(72);
  absl::Duration tombstone_timeout = absl::Hours(24);
};

struct SerfOutputs {
  SwimOutputs swim;
  std::vector<MemberEvent> members;
  std::vector<UserEvent> events;
  std::vector<Query> queries;                            // That are for this node, not Serf's own.
  std::vector<std::pair<uint64_t, absl::Status>> joins;  // Ended ones, by what Join returned.
  bool lost_name = false;  // Another node keeps our name: this one has to end.
};

struct SerfCounters {
  uint64_t joins = 0, failures = 0, leaves = 0, flaps = 0, reaped = 0;
  uint64_t events_fired = 0, events_received = 0, queries_received = 0, responses_received = 0;
  uint64_t intents_buffered_dropped = 0, coordinates_rejected = 0, relayed = 0;
  uint64_t members_refused = 0;
};

class Serf final : public SwimDelegate {
 public:
  static constexpr size_t kUserEventOctetsMax = 512;
  static constexpr size_t kQueryOctetsMax = 1024;
  static constexpr size_t kMembersMax = 200'000;
  static constexpr size_t kIntentsMax = 4096;
  static constexpr size_t kQueueMax = 1 << 16;
  static constexpr size_t kQueriesMax = 1024;  // Own ones that wait for responses.

  Serf(SerfOptions options, uint64_t seed, absl::Time now);

  // Inputs of the network and of time, as those of Swim.
  void Receive(const SocketAddress& from, Octets packet, absl::Time now);
  absl::StatusOr<std::string> ReceiveStream(Octets message, absl::Time now);
  void OnStreamAnswer(uint64_t dial, const absl::StatusOr<std::string>& answer, absl::Time now);
  void Tick(absl::Time now);
  absl::Time next_deadline() const;

  // What users ask for.
  // Joins the pool of the node there; SerfOutputs::joins has the end of it.
  uint64_t Join(const SocketAddress& address, absl::Time now);
  // Tells the others; has_left() once they know and sockets may close.
  void Leave(absl::Time now);
  bool has_left() const { return leave_ == LeavePhase::kLeft; }
  bool leaving() const { return leave_ != LeavePhase::kNone; }
  // Takes a failed member for one that left; `prune` forgets it at once. NotFound for nobody known.
  absl::Status ForceLeave(const std::string& name, bool prune, absl::Time now);
  // InvalidArgument if it is too long.
  absl::Status FireEvent(const std::string& name, const std::string& payload, bool coalesce,
                         absl::Time now);
  absl::Status StartQuery(QueryRequest request, absl::Time now);
  // `key` as ParseKey gives it; nothing for kList. `relay_factor`: so many others pass answers on.
  void StartKeyOperation(KeyOperation operation, const std::string& key, uint8_t relay_factor,
                         const std::function<void(const KeyOutcome&)>& done, absl::Time now);
  absl::Status SetTags(Tags tags, absl::Time now);

  SerfOutputs TakeOutputs();

  // State.
  const std::map<std::string, Member>& members() const { return members_; }
  const Member& self() const { return members_.at(options_.name); }
  size_t alive_count() const;
  const Swim& swim() const { return *swim_; }
  const SerfOptions& options() const { return options_; }
  const SerfCounters& counters() const { return counters_; }
  const Coordinate& coordinate() const { return coordinates_.coordinate(); }
  // Of other members, as far as known.
  const std::map<std::string, Coordinate>& member_coordinates() const {
    return member_coordinates_;
  }
  uint64_t coordinate_resets() const { return coordinates_.resets(); }
  LamportTime clock() const { return clock_.time(); }
  LamportTime event_clock() const { return event_clock_.time(); }
  LamportTime query_clock() const { return query_clock_.time(); }
  size_t intents_queued() const { return intents_.size(); }
  size_t events_queued() const { return event_broadcasts_.size(); }
  size_t queries_queued() const { return query_broadcasts_.size(); }
  uint64_t broadcasts_dropped() const;

 private:
  enum class LeavePhase { kNone, kIntent, kDead, kPropagate, kLeft };
  enum class IntentKind { kJoin, kLeave };
  struct Intent {
    IntentKind kind;
    LamportTime time;
    absl::Time received;
  };
  struct OpenQuery {
    LamportTime time = 0;
    QueryRequest request;
    QueryOutcome outcome;
    std::set<std::string> acked, answered;
    absl::Time deadline;
  };

  // Of SwimDelegate.
  std::string WhyNotAdmitted(const Alive& claim) override;
  std::string WhyNotMerged(std::span<const NodeState> nodes) override;
  bool IsSameNode(const SwimNode& known, const Alive& claim) override;
  void OnJoin(const SwimNode& node, absl::Time now) override;
  void OnUpdate(const SwimNode& node, absl::Time now) override;
  void OnLeave(const SwimNode& node, absl::Time now) override;
  void OnForgotten(const std::string& name) override;
  void OnConflict(const SwimNode& known, const Alive& claim, absl::Time now) override;
  void OnUserMessage(Octets message, absl::Time now) override;
  std::string LocalState(bool join) override;
  void MergeRemoteState(Octets state, bool join, absl::Time now) override;
  std::string AckPayload() override;
  void OnRoundTrip(const SwimNode& node, absl::Duration round_trip,
                   std::string_view payload) override;
  void TakeBroadcasts(size_t octets, std::vector<std::string>& taken) override;
  void OnExchanged(uint64_t exchange, const absl::Status& status, absl::Time now) override;

  // Intents. True if it was news, which others should hear.
  bool HandleJoinIntent(const JoinIntent& intent, absl::Time now);
  bool HandleLeaveIntent(const LeaveIntent& intent, absl::Time now);
  bool BufferIntent(const std::string& node, IntentKind kind, LamportTime time, absl::Time now);
  void BroadcastJoin(LamportTime time, absl::Time now);
  void ContinueLeave(absl::Time now);

  bool HandleUserEvent(const UserEvent& event);
  bool HandleQuery(const Query& query, absl::Time now);
  void HandleInternalQuery(const Query& query, absl::Time now);
  void HandleResponse(const QueryResponse& response, absl::Time now);
  void HandleRelay(Octets body);
  void Respond(const Query& query, uint32_t flags, std::string payload, absl::Time now);
  std::string KeyAnswer(const Query& query);
  void EndQuery(uint32_t id);
  absl::Duration QueryTimeout() const;

  void Emit(MemberEvent::Kind kind, const Member& member);
  void Reap(absl::Time now);
  void Forget(const std::string& name);
  void Reconnect(absl::Time now);

  SerfOptions options_;
  Random random_;
  SerfOutputs outputs_;
  SerfCounters counters_;
  std::map<std::string, Member> members_;
  std::map<std::string, Intent> recent_intents_;  // Of names that are no members (yet).
  LamportClock clock_, event_clock_, query_clock_;
  EventBuffer event_buffer_;
  QueryBuffer query_buffer_;
  BroadcastQueue intents_, event_broadcasts_, query_broadcasts_;
  std::map<uint32_t, OpenQuery> queries_;  // By id.
  std::set<uint64_t> user_joins_;          // Exchanges that Join was called for.
  CoordinateClient coordinates_;
  std::map<std::string, Coordinate> member_coordinates_;
  absl::Time next_reap_, next_reconnect_;
  LeavePhase leave_ = LeavePhase::kNone;
  absl::Time leave_deadline_ = absl::InfiniteFuture();
  uint64_t leave_broadcast_ = 0;
  std::map<std::string, absl::Time> prunes_;  // Leaving members to forget, and when.
  bool asking_for_name_ = false;
  std::unique_ptr<Swim> swim_;  // Last, as it calls into this from its start.
};

}  // namespace pharos::gossip
