#include "cluster/gossip/swim.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "cluster/gossip/packet.h"

namespace pharos::gossip {
namespace {

constexpr size_t kBroadcastsMax = 1 << 20;
// A turn that comes so late was kept from running.
constexpr absl::Duration kStallMin = absl::Milliseconds(100);
constexpr int kExchangesUnscaled = 32;
constexpr absl::Duration kSettling = absl::Minutes(1);

MessageType TypeOf(Octets message) { return static_cast<MessageType>(message[0]); }

bool IsUp(const SwimNode& node) {
  return node.status == NodeStatus::kAlive || node.status == NodeStatus::kSuspect;
}

// A null version is one that nobody said.
bool SpeaksOf(const std::optional<Versions>& versions) {
  return versions && versions->protocol_min != 0 && versions->protocol_max != 0 &&
         versions->protocol_min <= versions->protocol_max;
}

}  // namespace

Swim::Swim(SwimOptions options, SwimDelegate& delegate, uint64_t seed, absl::Time now)
    : options_(std::move(options)),
      delegate_(delegate),
      started_(now),
      random_(seed),
      broadcasts_(options_.profile.retransmit_multiplier, kBroadcastsMax) {
  const Profile& profile = options_.profile;
  next_probe_ = now + RandomPart(profile.probe_interval);
  next_gossip_ = now + RandomPart(profile.gossip_interval);
  next_push_pull_ = now + RandomPart(profile.push_pull_interval);
  const Alive claim{.incarnation = 1,
                    .node = options_.name,
                    .address = PackAddress(options_.address.ip),
                    .port = options_.address.port,
                    .meta = options_.meta,
                    .versions = options_.versions.Pack()};
  HandleAlive(claim, now, true);
}

// Packets in.

void Swim::Receive(const SocketAddress& from, Octets packet, absl::Time now) {
  NoticeStall(now);
  const bool good =
      ForEachMessage(packet, [&](Octets message) { ReceiveMessage(from, message, now); });
  if (!good) ++counters_.messages_malformed;
}

template <typename T>
std::optional<T> Swim::Decode(Octets message) {
  std::optional<T> decoded = DecodeRecord<T>(message.subspan(1));
  if (!decoded) ++counters_.messages_malformed;
  return decoded;
}

void Swim::ReceiveMessage(const SocketAddress& from, Octets message, absl::Time now) {
  ++counters_.messages_received;
  switch (TypeOf(message)) {
    case MessageType::kPing:
      if (const auto ping = Decode<Ping>(message)) ReceivePing(from, *ping);
      return;
    case MessageType::kIndirectPing:
      if (const auto ping = Decode<IndirectPing>(message)) ReceiveIndirectPing(from, *ping, now);
      return;
    case MessageType::kAck:
      if (const auto ack = Decode<Ack>(message)) ReceiveAck(*ack, now);
      return;
    case MessageType::kNack:
      if (const auto nack = Decode<Nack>(message)) ReceiveNack(*nack);
      return;
    case MessageType::kSuspect:
      if (const auto suspect = Decode<Suspect>(message)) {
        ++counters_.suspected_by_others;
        HandleSuspect(*suspect, now);
      }
      return;
    case MessageType::kAlive:
      if (const auto alive = Decode<Alive>(message)) HandleAlive(*alive, now);
      return;
    case MessageType::kDead:
      if (const auto dead = Decode<Dead>(message)) HandleDead(*dead, now);
      return;
    case MessageType::kUser:
      if (message.size() > 1) delegate_.OnUserMessage(message.subspan(1), now);
      return;
    default:
      ++counters_.messages_unknown;
  }
}

void Swim::ReceivePing(const SocketAddress& from, const Ping& ping) {
  if (!ping.node.empty() && ping.node != options_.name) return;
  const std::optional<IpAddress> source = ParseAddress(ping.source_address);
  const bool given = source && ping.source_port != 0;
  SendWithBroadcasts(given ? SocketAddress{*source, ping.source_port} : from,
                     EncodeMessage(MessageType::kAck, Ack{.sequence = ping.sequence,
                                                          .payload = delegate_.AckPayload()}));
}

void Swim::ReceiveIndirectPing(const SocketAddress& from, const IndirectPing& ping,
                               absl::Time now) {
  const std::optional<IpAddress> target = ParseAddress(ping.target);
  if (!target) {
    ++counters_.messages_malformed;
    return;
  }
  if (relays_.size() >= kRelaysMax) {
    ++counters_.relays_refused;
    return;
  }
  const std::optional<IpAddress> source = ParseAddress(ping.source_address);
  const bool given = source && ping.source_port != 0;
  const uint32_t sequence = ++next_sequence_;
  const absl::Time deadline = now + options_.profile.probe_timeout;
  relays_[sequence] = {.asker = given ? SocketAddress{*source, ping.source_port} : from,
                       .asked_sequence = ping.sequence,
                       .nack = ping.nack,
                       .deadline = deadline};
  relay_deadlines_.insert({deadline, sequence});
  const uint16_t port = ping.port != 0 ? ping.port : options_.address.port;
  SendWithBroadcasts(
      {*target, port},
      EncodeMessage(MessageType::kPing, Ping{.sequence = sequence,
                                             .node = ping.node,
                                             .source_address = PackAddress(options_.address.ip),
                                             .source_port = options_.address.port,
                                             .source_node = options_.name}));
}

void Swim::ReceiveAck(const Ack& ack, absl::Time now) {
  if (probe_ && probe_->sequence == ack.sequence) {
    // What comes by way of others has no payload, and its time says nothing.
    SwimNode* const node = nodes_.contains(probe_->node) ? nodes_[probe_->node].get() : nullptr;
    if (node != nullptr && (!probe_->widened || !ack.payload.empty())) {
      delegate_.OnRoundTrip(*node, now - probe_->start, ack.payload);
    }
    return EndProbe(-1);
  }
  const auto relay = relays_.find(ack.sequence);
  if (relay == relays_.end()) return;
  Send(relay->second.asker,
       {EncodeMessage(MessageType::kAck,
                      Ack{.sequence = relay->second.asked_sequence, .payload = {}})},
       false);
  relay_deadlines_.erase({relay->second.deadline, relay->first});
  relays_.erase(relay);
}

void Swim::ReceiveNack(const Nack& nack) {
  if (probe_ && probe_->sequence == nack.sequence) ++probe_->nacks;
}

// Packets out.

std::vector<std::string> Swim::TakeBroadcasts(size_t octets) {
  std::vector<std::string> messages;
  const size_t used = broadcasts_.Take(kCompoundPartOctets, octets, node_count(), messages);
  delegate_.TakeBroadcasts(octets - used, messages);
  return messages;
}

void Swim::SendWithBroadcasts(const SocketAddress& to, std::string message) {
  const size_t used =
      kCompoundHeadOctets + kCompoundPartOctets + options_.overhead_octets() + message.size();
  std::vector<std::string> messages =
      TakeBroadcasts(kPacketOctets > used ? kPacketOctets - used : 0);
  messages.insert(messages.begin(), std::move(message));
  Send(to, std::move(messages), false);
}

void Swim::Send(const SocketAddress& to, std::vector<std::string> messages, bool with_crc) {
  for (size_t begin = 0; begin < messages.size(); begin += kCompoundPartsMax) {
    const std::span<const std::string> part = std::span<const std::string>(messages).subspan(
        begin, std::min(kCompoundPartsMax, messages.size() - begin));
    outputs_.packets.push_back({.to = to,
                                .message = part.size() == 1 ? part[0] : MakeCompound(part),
                                .with_crc = with_crc});
  }
}

void Swim::SendUser(const SocketAddress& to, std::string_view message) {
  std::string whole(1, static_cast<char>(MessageType::kUser));
  whole += message;
  Send(to, {std::move(whole)}, false);
}

// States of nodes.

const SwimNode* Swim::Find(std::string_view name) const {
  const auto found = nodes_.find(absl::string_view(name.data(), name.size()));
  return found == nodes_.end() ? nullptr : found->second.get();
}

size_t Swim::alive_count() const { return nodes_.size() - not_alive_count_; }

void Swim::ForEachNode(const std::function<void(const SwimNode&)>& visit) const {
  for (const SwimNode* node : probe_order_) visit(*node);
}

bool Swim::AcceptsAddress(const SwimNode& node, const Alive& claim, absl::Time now) {
  if (&node == self_) return false;
  if (node.status == NodeStatus::kLeft) return true;
  const bool dead = node.status == NodeStatus::kDead;
  if (delegate_.IsSameNode(node, claim)) return dead || claim.incarnation > node.incarnation;
  const absl::Duration reclaim = options_.profile.dead_node_reclaim;
  return dead && reclaim > absl::ZeroDuration() && now - node.status_since > reclaim;
}

SwimNode* Swim::AddNode(const Alive& claim, absl::Time now) {
  if (nodes_.size() >= kNodesMax) {
    ++counters_.nodes_refused;
    return nullptr;
  }
  auto node = std::make_unique<SwimNode>();
  SwimNode* const added = node.get();
  added->name = claim.node;
  added->status_since = now;
  ++not_alive_count_;
  nodes_.emplace(added->name, std::move(node));
  probe_order_.push_back(added);
  std::swap(probe_order_.back(),
            probe_order_[random_.Below(static_cast<uint32_t>(probe_order_.size()))]);
  return added;
}

void Swim::HandleAlive(const Alive& claim, absl::Time now, bool own) {
  const bool about_self = claim.node == options_.name;
  if (about_self && leaving_) return;
  const std::optional<IpAddress> ip = ParseAddress(claim.address);
  const std::optional<Versions> versions = Versions::Parse(claim.versions);
  if (!ip || claim.node.empty() || !SpeaksOf(versions)) {
    ++counters_.messages_malformed;
    return;
  }
  if (!own) {
    if (const std::string why = delegate_.WhyNotAdmitted(claim); !why.empty()) {
      AddNote(LogLevel::kWarn,
              absl::StrFormat("Ignoring a node that claims to be alive: node=%s address=%s: %s",
                              claim.node, ip->ToString(), why));
      return;
    }
  }
  const SocketAddress address{*ip, claim.port != 0 ? claim.port : options_.address.port};
  SwimNode* node = nullptr;
  if (const auto found = nodes_.find(claim.node); found != nodes_.end()) {
    node = found->second.get();
  } else {
    node = AddNode(claim, now);
    if (node == nullptr) return;
    node->address = address;
    node->address_octets = claim.address;
    if (own) self_ = node;
  }
  const bool moved = node->address != address;
  // What others still say of an earlier life of this node, at another address. Only just after the
  // start, so that two copies of one node do not outbid each other for ever.
  if (moved && about_self && now - started_ < kSettling && delegate_.IsSameNode(*node, claim)) {
    if (claim.incarnation >= node->incarnation) Refute(claim.incarnation);
    return;
  }
  if (moved && !AcceptsAddress(*node, claim, now)) {
    // An old claim of the same node is no conflict.
    if (!about_self && delegate_.IsSameNode(*node, claim)) return;
    ++counters_.conflicts;
    return delegate_.OnConflict(*node, claim, now);
  }
  if (!about_self && !moved && claim.incarnation <= node->incarnation) return;
  if (about_self && !own) {
    if (claim.incarnation < node->incarnation) return;
    const bool same = claim.incarnation == node->incarnation && claim.meta == node->meta &&
                      *versions == node->versions;
    if (!same) Refute(claim.incarnation);
    return;
  }
  StopSuspecting(*node);
  broadcasts_.Add(node->name, EncodeMessage(MessageType::kAlive, claim));
  const bool was_up = IsUp(*node);
  const bool changed = moved || node->meta != claim.meta;
  node->incarnation = claim.incarnation;
  node->meta = claim.meta;
  node->address = address;
  node->address_octets = claim.address;
  node->versions = *versions;
  SetStatus(*node, NodeStatus::kAlive, now);
  if (!was_up) {
    delegate_.OnJoin(*node, now);
  } else if (changed) {
    delegate_.OnUpdate(*node, now);
  }
}

void Swim::HandleSuspect(const Suspect& suspect, absl::Time now) {
  const auto found = nodes_.find(suspect.node);
  if (found == nodes_.end()) return;
  SwimNode& node = *found->second;
  if (suspect.incarnation < node.incarnation) return;
  if (node.suspicion != nullptr) {
    suspects_.erase({node.suspicion->deadline(), &node});
    if (node.suspicion->Confirm(suspect.from)) {
      ++counters_.confirmations;
      CountAccusation(suspect.from, suspect.node);
      broadcasts_.Add(node.name, EncodeMessage(MessageType::kSuspect, suspect));
    }
    suspects_.insert({node.suspicion->deadline(), &node});
    return;
  }
  if (node.status != NodeStatus::kAlive) return;
  CountAccusation(suspect.from, suspect.node);
  if (&node == self_) {
    if (leaving_) return;
    AddNote(LogLevel::kWarn, absl::StrFormat("Refuting a suspect message: from=%s", suspect.from));
    return Refute(suspect.incarnation);
  }
  broadcasts_.Add(node.name, EncodeMessage(MessageType::kSuspect, suspect));
  node.incarnation = suspect.incarnation;
  SetStatus(node, NodeStatus::kSuspect, now);
  node.suspicion = std::make_unique<Suspicion>(options_.profile, node_count(), suspect.from, now);
  suspects_.insert({node.suspicion->deadline(), &node});
}

void Swim::HandleDead(const Dead& dead, absl::Time now) {
  const auto found = nodes_.find(dead.node);
  if (found == nodes_.end()) return;
  SwimNode& node = *found->second;
  if (dead.incarnation < node.incarnation) return;
  if (!IsUp(node)) return StopSuspecting(node);
  if (&node == self_ && !leaving_) {
    CountAccusation(dead.from, dead.node);
    AddNote(LogLevel::kWarn, absl::StrFormat("Refuting a dead message: from=%s", dead.from));
    return Refute(dead.incarnation);
  }
  StopSuspecting(node);
  broadcasts_.Add(node.name, EncodeMessage(MessageType::kDead, dead));
  node.incarnation = dead.incarnation;
  SetStatus(node, dead.from == dead.node ? NodeStatus::kLeft : NodeStatus::kDead, now);
  delegate_.OnLeave(node, now);
}

void Swim::StopSuspecting(SwimNode& node) {
  if (node.suspicion == nullptr) return;
  suspects_.erase({node.suspicion->deadline(), &node});
  node.suspicion.reset();
}

void Swim::SetStatus(SwimNode& node, NodeStatus status, absl::Time now) {
  if (node.status == status) return;
  const bool was_up = IsUp(node);
  node.status = status;
  node.status_since = now;
  if (was_up && !IsUp(node)) ++not_alive_count_;
  if (!was_up && IsUp(node)) --not_alive_count_;
}

void Swim::Refute(uint32_t accused) {
  self_->incarnation = std::max(self_->incarnation, accused) + 1;
  ++counters_.refuted;
  AddHealth(1);
  BroadcastSelf();
}

void Swim::BroadcastSelf() {
  broadcasts_.Add(self_->name,
                  EncodeMessage(MessageType::kAlive, Alive{.incarnation = self_->incarnation,
                                                           .node = self_->name,
                                                           .address = self_->address_octets,
                                                           .port = self_->address.port,
                                                           .meta = self_->meta,
                                                           .versions = self_->versions.Pack()}));
}

void Swim::SetMeta(std::string meta, absl::Time now) {
  self_->meta = std::move(meta);
  ++self_->incarnation;
  BroadcastSelf();
  delegate_.OnUpdate(*self_, now);
}

uint64_t Swim::Leave(absl::Time now) {
  leaving_ = true;
  const Dead dead{.incarnation = self_->incarnation, .node = options_.name, .from = options_.name};
  SetStatus(*self_, NodeStatus::kLeft, now);
  return broadcasts_.Add(self_->name, EncodeMessage(MessageType::kDead, dead));
}

void Swim::CountAccusation(const std::string& from, const std::string& node) {
  const auto key = std::make_pair(from, node);
  if (accusations_.size() >= kAccusationsMax && !accusations_.contains(key)) {
    ++accusations_[{"*", "*"}];
  } else {
    ++accusations_[key];
  }
}

void Swim::AddHealth(int delta) {
  health_score_ = std::clamp(health_score_ + delta, 0, options_.profile.awareness_multiplier - 1);
}

// Timers.

absl::Time Swim::next_deadline() const {
  absl::Time next = std::min({next_gossip_, next_probe_, next_push_pull_});
  if (probe_) next = std::min(next, probe_->widened ? probe_->deadline : probe_->timeout);
  if (!relay_deadlines_.empty()) next = std::min(next, relay_deadlines_.begin()->first);
  if (!suspects_.empty()) next = std::min(next, suspects_.begin()->first);
  return next;
}

// Who did not get to run has no opinion of others for that time: all that waits for them waits so
// much longer. (Lifeguard only becomes more patient once it has accused.)
void Swim::NoticeStall(absl::Time now) {
  const absl::Duration late = now - next_deadline();
  if (late < kStallMin) return;
  ++counters_.stalls;
  counters_.stalled += late;
  if (probe_) {
    probe_->timeout += late;
    probe_->deadline += late;
  }
  SuspectQueue suspects;
  for (const auto& [deadline, node] : suspects_) {
    node->suspicion->Postpone(late);
    suspects.insert({node->suspicion->deadline(), node});
  }
  suspects_.swap(suspects);
  for (absl::Time* const next : {&next_gossip_, &next_probe_, &next_push_pull_}) {
    *next = std::max(*next, now);
  }
  AddHealth(1);
}

void Swim::Tick(absl::Time now) {
  NoticeStall(now);
  EndRelays(now);
  if (probe_ && !probe_->widened && now >= probe_->timeout) WidenProbe(now);
  if (probe_ && now >= probe_->deadline) FailProbe(now);
  EndSuspicions(now);
  if (now >= next_probe_) {
    // While a probe runs, the next one waits for its end.
    if (!probe_) StartProbe(now);
    next_probe_ = std::max(now, next_probe_ + options_.profile.probe_interval);
    if (probe_) next_probe_ = std::max(next_probe_, now + absl::Milliseconds(1));
  }
  if (now >= next_gossip_) {
    next_gossip_ = std::max(now + options_.profile.gossip_interval / 2,
                            next_gossip_ + options_.profile.gossip_interval);
    Gossip(now);
  }
  if (now >= next_push_pull_) {
    next_push_pull_ = now + push_pull_interval();
    ExchangeState(now);
  }
}

SwimNode* Swim::NextToProbe(absl::Time now) {
  for (size_t checked = 0; checked <= probe_order_.size(); ++checked) {
    if (next_to_probe_ >= probe_order_.size()) {
      ForgetTheDead(now);
      next_to_probe_ = 0;
    }
    if (probe_order_.empty()) return nullptr;
    SwimNode* const node = probe_order_[next_to_probe_++];
    if (node != self_ && IsUp(*node)) return node;
  }
  return nullptr;
}

void Swim::StartProbe(absl::Time now) {
  SwimNode* const node = NextToProbe(now);
  if (node == nullptr || leaving_) return;
  const Profile& profile = options_.profile;
  ++counters_.probes;
  probe_ = Probe{.sequence = ++next_sequence_,
                 .node = node->name,
                 .start = now,
                 .timeout = now + profile.probe_timeout,
                 .deadline = now + profile.probe_interval * (1 + health_score_)};
  std::string ping =
      EncodeMessage(MessageType::kPing, Ping{.sequence = probe_->sequence,
                                             .node = node->name,
                                             .source_address = PackAddress(options_.address.ip),
                                             .source_port = options_.address.port,
                                             .source_node = options_.name});
  const bool with_crc = node->versions.protocol_max >= kVersionOfCrc;
  if (node->status == NodeStatus::kAlive) return SendWithBroadcasts(node->address, std::move(ping));
  // Who is suspected hears of it at once, and can refute.
  Send(node->address,
       {std::move(ping),
        EncodeMessage(
            MessageType::kSuspect,
            Suspect{.incarnation = node->incarnation, .node = node->name, .from = options_.name})},
       with_crc);
}

void Swim::WidenProbe(absl::Time now) {
  probe_->widened = true;
  const SwimNode* const node = Find(probe_->node);
  if (node == nullptr || !IsUp(*node)) return EndProbe(0);
  const auto helpers =
      Choose(static_cast<size_t>(options_.profile.indirect_checks), [&](const SwimNode& helper) {
        return &helper != self_ && &helper != node && helper.status == NodeStatus::kAlive;
      });
  ++counters_.probes_indirect;
  for (const SwimNode* helper : helpers) {
    const bool nack = helper->versions.protocol_max >= kVersionOfNack;
    if (nack) ++probe_->nacks_wanted;
    SendWithBroadcasts(
        helper->address,
        EncodeMessage(MessageType::kIndirectPing,
                      IndirectPing{.sequence = probe_->sequence,
                                   .target = node->address_octets,
                                   .port = node->address.port,
                                   .node = node->name,
                                   .nack = nack,
                                   .source_address = PackAddress(options_.address.ip),
                                   .source_port = options_.address.port,
                                   .source_node = options_.name}));
  }
  if (!options_.profile.tcp_pings || node->versions.protocol_max < kVersionOfTcpPing) return;
  probe_->dial = AddDial(
      DialKind::kPing, node->address,
      EncodeMessage(MessageType::kPing, Ping{.sequence = probe_->sequence,
                                             .node = node->name,
                                             .source_address = PackAddress(options_.address.ip),
                                             .source_port = options_.address.port,
                                             .source_node = options_.name}),
      std::max(absl::Milliseconds(1), probe_->deadline - now));
}

void Swim::FailProbe(absl::Time now) {
  const Probe probe = *probe_;
  const auto found = nodes_.find(probe.node);
  if (found == nodes_.end() || !IsUp(*found->second)) return EndProbe(0);
  if (probe.tcp_answered) {
    ++counters_.tcp_only;
    AddNote(LogLevel::kWarn,
            absl::StrFormat("UDP is lost on the way while TCP is not: from=%s to=%s", options_.name,
                            probe.node));
    return EndProbe(-1);
  }
  ++counters_.probes_failed;
  // Helpers that do not even say that they heard nothing: the fault may be here.
  EndProbe(probe.nacks_wanted > 0 ? std::max(0, probe.nacks_wanted - probe.nacks) : 1);
  ++counters_.suspected_by_us;
  AddNote(LogLevel::kInfo, absl::StrFormat("Suspect %s has failed, no acks received", probe.node));
  HandleSuspect(
      {.incarnation = found->second->incarnation, .node = probe.node, .from = options_.name}, now);
}

void Swim::EndProbe(int health_delta) {
  AddHealth(health_delta);
  probe_.reset();
}

void Swim::EndRelays(absl::Time now) {
  while (!relay_deadlines_.empty() && relay_deadlines_.begin()->first <= now) {
    const auto relay = relays_.find(relay_deadlines_.begin()->second);
    if (relay->second.nack) {
      SendWithBroadcasts(
          relay->second.asker,
          EncodeMessage(MessageType::kNack, Nack{.sequence = relay->second.asked_sequence}));
    }
    relays_.erase(relay);
    relay_deadlines_.erase(relay_deadlines_.begin());
  }
}

void Swim::EndSuspicions(absl::Time now) {
  while (!suspects_.empty() && suspects_.begin()->first <= now) {
    const SwimNode& node = *suspects_.begin()->second;
    ++counters_.dead_by_us;
    AddNote(LogLevel::kInfo,
            absl::StrFormat("Marking %s as failed, suspect timeout reached (%d peer confirmations)",
                            node.name, node.suspicion->confirmations()));
    HandleDead({.incarnation = node.incarnation, .node = node.name, .from = options_.name}, now);
  }
}

void Swim::ForgetTheDead(absl::Time now) {
  std::vector<SwimNode*> kept;
  kept.reserve(probe_order_.size());
  for (SwimNode* const node : probe_order_) {
    const bool forgotten = !IsUp(*node) && node != self_ &&
                           now - node->status_since > options_.profile.gossip_to_the_dead;
    if (!forgotten) {
      kept.push_back(node);
      continue;
    }
    --not_alive_count_;
    const std::string name = node->name;
    nodes_.erase(name);
    delegate_.OnForgotten(name);
  }
  probe_order_ = std::move(kept);
  for (size_t i = probe_order_.size(); i > 1; --i) {
    std::swap(probe_order_[i - 1], probe_order_[random_.Below(static_cast<uint32_t>(i))]);
  }
}

void Swim::Gossip(absl::Time now) {
  const auto targets =
      Choose(static_cast<size_t>(options_.profile.gossip_nodes), [&](const SwimNode& node) {
        if (&node == self_) return false;
        return IsUp(node) || (node.status == NodeStatus::kDead &&
                              now - node.status_since <= options_.profile.gossip_to_the_dead);
      });
  const size_t room = kPacketOctets - kCompoundHeadOctets - options_.overhead_octets();
  for (const SwimNode* node : targets) {
    std::vector<std::string> messages = TakeBroadcasts(room);
    if (messages.empty()) return;
    Send(node->address, std::move(messages), node->versions.protocol_max >= kVersionOfCrc);
  }
}

absl::Duration Swim::push_pull_interval() const {
  const auto nodes = static_cast<double>(node_count());
  if (nodes <= kExchangesUnscaled) return options_.profile.push_pull_interval;
  return options_.profile.push_pull_interval *
         (1 + static_cast<int64_t>(std::ceil(std::log2(nodes) - std::log2(kExchangesUnscaled))));
}

void Swim::ExchangeState(absl::Time) {
  if (leaving_) return;
  const auto chosen = Choose(
      1, [&](const SwimNode& node) { return &node != self_ && node.status == NodeStatus::kAlive; });
  if (chosen.empty()) return;
  AddDial(DialKind::kExchange, chosen[0]->address, EncodeState(false),
          options_.profile.tcp_timeout);
}

// Exchanges.

uint64_t Swim::AddDial(DialKind kind, const SocketAddress& to, std::string request,
                       absl::Duration timeout) {
  const uint64_t id = next_dial_++;
  dials_[id] = kind;
  if (kind != DialKind::kPing) ++counters_.exchanges_out;
  outputs_.dials.push_back({.id = id, .to = to, .request = std::move(request), .timeout = timeout});
  return id;
}

uint64_t Swim::Join(const SocketAddress& address, absl::Time) {
  return AddDial(DialKind::kJoin, address, EncodeState(true), options_.profile.tcp_timeout);
}

std::string Swim::EncodeState(bool join) {
  PushPull state{.join = join, .nodes = {}, .user_state = delegate_.LocalState(join)};
  state.nodes.reserve(nodes_.size());
  for (const SwimNode* node : probe_order_) {
    state.nodes.push_back({.name = node->name,
                           .address = node->address_octets,
                           .port = node->address.port,
                           .meta = node->meta,
                           .incarnation = node->incarnation,
                           .state = static_cast<uint8_t>(node->status),
                           .versions = node->versions.Pack()});
  }
  return EncodePushPull(state);
}

absl::StatusOr<std::string> Swim::ReceiveStream(Octets message, absl::Time now) {
  NoticeStall(now);
  switch (TypeOf(message)) {
    case MessageType::kPing: {
      const auto ping = Decode<Ping>(message);
      if (!ping) return absl::InvalidArgumentError("malformed ping");
      if (!ping->node.empty() && ping->node != options_.name) {
        return absl::NotFoundError(
            absl::StrFormat("the ping is for \"%s\"; this is \"%s\"", ping->node, options_.name));
      }
      return EncodeMessage(MessageType::kAck, Ack{.sequence = ping->sequence, .payload = {}});
    }
    case MessageType::kUser: {
      MsgPackReader reader(message, 1);
      UserStreamHeader header;
      ReadValue(reader, header);
      if (!reader.ok() || reader.remaining() < header.octets || header.octets == 0) {
        return absl::InvalidArgumentError("malformed user message");
      }
      delegate_.OnUserMessage(message.subspan(reader.offset(), header.octets), now);
      return std::string();
    }
    case MessageType::kPushPull: {
      const std::optional<PushPull> state = DecodePushPull(message);
      if (!state) {
        ++counters_.messages_malformed;
        return absl::InvalidArgumentError("malformed push/pull");
      }
      ++counters_.exchanges_in;
      std::string answer = EncodeState(state->join);
      if (const absl::Status merged = Merge(*state, now); !merged.ok()) {
        ++counters_.exchanges_refused;
        AddNote(LogLevel::kWarn, absl::StrFormat("Refused to merge the state of another node: %s",
                                                 std::string(merged.message())));
      }
      return answer;
    }
    default:
      ++counters_.messages_unknown;
      return absl::InvalidArgumentError(
          absl::StrFormat("a stream with a message of type %d", message[0]));
  }
}

void Swim::OnStreamAnswer(uint64_t dial, const absl::StatusOr<std::string>& answer,
                          absl::Time now) {
  NoticeStall(now);
  const auto found = dials_.find(dial);
  if (found == dials_.end()) return;
  const DialKind kind = found->second;
  dials_.erase(found);
  const Octets message = answer.ok() ? AsOctets(*answer) : Octets();
  if (kind == DialKind::kPing) {
    if (!probe_ || probe_->dial != dial || message.empty() ||
        TypeOf(message) != MessageType::kAck) {
      return;
    }
    const auto ack = Decode<Ack>(message);
    if (ack && ack->sequence == probe_->sequence) probe_->tcp_answered = true;
    return;
  }
  absl::Status status = answer.status();
  if (status.ok()) {
    if (TypeOf(message) == MessageType::kError) {
      const auto error = Decode<StreamError>(message);
      status = absl::FailedPreconditionError(
          absl::StrFormat("the other node refused: %s", error ? error->error : ""));
    } else if (const std::optional<PushPull> state = TypeOf(message) == MessageType::kPushPull
                                                         ? DecodePushPull(message)
                                                         : std::nullopt) {
      status = Merge(*state, now);
    } else {
      ++counters_.messages_malformed;
      status = absl::InvalidArgumentError("a malformed answer");
    }
  }
  if (kind == DialKind::kJoin) return delegate_.OnExchanged(dial, status, now);
  if (!status.ok()) {
    AddNote(LogLevel::kWarn,
            absl::StrFormat("Exchange of state failed: %s", std::string(status.message())));
  }
}

absl::Status Swim::CheckVersions(std::span<const NodeState> nodes) const {
  int min = 0, max = 255, delegate_min = 0, delegate_max = 255;
  struct Current {
    const std::string* name;
    Versions versions;
  };
  std::vector<Current> all;
  const auto add = [&](const std::string& name, bool alive, const Versions& versions) {
    all.push_back({&name, versions});
    if (!alive) return;
    min = std::max<int>(min, versions.protocol_min);
    max = std::min<int>(max, versions.protocol_max);
    delegate_min = std::max<int>(delegate_min, versions.delegate_min);
    delegate_max = std::min<int>(delegate_max, versions.delegate_max);
  };
  for (const NodeState& node : nodes) {
    const std::optional<Versions> versions = Versions::Parse(node.versions);
    if (versions) add(node.name, node.state == 0, *versions);
  }
  for (const SwimNode* node : probe_order_) {
    add(node->name, node->status == NodeStatus::kAlive, node->versions);
  }
  for (const auto& [name, versions] : all) {
    if (versions.protocol_current < min || versions.protocol_current > max) {
      return absl::FailedPreconditionError(
          absl::StrFormat("node %s speaks version %d of the protocol; expected %d to %d", *name,
                          versions.protocol_current, min, max));
    }
    if (versions.delegate_current < delegate_min || versions.delegate_current > delegate_max) {
      return absl::FailedPreconditionError(
          absl::StrFormat("node %s speaks version %d of Serf's protocol; expected %d to %d", *name,
                          versions.delegate_current, delegate_min, delegate_max));
    }
  }
  return absl::OkStatus();
}

absl::Status Swim::Merge(const PushPull& state, absl::Time now) {
  RETURN_IF_ERROR(CheckVersions(state.nodes));
  if (state.join) {
    const std::string why = delegate_.WhyNotMerged(state.nodes);
    if (!why.empty()) return absl::FailedPreconditionError(why);
  }
  for (const NodeState& node : state.nodes) {
    switch (static_cast<NodeStatus>(node.state)) {
      case NodeStatus::kAlive:
        HandleAlive({.incarnation = node.incarnation,
                     .node = node.name,
                     .address = node.address,
                     .port = node.port,
                     .meta = node.meta,
                     .versions = node.versions},
                    now);
        break;
      case NodeStatus::kLeft:
        HandleDead({.incarnation = node.incarnation, .node = node.name, .from = node.name}, now);
        break;
      case NodeStatus::kDead:
      case NodeStatus::kSuspect:
        // That another one thinks it dead is a suspicion here, and can be refuted.
        HandleSuspect({.incarnation = node.incarnation, .node = node.name, .from = options_.name},
                      now);
        break;
    }
  }
  if (!state.user_state.empty()) {
    delegate_.MergeRemoteState(AsOctets(state.user_state), state.join, now);
  }
  return absl::OkStatus();
}

// Choices.

template <typename Fits>
std::vector<SwimNode*> Swim::Choose(size_t count, Fits fits) {
  std::vector<SwimNode*> chosen;
  const size_t nodes = probe_order_.size();
  if (nodes == 0) return chosen;
  const auto take = [&](SwimNode* node) {
    if (fits(*node) && std::find(chosen.begin(), chosen.end(), node) == chosen.end()) {
      chosen.push_back(node);
    }
  };
  if (nodes < 3 * count) {
    std::vector<SwimNode*> shuffled = probe_order_;
    for (size_t i = nodes; i > 1; --i) {
      std::swap(shuffled[i - 1], shuffled[random_.Below(static_cast<uint32_t>(i))]);
    }
    for (size_t i = 0; i < nodes && chosen.size() < count; ++i) take(shuffled[i]);
    return chosen;
  }
  for (size_t i = 0; i < 3 * nodes && chosen.size() < count; ++i) {
    take(probe_order_[random_.Below(static_cast<uint32_t>(nodes))]);
  }
  return chosen;
}

std::vector<const SwimNode*> Swim::ChooseNodes(size_t count,
                                               const std::function<bool(const SwimNode&)>& fits) {
  const auto chosen = Choose(count, [&](const SwimNode& node) {
    return &node != self_ && node.status == NodeStatus::kAlive && fits(node);
  });
  return {chosen.begin(), chosen.end()};
}

absl::Duration Swim::RandomPart(absl::Duration of) {
  return of * (static_cast<double>(random_.Next() >> 11) * 0x1p-53);
}

}  // namespace pharos::gossip
