#include "cluster/gossip/swim_sim.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::gossip {
namespace {

SocketAddress AddressOf(size_t node) {
  const auto n = static_cast<uint32_t>(node);
  return {IpAddress::V4({10, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8),
                         static_cast<uint8_t>(n)}),
          7946};
}

size_t NodeAt(const SocketAddress& address) {
  const Octets octets = address.ip.octets();
  return static_cast<size_t>(octets[1]) << 16 | static_cast<size_t>(octets[2]) << 8 | octets[3];
}

}  // namespace

std::string SwimSim::NameOf(size_t node) { return absl::StrFormat("n%d", node); }

struct SwimSim::Node : SwimDelegate {
  Node(SwimSim& owner, size_t number) : sim(owner), index(number) {}

  std::string WhyNotAdmitted(const Alive&) override { return {}; }
  std::string WhyNotMerged(std::span<const NodeState>) override { return {}; }
  bool IsSameNode(const SwimNode&, const Alive&) override { return false; }
  void OnJoin(const SwimNode& node, absl::Time now) override {
    if (swim != nullptr) sim.events_.push_back({SimEvent::Kind::kJoin, now, index, node.name});
  }
  void OnUpdate(const SwimNode&, absl::Time) override {}
  void OnLeave(const SwimNode& node, absl::Time now) override {
    sim.events_.push_back({SimEvent::Kind::kLeave, now, index, node.name});
  }
  void OnForgotten(const std::string&) override {}
  void OnConflict(const SwimNode&, const Alive&, absl::Time) override {}
  void OnUserMessage(Octets, absl::Time) override {}
  std::string LocalState(bool) override { return {}; }
  void MergeRemoteState(Octets, bool, absl::Time) override {}
  std::string AckPayload() override { return {}; }
  void OnRoundTrip(const SwimNode&, absl::Duration, std::string_view) override {}
  void TakeBroadcasts(size_t, std::vector<std::string>&) override {}
  void OnExchanged(uint64_t, const absl::Status&, absl::Time) override {}

  SwimSim& sim;
  size_t index;
  std::unique_ptr<Swim> swim;  // Null while it does not run.
  uint64_t life = 0;           // Counts its starts.
  bool stalled = false;
  absl::Time tick_at = absl::InfiniteFuture();
  std::vector<std::function<void(Swim&)>> waiting;  // Inputs that came while it was stalled.
};

SwimSim::SwimSim(const SimOptions& options)
    : passes([](size_t, size_t) { return true; }),
      packets_pass([](size_t, size_t) { return true; }),
      options_(options),
      random_(options.seed) {
  for (size_t i = 0; i < options.nodes; ++i) nodes_.push_back(std::make_unique<Node>(*this, i));
  for (size_t i = 0; i < options.nodes; ++i) Start(i);
}

SwimSim::~SwimSim() = default;

void SwimSim::Start(size_t node) {
  Node& started = *nodes_[node];
  ++started.life;
  started.tick_at = absl::InfiniteFuture();
  started.swim = std::make_unique<Swim>(SwimOptions{.name = NameOf(node),
                                                    .address = AddressOf(node),
                                                    .meta = {},
                                                    .versions = {},
                                                    .profile = options_.profile},
                                        started, random_.Next(), now_);
  Flush(node);
}

void SwimSim::At(absl::Time time, std::function<void()> run) {
  actions_.push({time, next_order_++, std::move(run)});
}

absl::Duration SwimSim::Delay() {
  const absl::Duration range = options_.delay_max - options_.delay_min;
  return options_.delay_min + range * (static_cast<double>(random_.Next() >> 11) * 0x1p-53);
}

void SwimSim::Flush(size_t node) {
  SwimOutputs outputs = nodes_[node]->swim->TakeOutputs();
  for (const SendPacket& packet : outputs.packets) Transmit(node, packet);
  for (const Dial& dial : outputs.dials) Connect(node, dial);
  ScheduleTick(node);
}

void SwimSim::ScheduleTick(size_t node) {
  Node& ticked = *nodes_[node];
  const absl::Time due = std::max(now_, ticked.swim->next_deadline());
  if (due >= ticked.tick_at) return;
  ticked.tick_at = due;
  At(due, [this, node, due, life = ticked.life] {
    Node& at = *nodes_[node];
    if (at.life != life || at.tick_at != due) return;
    at.tick_at = absl::InfiniteFuture();
    if (at.swim == nullptr || at.stalled) return;
    at.swim->Tick(now_);
    Flush(node);
  });
}

void SwimSim::Deliver(size_t to, const std::function<void(Swim&)>& input) {
  Node& node = *nodes_[to];
  if (node.swim == nullptr) return;
  if (node.stalled) {
    node.waiting.push_back(input);
    return;
  }
  input(*node.swim);
  Flush(to);
}

void SwimSim::Transmit(size_t from, const SendPacket& packet) {
  const size_t to = NodeAt(packet.to);
  ++packets_;
  octets_ += packet.message.size();
  const bool lost = static_cast<double>(random_.Next() >> 11) * 0x1p-53 < options_.loss;
  if (lost || to >= nodes_.size() || !passes(from, to) || !packets_pass(from, to)) return;
  At(now_ + Delay(), [this, from, to, message = packet.message] {
    Deliver(to, [this, from, message](Swim& swim) {
      swim.Receive(AddressOf(from), AsOctets(message), now_);
    });
  });
}

// One round trip for the connection, one for question and answer; TCP makes up for loss.
void SwimSim::Connect(size_t from, const Dial& dial) {
  const size_t to = NodeAt(dial.to);
  const uint64_t life = nodes_[from]->life;
  const auto answer = [this, from, life, id = dial.id](absl::StatusOr<std::string> result) {
    if (nodes_[from]->life != life) return;
    Deliver(from, [this, id, result = std::move(result)](Swim& swim) {
      swim.OnStreamAnswer(id, result, now_);
    });
  };
  const auto answered = std::make_shared<bool>(false);
  At(now_ + dial.timeout, [answer, answered] {
    if (std::exchange(*answered, true)) return;
    answer(absl::DeadlineExceededError("timed out"));
  });
  if (to >= nodes_.size() || !passes(from, to) || !passes(to, from)) return;
  At(now_ + Delay() + Delay() + Delay(),
     [this, from, to, request = dial.request, answer, answered] {
       if (nodes_[to]->swim == nullptr) {
         if (!std::exchange(*answered, true)) answer(absl::UnavailableError("refused"));
         return;
       }
       Deliver(to, [this, from, to, request, answer, answered](Swim& swim) {
         const absl::StatusOr<std::string> reply = swim.ReceiveStream(AsOctets(request), now_);
         if (!passes(to, from)) return;
         At(now_ + Delay(), [answer, answered, reply] {
           if (!std::exchange(*answered, true)) answer(reply);
         });
       });
     });
}

void SwimSim::RunFor(absl::Duration duration) {
  const absl::Time end = now_ + duration;
  while (!actions_.empty() && actions_.top().time <= end) {
    const Action action = actions_.top();
    actions_.pop();
    now_ = action.time;
    action.run();
  }
  now_ = end;
}

bool SwimSim::RunUntil(const std::function<bool()>& done, absl::Duration at_most) {
  const absl::Time end = now_ + at_most;
  while (now_ < end) {
    if (done()) return true;
    RunFor(absl::Milliseconds(50));
  }
  return done();
}

void SwimSim::JoinAll() {
  for (size_t i = 1; i < nodes_.size(); ++i) {
    nodes_[i]->swim->Join(AddressOf(0), now_);
    Flush(i);
  }
}

void SwimSim::Introduce() {
  PushPull state;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    state.nodes.push_back({.name = NameOf(i),
                           .address = PackAddress(AddressOf(i).ip),
                           .port = AddressOf(i).port,
                           .meta = {},
                           .incarnation = 1,
                           .state = 0,
                           .versions = Versions().Pack()});
  }
  const std::string message = EncodePushPull(state);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    CHECK(nodes_[i]->swim->ReceiveStream(AsOctets(message), now_).ok());
    // Everybody knows already what they would tell.
    nodes_[i]->swim->DropBroadcasts();
    Flush(i);
  }
  events_.clear();
}

void SwimSim::Kill(size_t node) {
  nodes_[node]->swim.reset();
  nodes_[node]->waiting.clear();
  nodes_[node]->stalled = false;
}

void SwimSim::Restart(size_t node, size_t by) {
  CHECK(!running(node));
  Start(node);
  nodes_[node]->swim->Join(AddressOf(by), now_);
  Flush(node);
}

void SwimSim::SetStalled(size_t node, bool stalled) {
  Node& changed = *nodes_[node];
  changed.stalled = stalled;
  if (stalled || changed.swim == nullptr) return;
  std::vector<std::function<void(Swim&)>> waiting;
  waiting.swap(changed.waiting);
  for (const auto& input : waiting) input(*changed.swim);
  changed.swim->Tick(now_);
  Flush(node);
}

Swim& SwimSim::swim(size_t node) { return *nodes_[node]->swim; }

bool SwimSim::running(size_t node) const { return nodes_[node]->swim != nullptr; }

std::optional<NodeStatus> SwimSim::Status(size_t observer, size_t about) {
  const SwimNode* const node = nodes_[observer]->swim->Find(NameOf(about));
  if (node == nullptr) return std::nullopt;
  return node->status;
}

bool SwimSim::Converged() {
  size_t up = 0;
  for (const auto& node : nodes_) up += node->swim != nullptr ? 1 : 0;
  for (const auto& node : nodes_) {
    if (node->swim == nullptr) continue;
    if (node->swim->alive_count() != up) return false;
    bool right = true;
    node->swim->ForEachNode([&](const SwimNode& known) {
      const bool alive = known.status == NodeStatus::kAlive;
      const size_t index = NodeAt(known.address);
      right = right && alive == running(index);
    });
    if (!right) return false;
  }
  return true;
}

}  // namespace pharos::gossip
