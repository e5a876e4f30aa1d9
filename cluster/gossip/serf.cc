#include "cluster/gossip/serf.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "cluster/gossip/packet.h"

namespace pharos::gossip {
namespace {

constexpr absl::Duration kIntentKept = absl::Minutes(5);
constexpr absl::Duration kFlap = absl::Seconds(60);
constexpr int kQueryTimeoutMultiplier = 16;
constexpr size_t kUserMessageOctets = kCompoundPartOctets + 1;  // With the octet of type.
constexpr std::string_view kInternalPrefix = "_serf_";
constexpr std::string_view kConflictQuery = "_serf_conflict";

SerfType TypeOf(Octets message) { return static_cast<SerfType>(message[0]); }

std::string NameOf(KeyOperation operation) {
  switch (operation) {
    case KeyOperation::kInstall:
      return "_serf_install-key";
    case KeyOperation::kUse:
      return "_serf_use-key";
    case KeyOperation::kRemove:
      return "_serf_remove-key";
    case KeyOperation::kList:
      break;
  }
  return "_serf_list-keys";
}

bool IsGone(const Member& member) {
  return member.status == MemberStatus::kLeft || member.status == MemberStatus::kFailed;
}

MemberRecord MakeRecord(const Member& member) {
  return {.name = member.name,
          .address = PackAddress(member.address.ip),
          .port = member.address.port,
          .tags = {member.tags.begin(), member.tags.end()},
          .status = static_cast<int32_t>(member.status),
          .protocol_min = member.versions.protocol_min,
          .protocol_max = member.versions.protocol_max,
          .protocol_current = member.versions.protocol_current,
          .delegate_min = member.versions.delegate_min,
          .delegate_max = member.versions.delegate_max,
          .delegate_current = member.versions.delegate_current};
}

}  // namespace

absl::Status KeyOutcome::status() const {
  if (errors.empty() && responses == nodes) return absl::OkStatus();
  std::string text = absl::StrFormat("%d/%d nodes reported success",
                                     responses - std::min(responses, errors.size()), nodes);
  for (const auto& [node, message] : messages) text += absl::StrFormat("; %s: %s", node, message);
  return absl::InternalError(text);
}

Serf::Serf(SerfOptions options, uint64_t seed, absl::Time now)
    : options_(std::move(options)),
      random_(seed),
      intents_(options_.profile.retransmit_multiplier, kQueueMax),
      event_broadcasts_(options_.profile.retransmit_multiplier, kQueueMax),
      query_broadcasts_(options_.profile.retransmit_multiplier, kQueueMax),
      coordinates_(random_.Next()),
      next_reap_(now + options_.reap_interval),
      next_reconnect_(now + options_.reconnect_interval) {
  if (options_.clock > 0) clock_.Witness(options_.clock);
  if (options_.event_clock > 0) {
    event_clock_.Witness(options_.event_clock);
    event_buffer_.SetMin(options_.event_clock + 1);
  }
  if (options_.query_clock > 0) {
    query_clock_.Witness(options_.query_clock);
    query_buffer_.SetMin(options_.query_clock + 1);
  }
  swim_ = std::make_unique<Swim>(SwimOptions{.name = options_.name,
                                             .address = options_.address,
                                             .meta = PackTags(options_.tags),
                                             .versions = options_.versions,
                                             .profile = options_.profile,
                                             .overhead_octets = options_.overhead_octets},
                                 *this, random_.Next(), now);
}

// Inputs.

void Serf::Receive(const SocketAddress& from, Octets packet, absl::Time now) {
  swim_->Receive(from, packet, now);
}

absl::StatusOr<std::string> Serf::ReceiveStream(Octets message, absl::Time now) {
  return swim_->ReceiveStream(message, now);
}

void Serf::OnStreamAnswer(uint64_t dial, const absl::StatusOr<std::string>& answer,
                          absl::Time now) {
  swim_->OnStreamAnswer(dial, answer, now);
}

absl::Time Serf::next_deadline() const {
  absl::Time next = std::min({swim_->next_deadline(), next_reap_, next_reconnect_});
  for (const auto& [id, query] : queries_) next = std::min(next, query.deadline);
  for (const auto& [name, when] : prunes_) next = std::min(next, when);
  return next;
}

void Serf::Tick(absl::Time now) {
  swim_->Tick(now);
  std::vector<uint32_t> ended;
  for (const auto& [id, query] : queries_) {
    if (now >= query.deadline) ended.push_back(id);
  }
  for (const uint32_t id : ended) EndQuery(id);
  std::vector<std::string> pruned;
  for (const auto& [name, when] : prunes_) {
    if (now >= when) pruned.push_back(name);
  }
  for (const std::string& name : pruned) Forget(name);
  if (now >= next_reap_) Reap(now);
  if (now >= next_reconnect_) Reconnect(now);
  // Broadcasts end at the ticks of gossip, so that is often enough.
  if (leave_ != LeavePhase::kNone) ContinueLeave(now);
}

SerfOutputs Serf::TakeOutputs() {
  SerfOutputs outputs = std::exchange(outputs_, {});
  outputs.swim = swim_->TakeOutputs();
  return outputs;
}

size_t Serf::alive_count() const {
  return static_cast<size_t>(std::count_if(
      members_.begin(), members_.end(), [](const auto& member) { return !IsGone(member.second); }));
}

uint64_t Serf::broadcasts_dropped() const {
  return swim_->broadcasts_dropped() + intents_.dropped() + event_broadcasts_.dropped() +
         query_broadcasts_.dropped();
}

void Serf::Emit(MemberEvent::Kind kind, const Member& member) {
  outputs_.members.push_back({.kind = kind, .member = member});
}

// What membership tells.

std::string Serf::WhyNotAdmitted(const Alive& claim) {
  const auto known = members_.find(claim.node);
  if (known == members_.end() && members_.size() >= kMembersMax) {
    ++counters_.members_refused;
    return absl::StrFormat("the pool has %d members, the most that are taken", members_.size());
  }
  const Tags tags = ParseTags(claim.meta);
  if (options_.why_not_admitted) {
    if (std::string why = options_.why_not_admitted(claim.node, tags); !why.empty()) return why;
  }
  const auto id = tags.find(options_.id_tag);
  const auto own = options_.tags.find(options_.id_tag);
  if (claim.node != options_.name && id != tags.end() && own != options_.tags.end() &&
      !id->second.empty() && id->second == own->second) {
    return absl::StrFormat("it has the node id of this node, %s", id->second);
  }
  return {};
}

std::string Serf::WhyNotMerged(std::span<const NodeState> nodes) {
  for (const NodeState& node : nodes) {
    if (static_cast<NodeStatus>(node.state) != NodeStatus::kAlive) continue;
    const std::string why = WhyNotAdmitted({.incarnation = node.incarnation,
                                            .node = node.name,
                                            .address = node.address,
                                            .port = node.port,
                                            .meta = node.meta,
                                            .versions = node.versions});
    if (!why.empty()) return absl::StrFormat("member %s: %s", node.name, why);
  }
  return {};
}

bool Serf::IsSameNode(const SwimNode& known, const Alive& claim) {
  const Tags before = ParseTags(known.meta), now = ParseTags(claim.meta);
  const auto old_id = before.find(options_.id_tag), new_id = now.find(options_.id_tag);
  return old_id != before.end() && new_id != now.end() && !old_id->second.empty() &&
         old_id->second == new_id->second;
}

void Serf::OnJoin(const SwimNode& node, absl::Time now) {
  Member& member = members_[node.name];
  const bool failed = member.status == MemberStatus::kFailed;
  if (failed && now - member.gone_since < kFlap) ++counters_.flaps;
  const bool is_new = member.status == MemberStatus::kNone;
  member.name = node.name;
  member.address = node.address;
  member.tags = ParseTags(node.meta);
  member.versions = node.versions;
  member.status = MemberStatus::kAlive;
  prunes_.erase(node.name);
  if (const auto intent = recent_intents_.find(node.name);
      is_new && intent != recent_intents_.end()) {
    member.status_time = intent->second.time;
    if (intent->second.kind == IntentKind::kLeave) member.status = MemberStatus::kLeaving;
    recent_intents_.erase(intent);
  }
  ++counters_.joins;
  Emit(MemberEvent::Kind::kJoin, member);
}

void Serf::OnUpdate(const SwimNode& node, absl::Time) {
  const auto found = members_.find(node.name);
  if (found == members_.end()) return;
  Member& member = found->second;
  member.address = node.address;
  member.tags = ParseTags(node.meta);
  member.versions = node.versions;
  Emit(MemberEvent::Kind::kUpdate, member);
}

void Serf::OnLeave(const SwimNode& node, absl::Time now) {
  const auto found = members_.find(node.name);
  if (found == members_.end() || IsGone(found->second)) return;
  Member& member = found->second;
  // A dead message from the node itself says as much as its leave intent, which may be lost.
  const bool left = member.status == MemberStatus::kLeaving || node.status == NodeStatus::kLeft;
  member.status = left ? MemberStatus::kLeft : MemberStatus::kFailed;
  member.gone_since = now;
  ++(left ? counters_.leaves : counters_.failures);
  Emit(left ? MemberEvent::Kind::kLeave : MemberEvent::Kind::kFail, member);
}

// The member stays, as one that left or failed, until it is reaped.
void Serf::OnForgotten(const std::string&) {}

void Serf::OnConflict(const SwimNode& known, const Alive& claim, absl::Time now) {
  const std::optional<IpAddress> ip = ParseAddress(claim.address);
  const SocketAddress other{ip.value_or(IpAddress()), claim.port};
  outputs_.swim.notes.push_back(
      {LogLevel::kWarn, absl::StrFormat("Two nodes have one name: node=%s address=%s other=%s",
                                        known.name, known.address.ToString(), other.ToString())});
  if (known.name != options_.name || !options_.resolve_conflicts || asking_for_name_) return;
  asking_for_name_ = true;
  QueryRequest request{.name = std::string(kConflictQuery), .payload = options_.name};
  request.done = [this](const QueryOutcome& outcome) {
    asking_for_name_ = false;
    size_t responses = 0, for_us = 0;
    for (const auto& [from, payload] : outcome.responses) {
      if (payload.empty() || payload[0] != static_cast<char>(SerfType::kConflictResponse)) continue;
      const auto record = DecodeRecord<MemberRecord>(AsOctets(payload).subspan(1));
      if (!record) continue;
      ++responses;
      const std::optional<IpAddress> address = ParseAddress(record->address);
      if (address == options_.address.ip && record->port == options_.address.port) ++for_us;
    }
    if (for_us < responses / 2 + 1) outputs_.lost_name = true;
  };
  if (!StartQuery(std::move(request), now).ok()) asking_for_name_ = false;
}

std::string Serf::AckPayload() { return PackCoordinate(coordinates_.coordinate()); }

void Serf::OnRoundTrip(const SwimNode& node, absl::Duration round_trip, std::string_view payload) {
  if (payload.empty()) return;
  const std::optional<Coordinate> other = ParseCoordinate(payload);
  if (!other || !coordinates_.Update(node.name, *other, round_trip)) {
    ++counters_.coordinates_rejected;
    return;
  }
  member_coordinates_[node.name] = *other;
}

void Serf::TakeBroadcasts(size_t octets, std::vector<std::string>& taken) {
  const size_t begin = taken.size();
  for (BroadcastQueue* const queue : {&intents_, &query_broadcasts_, &event_broadcasts_}) {
    octets -= queue->Take(kUserMessageOctets, octets, members_.size(), taken);
  }
  for (size_t i = begin; i < taken.size(); ++i) {
    taken[i].insert(taken[i].begin(), static_cast<char>(MessageType::kUser));
  }
}

// Messages.

void Serf::OnUserMessage(Octets message, absl::Time now) {
  const Octets body = message.subspan(1);
  const auto again = [&](bool news, BroadcastQueue& queue) {
    if (news) queue.Add("", std::string(AsText(message)));
  };
  switch (TypeOf(message)) {
    case SerfType::kJoinIntent:
      if (const auto intent = DecodeRecord<JoinIntent>(body)) {
        again(HandleJoinIntent(*intent, now), intents_);
      }
      return;
    case SerfType::kLeaveIntent:
      if (const auto intent = DecodeRecord<LeaveIntent>(body)) {
        again(HandleLeaveIntent(*intent, now), intents_);
      }
      return;
    case SerfType::kUserEvent:
      if (const auto event = DecodeRecord<UserEvent>(body)) {
        again(HandleUserEvent(*event), event_broadcasts_);
      }
      return;
    case SerfType::kQuery:
      if (const auto query = DecodeRecord<Query>(body)) {
        again(HandleQuery(*query, now), query_broadcasts_);
      }
      return;
    case SerfType::kQueryResponse:
      if (const auto response = DecodeRecord<QueryResponse>(body)) HandleResponse(*response, now);
      return;
    case SerfType::kRelay:
      return HandleRelay(body);
    default:
      return;
  }
}

bool Serf::BufferIntent(const std::string& node, IntentKind kind, LamportTime time,
                        absl::Time now) {
  const auto found = recent_intents_.find(node);
  if (found != recent_intents_.end() && time <= found->second.time) return false;
  if (found == recent_intents_.end() && recent_intents_.size() >= kIntentsMax) {
    ++counters_.intents_buffered_dropped;
    return false;
  }
  recent_intents_[node] = {.kind = kind, .time = time, .received = now};
  return true;
}

bool Serf::HandleJoinIntent(const JoinIntent& intent, absl::Time now) {
  clock_.Witness(intent.time);
  const auto found = members_.find(intent.node);
  if (found == members_.end()) {
    return BufferIntent(intent.node, IntentKind::kJoin, intent.time, now);
  }
  Member& member = found->second;
  if (intent.time <= member.status_time) return false;
  member.status_time = intent.time;
  if (member.status == MemberStatus::kLeaving && member.name != options_.name) {
    member.status = MemberStatus::kAlive;
  }
  return true;
}

bool Serf::HandleLeaveIntent(const LeaveIntent& intent, absl::Time now) {
  clock_.Witness(intent.time);
  const auto found = members_.find(intent.node);
  if (found == members_.end()) {
    return BufferIntent(intent.node, IntentKind::kLeave, intent.time, now);
  }
  Member& member = found->second;
  if (intent.time <= member.status_time) return false;
  if (member.name == options_.name && leave_ == LeavePhase::kNone) {
    BroadcastJoin(clock_.time(), now);  // We are here.
    return false;
  }
  member.status_time = intent.time;
  switch (member.status) {
    case MemberStatus::kAlive:
      member.status = MemberStatus::kLeaving;
      break;
    case MemberStatus::kFailed:
      member.status = MemberStatus::kLeft;
      ++counters_.leaves;
      Emit(MemberEvent::Kind::kLeave, member);
      break;
    case MemberStatus::kNone:
    case MemberStatus::kLeaving:
    case MemberStatus::kLeft:
      break;
  }
  if (intent.prune && member.name != options_.name) {
    if (IsGone(member)) {
      Forget(intent.node);
    } else {
      prunes_[intent.node] = now + options_.broadcast_timeout + options_.leave_propagate_delay;
    }
  }
  return true;
}

void Serf::BroadcastJoin(LamportTime time, absl::Time now) {
  const JoinIntent intent{.time = time, .node = options_.name};
  HandleJoinIntent(intent, now);
  intents_.Add("", EncodeMessage(SerfType::kJoinIntent, intent));
}

bool Serf::HandleUserEvent(const UserEvent& event) {
  event_clock_.Witness(event.time);
  if (!event_buffer_.Add(event, event_clock_.time())) return false;
  ++counters_.events_received;
  outputs_.events.push_back(event);
  return true;
}

// State of a push/pull.

std::string Serf::LocalState(bool) {
  SerfState state{.time = clock_.time(),
                  .status_times = {},
                  .left_members = {},
                  .event_time = event_clock_.time(),
                  .events = event_buffer_.Slots(),
                  .query_time = query_clock_.time()};
  for (const auto& [name, member] : members_) {
    state.status_times.emplace_back(name, member.status_time);
    if (member.status == MemberStatus::kLeft) state.left_members.push_back(name);
  }
  return EncodeMessage(SerfType::kPushPull, state);
}

void Serf::MergeRemoteState(Octets octets, bool, absl::Time now) {
  if (TypeOf(octets) != SerfType::kPushPull) return;
  const auto state = DecodeRecord<SerfState>(octets.subspan(1));
  if (!state) return;
  if (state->time > 0) clock_.Witness(state->time - 1);
  if (state->event_time > 0) event_clock_.Witness(state->event_time - 1);
  if (state->query_time > 0) query_clock_.Witness(state->query_time - 1);
  const std::set<std::string> left(state->left_members.begin(), state->left_members.end());
  for (const auto& [name, time] : state->status_times) {
    if (left.contains(name)) {
      HandleLeaveIntent({.time = time + 1, .node = name}, now);
    } else {
      HandleJoinIntent({.time = time, .node = name}, now);
    }
  }
  for (const std::optional<EventSlot>& slot : state->events) {
    if (!slot) continue;
    for (const EventSlot::Event& event : slot->events) {
      HandleUserEvent({.time = slot->time, .name = event.name, .payload = event.payload});
    }
  }
}

// Joining and leaving.

uint64_t Serf::Join(const SocketAddress& address, absl::Time now) {
  const uint64_t exchange = swim_->Join(address, now);
  user_joins_.insert(exchange);
  return exchange;
}

void Serf::OnExchanged(uint64_t exchange, const absl::Status& status, absl::Time now) {
  if (user_joins_.erase(exchange) == 0) return;  // One of ours to a failed member.
  if (status.ok()) BroadcastJoin(clock_.time(), now);
  outputs_.joins.emplace_back(exchange, status);
}

void Serf::Leave(absl::Time now) {
  if (leave_ != LeavePhase::kNone) return;
  leave_ = LeavePhase::kIntent;
  const LeaveIntent intent{.time = clock_.time(), .node = options_.name};
  clock_.Increment();
  HandleLeaveIntent(intent, now);
  leave_broadcast_ = intents_.Add("", EncodeMessage(SerfType::kLeaveIntent, intent));
  leave_deadline_ = now + options_.broadcast_timeout;
  ContinueLeave(now);
}

void Serf::ContinueLeave(absl::Time now) {
  const bool alone = swim_->alive_count() <= 1;
  if (leave_ == LeavePhase::kIntent &&
      (alone || !intents_.Contains(leave_broadcast_) || now >= leave_deadline_)) {
    leave_ = LeavePhase::kDead;
    leave_deadline_ = now + options_.broadcast_timeout;
    // Once more, to be in one packet with what it has to come before.
    intents_.Add("", EncodeMessage(SerfType::kLeaveIntent,
                                   LeaveIntent{.time = self().status_time, .node = options_.name}));
    leave_broadcast_ = swim_->Leave(now);
  }
  const bool nobody = swim_->alive_count() == 0;  // We count no more ourselves.
  if (leave_ == LeavePhase::kDead &&
      (nobody || swim_->IsBroadcast(leave_broadcast_) || now >= leave_deadline_)) {
    leave_ = LeavePhase::kPropagate;
    leave_deadline_ = nobody ? now : now + options_.leave_propagate_delay;
  }
  if (leave_ == LeavePhase::kPropagate && now >= leave_deadline_) leave_ = LeavePhase::kLeft;
}

absl::Status Serf::ForceLeave(const std::string& name, bool prune, absl::Time now) {
  const auto found = members_.find(name);
  if (found == members_.end()) {
    return absl::NotFoundError(absl::StrFormat("agent: No node found with name '%s'", name));
  }
  const LeaveIntent intent{.time = clock_.time(), .node = name, .prune = prune};
  clock_.Increment();
  HandleLeaveIntent(intent, now);
  if (swim_->alive_count() > 1) {
    intents_.Add("", EncodeMessage(SerfType::kLeaveIntent, intent));
  }
  return absl::OkStatus();
}

absl::Status Serf::SetTags(Tags tags, absl::Time now) {
  std::string meta = PackTags(tags);
  if (meta.size() > kMetaOctetsMax) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the tags take %d octets; at most %d are taken", meta.size(), kMetaOctetsMax));
  }
  options_.tags = std::move(tags);
  swim_->SetMeta(std::move(meta), now);
  return absl::OkStatus();
}

// User events and queries.

absl::Status Serf::FireEvent(const std::string& name, const std::string& payload, bool coalesce,
                             absl::Time now) {
  const UserEvent event{
      .time = event_clock_.time(), .name = name, .payload = payload, .coalesce = coalesce};
  std::string message = EncodeMessage(SerfType::kUserEvent, event);
  if (name.size() + payload.size() > kUserEventOctetsMax || message.size() > kUserEventOctetsMax) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "user event exceeds limit of %d bytes before encoding", kUserEventOctetsMax));
  }
  event_clock_.Increment();
  ++counters_.events_fired;
  HandleUserEvent(event);
  event_broadcasts_.Add("", std::move(message));
  (void)now;
  return absl::OkStatus();
}

absl::Duration Serf::QueryTimeout() const {
  const double alive = static_cast<double>(alive_count());
  return options_.profile.gossip_interval * kQueryTimeoutMultiplier *
         static_cast<int64_t>(std::ceil(std::log10(alive + 1)));
}

absl::Status Serf::StartQuery(QueryRequest request, absl::Time now) {
  if (queries_.size() >= kQueriesMax) {
    return absl::ResourceExhaustedError("too many queries are waiting for responses");
  }
  if (request.timeout <= absl::ZeroDuration()) request.timeout = QueryTimeout();
  const Query query{.time = query_clock_.time(),
                    .id = static_cast<uint32_t>(random_.Next() >> 33),
                    .address = PackAddress(options_.address.ip),
                    .port = options_.address.port,
                    .source_node = options_.name,
                    .filters = request.filters,
                    .flags = request.wants_acks ? kQueryWantsAck : 0,
                    .relay_factor = request.relay_factor,
                    .timeout_ns = absl::ToInt64Nanoseconds(request.timeout),
                    .name = request.name,
                    .payload = request.payload};
  std::string message = EncodeMessage(SerfType::kQuery, query);
  if (message.size() > kQueryOctetsMax) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the query takes %d octets; at most %d are taken", message.size(), kQueryOctetsMax));
  }
  OpenQuery& open = queries_[query.id];
  open.time = query.time;
  open.deadline = now + request.timeout;
  open.request = std::move(request);
  query_broadcasts_.Add("", std::move(message));
  HandleQuery(query, now);
  return absl::OkStatus();
}

void Serf::EndQuery(uint32_t id) {
  const auto found = queries_.find(id);
  const OpenQuery ended = std::move(found->second);
  queries_.erase(found);
  if (ended.request.done) ended.request.done(ended.outcome);
}

bool Serf::HandleQuery(const Query& query, absl::Time now) {
  query_clock_.Witness(query.time);
  if (!query_buffer_.Add(query.time, query.id, query_clock_.time())) return false;
  ++counters_.queries_received;
  const bool again = (query.flags & kQueryNoBroadcast) == 0;
  for (const std::string& filter : query.filters) {
    if (!FitsFilter(filter, options_.name, options_.tags)) return again;
  }
  if ((query.flags & kQueryWantsAck) != 0) Respond(query, kResponseIsAck, {}, now);
  if (query.name.starts_with(kInternalPrefix)) {
    HandleInternalQuery(query, now);
  } else {
    outputs_.queries.push_back(query);
  }
  return again;
}

void Serf::HandleInternalQuery(const Query& query, absl::Time now) {
  if (query.name == kConflictQuery) {
    if (query.payload == options_.name) return;
    std::string answer(1, static_cast<char>(SerfType::kConflictResponse));
    const auto member = members_.find(query.payload);
    if (member == members_.end()) {
      PackNil(answer);
    } else {
      PackValue(MakeRecord(member->second), answer);
    }
    return Respond(query, 0, std::move(answer), now);
  }
  for (const KeyOperation operation :
       {KeyOperation::kInstall, KeyOperation::kUse, KeyOperation::kRemove, KeyOperation::kList}) {
    if (query.name == NameOf(operation)) return Respond(query, 0, KeyAnswer(query), now);
  }
}

void Serf::Respond(const Query& query, uint32_t flags, std::string payload, absl::Time now) {
  const QueryResponse response{.time = query.time,
                               .id = query.id,
                               .from = options_.name,
                               .flags = flags,
                               .payload = std::move(payload)};
  const std::optional<IpAddress> ip = ParseAddress(query.address);
  if (!ip) return;
  const SocketAddress asker{*ip, query.port};
  if (query.source_node == options_.name && asker == options_.address) {
    return HandleResponse(response, now);
  }
  const std::string message = EncodeMessage(SerfType::kQueryResponse, response);
  if (message.size() > kQueryOctetsMax) return;
  swim_->SendUser(asker, message);
  // In case that this is lost, or that there is no way from here to the asker.
  const size_t relays = query.relay_factor;
  if (relays == 0 || members_.size() < relays + 1) return;
  const std::string relayed =
      EncodeMessage(
          SerfType::kRelay,
          RelayHeader{.destination = {.ip = query.address, .port = query.port, .zone = {}},
                      .destination_name = query.source_node}) +
      message;
  if (relayed.size() > kQueryOctetsMax) return;
  const auto helpers = swim_->ChooseNodes(relays, [&](const SwimNode& node) {
    return node.versions.protocol_max >= kVersionOfCrc && node.name != query.source_node;
  });
  for (const SwimNode* helper : helpers) swim_->SendUser(helper->address, relayed);
}

void Serf::HandleRelay(Octets body) {
  MsgPackReader reader(body);
  RelayHeader header;
  ReadValue(reader, header);
  const std::optional<IpAddress> ip = ParseAddress(header.destination.ip);
  if (!reader.ok() || !ip || reader.remaining() == 0) return;
  ++counters_.relayed;
  swim_->SendUser({*ip, header.destination.port}, AsText(body.subspan(reader.offset())));
}

void Serf::HandleResponse(const QueryResponse& response, absl::Time now) {
  const auto found = queries_.find(response.id);
  if (found == queries_.end() || found->second.time != response.time) return;
  OpenQuery& query = found->second;
  ++counters_.responses_received;
  if ((response.flags & kResponseIsAck) != 0) {
    if (query.acked.insert(response.from).second) query.outcome.acks.push_back(response.from);
    return;
  }
  if (!query.answered.insert(response.from).second) return;
  query.outcome.responses.emplace_back(response.from, response.payload);
  const size_t wanted = query.request.responses_max;
  // Not ended here, as a query may be answered by its own asker while it is being started.
  if (wanted > 0 && query.outcome.responses.size() >= wanted) query.deadline = now;
}

// Keys.

std::string Serf::KeyAnswer(const Query& query) {
  KeyResponse answer;
  const auto request =
      query.payload.empty() || query.payload[0] != static_cast<char>(SerfType::kKeyRequest)
          ? std::nullopt
          : DecodeRecord<KeyRequest>(AsOctets(query.payload).subspan(1));
  if (options_.keyring == nullptr || options_.keyring->empty()) {
    answer.message = "No keyring to modify (encryption not enabled)";
  } else if (query.name == NameOf(KeyOperation::kList)) {
    answer.result = true;
    for (const std::string& key : options_.keyring->keys()) answer.keys.push_back(FormatKey(key));
    answer.primary_key = answer.keys[0];
  } else if (!request) {
    answer.message = "malformed request";
  } else {
    // Tried on a copy, so that what cannot be kept on disk is not used either.
    Keyring changed = *options_.keyring;
    absl::Status status;
    if (query.name == NameOf(KeyOperation::kInstall)) status = changed.Install(request->key);
    if (query.name == NameOf(KeyOperation::kUse)) status = changed.Use(request->key);
    if (query.name == NameOf(KeyOperation::kRemove)) status = changed.Remove(request->key);
    if (status.ok() && options_.save_keys) status = options_.save_keys(changed);
    if (status.ok()) *options_.keyring = std::move(changed);
    answer.result = status.ok();
    answer.message = std::string(status.message());
    outputs_.swim.notes.push_back(
        {status.ok() ? LogLevel::kInfo : LogLevel::kWarn,
         absl::StrFormat("%s by %s: %s", query.name.substr(kInternalPrefix.size()),
                         query.source_node, status.ok() ? "done" : answer.message)});
  }
  const size_t keys = answer.keys.size();
  std::string message = EncodeMessage(SerfType::kKeyResponse, answer);
  constexpr size_t kResponseOctets = 128;  // Of the response around it, with the name of a node.
  while (message.size() + kResponseOctets + options_.name.size() > kQueryOctetsMax &&
         !answer.keys.empty()) {
    answer.keys.pop_back();
    answer.message = absl::StrFormat("truncated key list response, showing first %d of %d keys",
                                     answer.keys.size(), keys);
    message = EncodeMessage(SerfType::kKeyResponse, answer);
  }
  return message;
}

void Serf::StartKeyOperation(KeyOperation operation, const std::string& key, uint8_t relay_factor,
                             const std::function<void(const KeyOutcome&)>& done, absl::Time now) {
  const size_t nodes = alive_count();
  QueryRequest request{.name = NameOf(operation),
                       .payload = EncodeMessage(SerfType::kKeyRequest, KeyRequest{.key = key}),
                       .relay_factor = relay_factor,
                       .responses_max = nodes,
                       .done = [nodes, done](const QueryOutcome& outcome) {
                         KeyOutcome keys{.nodes = nodes};
                         for (const auto& [from, payload] : outcome.responses) {
                           const auto answer =
                               payload.empty() ||
                                       payload[0] != static_cast<char>(SerfType::kKeyResponse)
                                   ? std::nullopt
                                   : DecodeRecord<KeyResponse>(AsOctets(payload).subspan(1));
                           ++keys.responses;
                           if (!answer || !answer->result) keys.errors.push_back(from);
                           if (!answer) {
                             keys.messages[from] = "a malformed answer";
                             continue;
                           }
                           if (!answer->message.empty()) keys.messages[from] = answer->message;
                           for (const std::string& base64 : answer->keys) ++keys.keys[base64];
                           if (!answer->primary_key.empty())
                             ++keys.primary_keys[answer->primary_key];
                         }
                         done(keys);
                       }};
  if (const absl::Status status = StartQuery(std::move(request), now); !status.ok()) {
    KeyOutcome refused{.nodes = nodes};
    refused.errors.push_back(options_.name);
    refused.messages[options_.name] = std::string(status.message());
    done(refused);
  }
}

// In the background.

void Serf::Reap(absl::Time now) {
  next_reap_ = now + options_.reap_interval;
  std::vector<std::string> reaped;
  for (const auto& [name, member] : members_) {
    if (!IsGone(member)) continue;
    const bool failed = member.status == MemberStatus::kFailed;
    const absl::Duration kept = failed ? options_.reconnect_timeout : options_.tombstone_timeout;
    if (now - member.gone_since > kept) reaped.push_back(name);
  }
  for (const std::string& name : reaped) Forget(name);
  std::erase_if(recent_intents_,
                [&](const auto& intent) { return now - intent.second.received > kIntentKept; });
}

void Serf::Forget(const std::string& name) {
  prunes_.erase(name);
  const auto found = members_.find(name);
  if (found == members_.end()) return;
  ++counters_.reaped;
  Emit(MemberEvent::Kind::kReap, found->second);
  members_.erase(found);
  member_coordinates_.erase(name);
  coordinates_.Forget(name);
}

void Serf::Reconnect(absl::Time now) {
  next_reconnect_ = now + options_.reconnect_interval;
  if (leaving()) return;
  std::vector<const Member*> failed;
  for (const auto& [name, member] : members_) {
    if (member.status == MemberStatus::kFailed) failed.push_back(&member);
  }
  if (failed.empty()) return;
  // All members together try about one failed member each interval.
  const auto alive = static_cast<uint32_t>(std::max<size_t>(1, alive_count()));
  if (random_.Below(alive) >= failed.size()) return;
  const Member& member = *failed[random_.Below(static_cast<uint32_t>(failed.size()))];
  swim_->Join(member.address, now);
}

}  // namespace pharos::gossip
