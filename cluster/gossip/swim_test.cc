#include "cluster/gossip/swim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/gossip/packet.h"

namespace pharos::gossip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const SocketAddress kSelf{IpAddress::V4({10, 0, 0, 1}), 7946};
const SocketAddress kBeta{IpAddress::V4({10, 0, 0, 2}), 7946};
const SocketAddress kGamma{IpAddress::V4({10, 0, 0, 3}), 7946};
const SocketAddress kElsewhere{IpAddress::V4({10, 9, 9, 9}), 1234};

class Recorder : public SwimDelegate {
 public:
  std::string WhyNotAdmitted(const Alive& claim) override {
    return claim.meta == "refuse me" ? "not here" : "";
  }
  std::string WhyNotMerged(std::span<const NodeState>) override { return {}; }
  bool IsSameNode(const SwimNode& known, const Alive& claim) override {
    return known.meta.starts_with("id") && known.meta == claim.meta;
  }
  void OnJoin(const SwimNode& node, absl::Time) override { said.push_back("join " + node.name); }
  void OnUpdate(const SwimNode& node, absl::Time) override {
    said.push_back("update " + node.name);
  }
  void OnLeave(const SwimNode& node, absl::Time) override {
    said.push_back((node.status == NodeStatus::kLeft ? "left " : "dead ") + node.name);
  }
  void OnForgotten(const std::string& name) override { said.push_back("forgotten " + name); }
  void OnConflict(const SwimNode& known, const Alive&, absl::Time) override {
    said.push_back("conflict " + known.name);
  }
  void OnUserMessage(Octets message, absl::Time) override {
    said.push_back("user " + std::string(AsText(message)));
  }
  std::string LocalState(bool) override { return "state"; }
  void MergeRemoteState(Octets state, bool, absl::Time) override {
    said.push_back("merge " + std::string(AsText(state)));
  }
  std::string AckPayload() override { return "payload"; }
  void OnRoundTrip(const SwimNode& node, absl::Duration, std::string_view payload) override {
    said.push_back("ack " + node.name + " " + std::string(payload));
  }
  void TakeBroadcasts(size_t, std::vector<std::string>&) override {}
  void OnExchanged(uint64_t, const absl::Status& status, absl::Time) override {
    said.push_back("exchanged " + std::string(status.message()));
  }

  std::vector<std::string> Said() { return std::exchange(said, {}); }
  std::vector<std::string> said;
};

// One node among others that the test plays.
class SwimTest : public testing::Test {
 protected:
  SwimTest() {
    delegate_.Said();
    Outputs();
  }

  static Alive AliveOf(const std::string& name, const SocketAddress& address,
                       uint32_t incarnation = 1, const std::string& meta = "") {
    return {.incarnation = incarnation,
            .node = name,
            .address = PackAddress(address.ip),
            .port = address.port,
            .meta = meta,
            .versions = Versions().Pack()};
  }

  template <typename T>
  void Receive(MessageType type, const T& record, const SocketAddress& from = kBeta) {
    swim_.Receive(from, AsOctets(EncodeMessage(type, record)), now_);
  }
  void AddBeta() {
    Receive(MessageType::kAlive, AliveOf("beta", kBeta));
    delegate_.Said();
    Outputs();
  }

  // Lets time pass with each timer at its time, keeping what is to be done.
  void Pass(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (swim_.next_deadline() <= end) {
      now_ = std::max(now_, swim_.next_deadline());
      swim_.Tick(now_);
    }
    now_ = end;
  }
  SwimOutputs Outputs() { return swim_.TakeOutputs(); }

  // Of all that is to be sent, the messages of one type.
  template <typename T>
  static std::vector<T> Sent(const SwimOutputs& outputs, MessageType type,
                             std::vector<SocketAddress>* to = nullptr) {
    std::vector<T> sent;
    for (const SendPacket& packet : outputs.packets) {
      ForEachMessage(AsOctets(packet.message), [&](Octets message) {
        if (message[0] != static_cast<uint8_t>(type)) return;
        sent.push_back(*DecodeRecord<T>(message.subspan(1)));
        if (to != nullptr) to->push_back(packet.to);
      });
    }
    return sent;
  }
  // The ping that a probe begins with.
  Ping NextProbe() {
    for (int i = 0; i < 40; ++i) {
      Pass(absl::Milliseconds(50));
      const auto pings = Sent<Ping>(Outputs(), MessageType::kPing);
      if (!pings.empty()) return pings[0];
    }
    ADD_FAILURE() << "no probe";
    return {};
  }
  NodeStatus StatusOf(const std::string& name) { return swim_.Find(name)->status; }

  absl::Time now_ = absl::UnixEpoch();
  Recorder delegate_;
  Swim swim_{{.name = "self", .address = kSelf, .meta = {}, .versions = {}, .profile = {}},
             delegate_,
             1,
             now_};
};

TEST_F(SwimTest, AnswersPingsToTheAddressInThem) {
  Receive(MessageType::kPing,
          Ping{.sequence = 7,
               .node = "self",
               .source_address = PackAddress(kBeta.ip),
               .source_port = kBeta.port,
               .source_node = "beta"},
          kElsewhere);
  Receive(
      MessageType::kPing,
      Ping{.sequence = 8, .node = "", .source_address = "", .source_port = 0, .source_node = ""},
      kElsewhere);
  std::vector<SocketAddress> to;
  const auto acks = Sent<Ack>(Outputs(), MessageType::kAck, &to);
  ASSERT_EQ(acks.size(), 2u);
  EXPECT_EQ(acks[0].sequence, 7u);
  EXPECT_EQ(acks[0].payload, "payload");
  EXPECT_THAT(to, ElementsAre(kBeta, kElsewhere));
}

TEST_F(SwimTest, DoesNotAnswerPingsForOthers) {
  Receive(MessageType::kPing, Ping{.sequence = 7,
                                   .node = "beta",
                                   .source_address = "",
                                   .source_port = 0,
                                   .source_node = ""});
  EXPECT_THAT(Outputs().packets, IsEmpty());
}

TEST_F(SwimTest, PingsForOthersAndTellsThemWhatCame) {
  const IndirectPing asked{.sequence = 70,
                           .target = PackAddress(kGamma.ip),
                           .port = kGamma.port,
                           .node = "gamma",
                           .nack = true,
                           .source_address = PackAddress(kBeta.ip),
                           .source_port = kBeta.port,
                           .source_node = "beta"};
  Receive(MessageType::kIndirectPing, asked);
  std::vector<SocketAddress> to;
  auto pings = Sent<Ping>(Outputs(), MessageType::kPing, &to);
  ASSERT_EQ(pings.size(), 1u);
  EXPECT_EQ(pings[0].node, "gamma");
  EXPECT_THAT(to, ElementsAre(kGamma));
  Receive(MessageType::kAck, Ack{.sequence = pings[0].sequence, .payload = "theirs"}, kGamma);
  to.clear();
  const auto acks = Sent<Ack>(Outputs(), MessageType::kAck, &to);
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].sequence, 70u);
  EXPECT_EQ(acks[0].payload, "");
  EXPECT_THAT(to, ElementsAre(kBeta));
  Pass(absl::Seconds(1));
  EXPECT_THAT(Sent<Nack>(Outputs(), MessageType::kNack), IsEmpty());

  Receive(MessageType::kIndirectPing, asked);
  Pass(absl::Milliseconds(499));
  EXPECT_THAT(Sent<Nack>(Outputs(), MessageType::kNack), IsEmpty());
  Pass(absl::Milliseconds(1));
  const auto nacks = Sent<Nack>(Outputs(), MessageType::kNack);
  ASSERT_EQ(nacks.size(), 1u);
  EXPECT_EQ(nacks[0].sequence, 70u);
}

TEST_F(SwimTest, BoundsThePingsForOthers) {
  for (size_t i = 0; i < Swim::kRelaysMax + 10; ++i) {
    Receive(MessageType::kIndirectPing, IndirectPing{.sequence = 1,
                                                     .target = PackAddress(kGamma.ip),
                                                     .port = 1,
                                                     .node = "gamma",
                                                     .source_address = "",
                                                     .source_port = 0,
                                                     .source_node = ""});
  }
  EXPECT_EQ(swim_.counters().relays_refused, 10u);
}

TEST_F(SwimTest, KeepsANodeAliveThatAnswers) {
  AddBeta();
  for (int i = 0; i < 20; ++i) {
    const Ping ping = NextProbe();
    EXPECT_EQ(ping.node, "beta");
    Receive(MessageType::kAck, Ack{.sequence = ping.sequence, .payload = "p"});
  }
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kAlive);
  EXPECT_EQ(delegate_.said.size(), 20u);
  EXPECT_EQ(delegate_.said[0], "ack beta p");
  EXPECT_EQ(swim_.health_score(), 0);
}

TEST_F(SwimTest, TakesASilentNodeForDeadAfterProbeAndSuspicion) {
  AddBeta();
  NextProbe();
  const absl::Time probed = now_;
  Pass(absl::Milliseconds(900));
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kAlive);
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kSuspect);
  EXPECT_EQ(swim_.health_score(), 1);
  while (StatusOf("beta") == NodeStatus::kSuspect) Pass(absl::Milliseconds(10));
  EXPECT_NEAR(absl::ToDoubleSeconds(now_ - probed), 5.0, 0.1);
  EXPECT_THAT(delegate_.said, ElementsAre("dead beta"));
}

TEST_F(SwimTest, AsksOthersAndTcpBeforeItAccuses) {
  AddBeta();
  Receive(MessageType::kAlive, AliveOf("gamma", kGamma));
  Outputs();
  const Ping ping = NextProbe();
  const SocketAddress target = ping.node == "beta" ? kBeta : kGamma;
  Pass(absl::Milliseconds(500));
  const SwimOutputs outputs = Outputs();
  std::vector<SocketAddress> to;
  const auto indirect = Sent<IndirectPing>(outputs, MessageType::kIndirectPing, &to);
  ASSERT_EQ(indirect.size(), 1u);
  EXPECT_EQ(indirect[0].sequence, ping.sequence);
  EXPECT_EQ(indirect[0].target, PackAddress(target.ip));
  EXPECT_TRUE(indirect[0].nack);
  EXPECT_NE(to[0], target);
  ASSERT_EQ(outputs.dials.size(), 1u);
  EXPECT_EQ(outputs.dials[0].to, target);
  swim_.OnStreamAnswer(
      outputs.dials[0].id,
      EncodeMessage(MessageType::kAck, Ack{.sequence = ping.sequence, .payload = ""}), now_);
  Pass(absl::Milliseconds(600));
  EXPECT_EQ(StatusOf(ping.node), NodeStatus::kAlive);
  EXPECT_EQ(swim_.counters().tcp_only, 1u);
  EXPECT_EQ(swim_.health_score(), 0);
}

TEST_F(SwimTest, BlamesItselfWhereHelpersDoNotEvenSendNacks) {
  AddBeta();
  for (int i = 0; i < 5; ++i) {
    Receive(MessageType::kAlive, AliveOf("n" + std::to_string(i), kGamma));
  }
  Outputs();
  const Ping ping = NextProbe();
  Pass(absl::Milliseconds(500));
  Receive(MessageType::kNack, Nack{.sequence = ping.sequence});
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(swim_.health_score(), 2) << "three were asked, one answered";
}

TEST_F(SwimTest, PingsASuspectWithTheAccusation) {
  AddBeta();
  Receive(MessageType::kSuspect, Suspect{.incarnation = 1, .node = "beta", .from = "gamma"});
  Outputs();
  SwimOutputs outputs;
  for (int i = 0; i < 40 && Sent<Ping>(outputs, MessageType::kPing).empty(); ++i) {
    Pass(absl::Milliseconds(50));
    outputs = Outputs();
  }
  bool together = false;
  for (const SendPacket& packet : outputs.packets) {
    std::vector<uint8_t> types;
    ForEachMessage(AsOctets(packet.message), [&](Octets message) { types.push_back(message[0]); });
    together = together || types == std::vector<uint8_t>{0, 3};
    if (types == std::vector<uint8_t>{0, 3}) {
      EXPECT_TRUE(packet.with_crc);
    }
  }
  EXPECT_TRUE(together);
}

TEST_F(SwimTest, RefutesWhatIsSaidOfItself) {
  Receive(MessageType::kSuspect, Suspect{.incarnation = 4, .node = "self", .from = "beta"});
  EXPECT_EQ(swim_.self().incarnation, 5u);
  Receive(MessageType::kDead, Dead{.incarnation = 5, .node = "self", .from = "beta"});
  EXPECT_EQ(swim_.self().incarnation, 6u);
  Receive(MessageType::kSuspect, Suspect{.incarnation = 5, .node = "self", .from = "beta"});
  EXPECT_EQ(swim_.self().incarnation, 6u) << "old news";
  EXPECT_EQ(StatusOf("self"), NodeStatus::kAlive);
  EXPECT_EQ(swim_.health_score(), 2);
  EXPECT_EQ(swim_.accusations().at({"beta", "self"}), 2u);
}

// After a restart others still know a higher incarnation.
TEST_F(SwimTest, GoesBeyondItsEarlierLife) {
  Receive(MessageType::kAlive, AliveOf("self", kSelf, 9, "before"));
  EXPECT_EQ(swim_.self().incarnation, 10u);
  EXPECT_EQ(swim_.self().meta, "");
}

TEST_F(SwimTest, KnowsWhoLeftFromWhoFailed) {
  AddBeta();
  Receive(MessageType::kAlive, AliveOf("gamma", kGamma));
  Receive(MessageType::kDead, Dead{.incarnation = 1, .node = "beta", .from = "beta"});
  Receive(MessageType::kDead, Dead{.incarnation = 1, .node = "gamma", .from = "beta"});
  EXPECT_THAT(delegate_.Said(), ElementsAre("join gamma", "left beta", "dead gamma"));
  Receive(MessageType::kAlive, AliveOf("gamma", kGamma, 1));
  EXPECT_THAT(delegate_.Said(), IsEmpty()) << "an old incarnation";
  Receive(MessageType::kAlive, AliveOf("gamma", kGamma, 2));
  EXPECT_THAT(delegate_.Said(), ElementsAre("join gamma"));
}

TEST_F(SwimTest, DoesNotRefuteOnceItLeaves) {
  AddBeta();
  const uint64_t id = swim_.Leave(now_);
  Receive(MessageType::kSuspect, Suspect{.incarnation = 1, .node = "self", .from = "beta"});
  Receive(MessageType::kAlive, AliveOf("self", kSelf, 7));
  EXPECT_EQ(swim_.self().incarnation, 1u);
  EXPECT_FALSE(swim_.IsBroadcast(id));
  Pass(absl::Seconds(2));
  EXPECT_TRUE(swim_.IsBroadcast(id));
  const auto dead = Sent<Dead>(Outputs(), MessageType::kDead);
  ASSERT_FALSE(dead.empty());
  EXPECT_EQ(dead[0].from, "self");
}

TEST_F(SwimTest, TakesTheDeadOfAnotherForSuspects) {
  AddBeta();
  PushPull state{.join = true, .nodes = {}, .user_state = "theirs"};
  state.nodes.push_back({.name = "beta",
                         .address = PackAddress(kBeta.ip),
                         .port = kBeta.port,
                         .meta = {},
                         .incarnation = 1,
                         .state = 2,
                         .versions = Versions().Pack()});
  const absl::StatusOr<std::string> answer =
      swim_.ReceiveStream(AsOctets(EncodePushPull(state)), now_);
  ASSERT_TRUE(answer.ok());
  const std::optional<PushPull> ours = DecodePushPull(AsOctets(*answer));
  ASSERT_TRUE(ours.has_value());
  EXPECT_TRUE(ours->join);
  EXPECT_EQ(ours->user_state, "state");
  ASSERT_EQ(ours->nodes.size(), 2u);
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kSuspect);
  EXPECT_THAT(delegate_.said, ElementsAre("merge theirs"));
}

TEST_F(SwimTest, RefusesToMergeWhatSpeaksAnotherVersion) {
  PushPull state;
  state.nodes.push_back({.name = "old",
                         .address = PackAddress(kBeta.ip),
                         .port = kBeta.port,
                         .meta = {},
                         .incarnation = 1,
                         .state = 0,
                         .versions = Versions{.protocol_min = 1, .protocol_max = 1}.Pack()});
  ASSERT_TRUE(swim_.ReceiveStream(AsOctets(EncodePushPull(state)), now_).ok());
  EXPECT_EQ(swim_.Find("old"), nullptr);
  EXPECT_EQ(swim_.counters().exchanges_refused, 1u);
}

TEST_F(SwimTest, TellsOfTwoNodesWithOneName) {
  AddBeta();
  Receive(MessageType::kAlive, AliveOf("beta", kElsewhere, 5));
  EXPECT_THAT(delegate_.Said(), ElementsAre("conflict beta"));
  EXPECT_EQ(swim_.Find("beta")->address, kBeta);
  Receive(MessageType::kAlive, AliveOf("self", kElsewhere, 5));
  EXPECT_THAT(delegate_.Said(), ElementsAre("conflict self"));
  EXPECT_EQ(swim_.self().address, kSelf);
}

TEST_F(SwimTest, AcceptsANewAddressOfAKnownNode) {
  const struct {
    const char* shows;
    const char* meta;
    bool dead;
    absl::Duration later;
    bool want;
  } kRows[] = {
      {"alive, the same id", "id 1", false, absl::ZeroDuration(), true},
      {"alive, no id", "", false, absl::ZeroDuration(), false},
      {"dead, the same id", "id 1", true, absl::ZeroDuration(), true},
      {"dead, no id, too early", "", true, absl::Seconds(29), false},
      {"dead, no id, late enough", "", true, absl::Seconds(29) + absl::Milliseconds(1500), true},
  };
  int number = 0;
  for (const auto& row : kRows) {
    const std::string name = "n" + std::to_string(number++);
    Receive(MessageType::kAlive, AliveOf(name, kBeta, 1, row.meta));
    if (row.dead) Receive(MessageType::kDead, Dead{.incarnation = 1, .node = name, .from = "x"});
    now_ += row.later;  // As if nothing was due; forgetting would hide what is asked here.
    Receive(MessageType::kAlive, AliveOf(name, kElsewhere, 2, row.meta));
    EXPECT_EQ(swim_.Find(name)->address == kElsewhere, row.want) << row.shows;
  }
}

TEST_F(SwimTest, RefusesWhoMayNotBeHere) {
  Receive(MessageType::kAlive, AliveOf("beta", kBeta, 1, "refuse me"));
  Alive bad = AliveOf("gamma", kGamma);
  bad.versions = std::string(6, '\0');
  Receive(MessageType::kAlive, bad);
  bad.versions = "";
  Receive(MessageType::kAlive, bad);
  EXPECT_EQ(swim_.node_count(), 1u);
}

TEST_F(SwimTest, ForgetsTheDeadInTime) {
  AddBeta();
  Receive(MessageType::kAlive, AliveOf("gamma", kGamma));
  Receive(MessageType::kDead, Dead{.incarnation = 1, .node = "gamma", .from = "beta"});
  delegate_.Said();
  for (int i = 0; i < 26; ++i) {
    const Ping ping = NextProbe();
    Receive(MessageType::kAck, Ack{.sequence = ping.sequence, .payload = ""});
  }
  EXPECT_NE(swim_.Find("gamma"), nullptr) << now_ - absl::UnixEpoch();
  for (int i = 0; i < 6; ++i) {
    const Ping ping = NextProbe();
    Receive(MessageType::kAck, Ack{.sequence = ping.sequence, .payload = ""});
  }
  EXPECT_EQ(swim_.Find("gamma"), nullptr);
  EXPECT_THAT(delegate_.said, testing::Contains("forgotten gamma"));
}

TEST_F(SwimTest, AccusesNobodyForTheTimeThatItDidNotRun) {
  AddBeta();
  const Ping ping = NextProbe();
  now_ += absl::Seconds(20);
  swim_.Tick(now_);
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kAlive);
  EXPECT_EQ(swim_.counters().stalls, 1u);
  EXPECT_GE(swim_.health_score(), 1);
  Receive(MessageType::kAck, Ack{.sequence = ping.sequence, .payload = ""});
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kAlive);

  // Nor is a node that others accuse dead at once.
  Receive(MessageType::kSuspect, Suspect{.incarnation = 1, .node = "beta", .from = "gamma"});
  now_ += absl::Seconds(20);
  swim_.Tick(now_);
  EXPECT_EQ(StatusOf("beta"), NodeStatus::kSuspect);
}

TEST_F(SwimTest, SpreadsNewMetadata) {
  AddBeta();
  swim_.SetMeta("new", now_);
  Pass(absl::Milliseconds(500));
  const auto alive = Sent<Alive>(Outputs(), MessageType::kAlive);
  ASSERT_FALSE(alive.empty());
  EXPECT_EQ(alive[0].meta, "new");
  EXPECT_EQ(alive[0].incarnation, 2u);
  EXPECT_THAT(delegate_.said, ElementsAre("update self"));
}

TEST_F(SwimTest, JoinsByAnExchange) {
  swim_.Join(kBeta, now_);
  SwimOutputs outputs = Outputs();
  ASSERT_EQ(outputs.dials.size(), 1u);
  EXPECT_EQ(outputs.dials[0].to, kBeta);
  PushPull answer{.join = true, .nodes = {}, .user_state = {}};
  answer.nodes.push_back({.name = "beta",
                          .address = PackAddress(kBeta.ip),
                          .port = kBeta.port,
                          .meta = {},
                          .incarnation = 3,
                          .state = 0,
                          .versions = Versions().Pack()});
  swim_.OnStreamAnswer(outputs.dials[0].id, EncodePushPull(answer), now_);
  EXPECT_THAT(delegate_.Said(), ElementsAre("join beta", "exchanged "));
  swim_.Join(kBeta, now_);
  outputs = Outputs();
  swim_.OnStreamAnswer(outputs.dials[0].id,
                       EncodeMessage(MessageType::kError, StreamError{.error = "go away"}), now_);
  swim_.Join(kBeta, now_);
  outputs = Outputs();
  swim_.OnStreamAnswer(outputs.dials[0].id, absl::UnavailableError("refused"), now_);
  EXPECT_THAT(delegate_.Said(),
              ElementsAre("exchanged the other node refused: go away", "exchanged refused"));
}

TEST_F(SwimTest, SurvivesEveryPacketOfOneOrTwoOctets) {
  for (int first = 0; first < 256; ++first) {
    for (int second = -1; second < 256; ++second) {
      std::string packet(1, static_cast<char>(first));
      if (second >= 0) packet.push_back(static_cast<char>(second));
      swim_.Receive(kBeta, AsOctets(packet), now_);
      if (!swim_.ReceiveStream(AsOctets(packet), now_).ok()) Outputs();
    }
  }
  EXPECT_EQ(swim_.node_count(), 1u);
  EXPECT_GT(swim_.counters().messages_malformed, 0u);
}

}  // namespace
}  // namespace pharos::gossip
