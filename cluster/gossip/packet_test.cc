#include "cluster/gossip/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/gossip/stream.h"

namespace pharos::gossip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Messages(const std::string& packet, bool good = true) {
  std::vector<std::string> messages;
  EXPECT_EQ(ForEachMessage(AsOctets(packet),
                           [&](Octets message) { messages.emplace_back(AsText(message)); }),
            good);
  return messages;
}

TEST(Packet, GoesThroughItsLayersAndBack) {
  const Keyring ring({std::string(32, 'k')});
  Security keyed{.keyring = &ring}, labelled{.label = "blue"},
      both{.keyring = &ring, .label = "blue"};
  const std::vector<std::string> parts = {
      "\x02"
      "a",
      std::string("\x04") + std::string(300, 'b')};
  const std::string compound = MakeCompound(parts);
  for (const Security* security :
       std::initializer_list<const Security*>{&keyed, &labelled, &both}) {
    for (const bool with_crc : {false, true}) {
      const std::string packet = SealPacket(AsOctets(compound), with_crc, Nonce{}, *security);
      EXPECT_LT(packet.size(), compound.size()) << "compressed";
      const absl::StatusOr<std::string> opened = OpenPacket(AsOctets(packet), *security);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ(Messages(*opened), parts);
    }
  }
}

TEST(Packet, WithAnotherCrcIsDropped) {
  std::string packet = SealPacket(AsOctets("\x02"
                                           "ack"),
                                  true, Nonce{}, Security{});
  EXPECT_THAT(Messages(packet), ElementsAre("\x02"
                                            "ack"));
  packet.back() ^= 1;
  EXPECT_THAT(Messages(packet, false), IsEmpty());
}

// memberlist 0.2.2 dies of this packet.
TEST(Packet, OfACompoundThatIsTooShortForItsCountIsHarmless) {
  for (int count = 1; count < 256; ++count) {
    std::string packet = {7, static_cast<char>(count)};
    EXPECT_THAT(Messages(packet, false), IsEmpty());
    packet += std::string(static_cast<size_t>(2 * count % 256), '\0');
    Messages(packet, false);
  }
}

TEST(Packet, ThatIsCutOffStillGivesItsWholeParts) {
  const std::string compound = MakeCompound(std::vector<std::string>{"\x02one", "\x02two"});
  EXPECT_THAT(Messages(compound.substr(0, compound.size() - 1), false), ElementsAre("\x02one"));
}

TEST(Packet, NestedTooDeepOrTooLongIsDropped) {
  std::string packet =
      "\x02"
      "x";
  for (int i = 0; i < 3; ++i) packet = MakeCompound(std::vector<std::string>{packet});
  EXPECT_THAT(Messages(packet), ElementsAre("\x02x"));
  packet = MakeCompound(std::vector<std::string>{packet});
  EXPECT_THAT(Messages(packet, false), IsEmpty());
  const std::string bomb((1 << 20) + 1, 'x');
  EXPECT_THAT(Messages(Compress(AsOctets(bomb)), false), IsEmpty());
}

TEST(OpenPacket, WantsTheLabelThatIsConfiguredAndNoOther) {
  const std::string plain =
      "\x02"
      "x";
  const Security none, blue{.label = "blue"}, red{.label = "red"},
      stripped{.label = "blue", .label_is_stripped = true};
  const std::string packet = SealPacket(AsOctets(plain), false, Nonce{}, blue);
  EXPECT_EQ(*OpenPacket(AsOctets(packet), blue), plain);
  EXPECT_EQ(std::string(OpenPacket(AsOctets(packet), red).status().message()),
            "the label is \"blue\"; expected \"red\"");
  EXPECT_FALSE(OpenPacket(AsOctets(packet), none).ok());
  EXPECT_FALSE(OpenPacket(AsOctets(plain), blue).ok());
  EXPECT_EQ(*OpenPacket(AsOctets(plain), stripped), plain);
}

TEST(Security, CanBeTurnedOnInAPoolThatRuns) {
  const Keyring ring({std::string(32, 'k')});
  const Security off,
      receives{.keyring = &ring, .verify_incoming = false, .verify_outgoing = false},
      sends{.keyring = &ring, .verify_incoming = false}, strict{.keyring = &ring};
  const auto passes = [](const Security& from, const Security& to) {
    const std::string packet = SealPacket(AsOctets("\x02"
                                                   "x"),
                                          false, Nonce{}, from);
    const std::string stream =
        SealStream(AsOctets("\x06\x80"), StreamSide::kDialler, Nonce{}, from);
    StreamReader reader(StreamSide::kDialler, to);
    const bool stream_passes = reader.Feed(AsOctets(stream)).ok();
    EXPECT_EQ(OpenPacket(AsOctets(packet), to).ok(), stream_passes);
    return stream_passes;
  };
  EXPECT_TRUE(passes(off, receives));
  EXPECT_TRUE(passes(receives, off));
  EXPECT_TRUE(passes(sends, receives));
  EXPECT_TRUE(passes(receives, sends));
  EXPECT_TRUE(passes(strict, sends));
  EXPECT_TRUE(passes(sends, strict));
  EXPECT_FALSE(passes(off, strict));
}

TEST(StreamReader, RefusesWhatNobodySends) {
  const Keyring ring({std::string(32, 'k')});
  const Security keyed{.keyring = &ring}, plain;
  const auto feed = [](const Security& security, const std::string& octets) {
    return std::string(
        StreamReader(StreamSide::kDialler, security).Feed(AsOctets(octets)).status().message());
  };
  EXPECT_EQ(feed(keyed, "\x06\x80"), "the stream is not encrypted, and it has to be");
  EXPECT_EQ(feed(plain, "\x0a"), "the stream is encrypted, and there is no key here");
  EXPECT_EQ(feed(keyed, "\x0a\x7f\xff\xff\xff"),
            "malformed stream: 2147483647 encrypted octets; at most 20971520 are taken");
  EXPECT_EQ(feed(keyed, std::string("\x0a\0\0\0\x02xx", 7)), "no key of ours decrypts the stream");
  EXPECT_EQ(feed(plain, "\x06\xff"), "malformed stream: push/pull");
}

}  // namespace
}  // namespace pharos::gossip
