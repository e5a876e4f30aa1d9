#include "cluster/gossip/keyring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace pharos::gossip {
namespace {

using testing::ElementsAre;

const std::string kA(32, 'a'), kB(16, 'b'), kC(24, 'c');

TEST(ParseKey, TakesThreeSizes) {
  for (const std::string& key : {kA, kB, kC}) EXPECT_EQ(*ParseKey(FormatKey(key)), key);
  EXPECT_EQ(ParseKey(FormatKey("short")).status().message(),
            "it has 5 octets; expected 16, 24 or 32");
  EXPECT_EQ(ParseKey("?").status().message(), "it is not base64");
}

TEST(Keyring, RotatesAsItIsTold) {
  Keyring ring({kA});
  EXPECT_TRUE(ring.Install(kB).ok());
  EXPECT_TRUE(ring.Install(kA).ok()) << "again";
  EXPECT_THAT(ring.keys(), ElementsAre(kA, kB));
  EXPECT_TRUE(absl::IsNotFound(ring.Use(kC)));
  EXPECT_TRUE(ring.Use(kB).ok());
  EXPECT_THAT(ring.keys(), ElementsAre(kB, kA));
  EXPECT_TRUE(absl::IsFailedPrecondition(ring.Remove(kB)));
  EXPECT_TRUE(ring.Remove(kC).ok()) << "not there";
  EXPECT_TRUE(ring.Remove(kA).ok());
  EXPECT_THAT(ring.keys(), ElementsAre(kB));
  EXPECT_FALSE(ring.Install("short").ok());
}

TEST(Keyring, DecryptsWithAnyKeyAndNothingElse) {
  const std::array<uint8_t, kNonceOctets> nonce = {1, 2, 3};
  for (const auto version : {EncryptionVersion::kPlain, EncryptionVersion::kPadded}) {
    for (const std::string plain : {"", "sixteen octets..", "more than sixteen octets"}) {
      const std::string blob =
          Keyring({kB}).Encrypt(version, nonce, AsOctets(plain), AsOctets("label"));
      EXPECT_EQ(Keyring({kA, kB, kC}).Decrypt(AsOctets(blob), AsOctets("label")), plain);
      EXPECT_EQ(Keyring({kA, kC}).Decrypt(AsOctets(blob), AsOctets("label")), std::nullopt);
      EXPECT_EQ(Keyring({kB}).Decrypt(AsOctets(blob), AsOctets("")), std::nullopt);
      for (size_t size = 0; size < blob.size(); ++size) {
        EXPECT_EQ(Keyring({kB}).Decrypt(AsOctets(blob).first(size), AsOctets("label")),
                  std::nullopt);
      }
    }
  }
}

}  // namespace
}  // namespace pharos::gossip
