#include "cluster/gossip/msgpack.h"

#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/escaping.h"

namespace pharos::gossip {
namespace {

std::string Octet(std::initializer_list<int> octets) {
  std::string text;
  for (const int octet : octets) text.push_back(static_cast<char>(octet));
  return text;
}

TEST(Pack, WritesTheOldDialect) {
  std::string out;
  PackRaw(std::string(31, 'x'), out);
  EXPECT_EQ(out.substr(0, 1), Octet({0xbf}));
  out.clear();
  PackRaw(std::string(32, 'x'), out);
  EXPECT_EQ(out.substr(0, 3), Octet({0xda, 0, 32})) << "never str 8";
  out.clear();
  PackRaw(std::string(70'000, 'x'), out);
  EXPECT_EQ(out.substr(0, 5), Octet({0xdb, 0, 1, 0x11, 0x70}));
  out.clear();
  PackRawOrNil("", out);
  PackUint(127, out);
  PackUint(128, out);
  PackUint(256, out);
  PackInt(65536, out);
  PackInt(-1, out);
  PackDouble(2.0, out);
  PackBool(true, out);
  PackMap(16, out);
  PackList(15, out);
  EXPECT_EQ(out, Octet({0xc0, 0x7f, 0xcc, 0x80, 0xcd, 1, 0, 0xce, 0,    1,    0, 0,  0xff, 0xcb,
                        0x40, 0,    0,    0,    0,    0, 0, 0,    0xc3, 0xde, 0, 16, 0x9f}));
}

TEST(MsgPackReader, TakesEveryFormatOfANumber) {
  const struct {
    std::string octets;
    uint64_t want;
  } kRows[] = {
      {Octet({5}), 5},
      {Octet({0xcc, 5}), 5},
      {Octet({0xcd, 0, 5}), 5},
      {Octet({0xce, 0, 0, 0, 5}), 5},
      {Octet({0xcf, 0, 0, 0, 0, 0, 0, 0, 5}), 5},
      {Octet({0xd0, 5}), 5},
      {Octet({0xd1, 0, 5}), 5},
      {Octet({0xd2, 0, 0, 0, 5}), 5},
      {Octet({0xd3, 0, 0, 0, 0, 0, 0, 0, 5}), 5},
      {Octet({0xc0}), 0},
  };
  for (const auto& row : kRows) {
    MsgPackReader reader(AsOctets(row.octets));
    EXPECT_EQ(reader.Uint(255), row.want) << absl::BytesToHexString(row.octets);
    EXPECT_TRUE(reader.ok());
    MsgPackReader as_signed(AsOctets(row.octets));
    EXPECT_EQ(as_signed.Int(), static_cast<int64_t>(row.want));
    EXPECT_TRUE(as_signed.ok());
  }
  const std::string octets = Octet({0xd1, 0xff, 0xfe});
  MsgPackReader negative(AsOctets(octets));
  EXPECT_EQ(negative.Int(), -2);
}

TEST(MsgPackReader, RefusesWhatIsNoNumberOfTheRange) {
  for (const std::string& octets : {Octet({0xff}), Octet({0xd0, 0x80}), Octet({0xcd, 1, 0}),
                                    Octet({0xcb, 0, 0, 0, 0, 0, 0, 0, 0}), Octet({0xa0}),
                                    Octet({0xc3}), Octet({0xcd, 1}), Octet({})}) {
    MsgPackReader reader(AsOctets(octets));
    EXPECT_EQ(reader.Uint(255), 0u);
    EXPECT_FALSE(reader.ok()) << absl::BytesToHexString(octets);
  }
}

TEST(MsgPackReader, TakesOctetsInEveryFormat) {
  for (const std::string& octets :
       {Octet({0xa2, 'h', 'i'}), Octet({0xd9, 2, 'h', 'i'}), Octet({0xda, 0, 2, 'h', 'i'}),
        Octet({0xdb, 0, 0, 0, 2, 'h', 'i'}), Octet({0xc4, 2, 'h', 'i'}),
        Octet({0xc5, 0, 2, 'h', 'i'}), Octet({0x92, 'h', 'i'}), Octet({0x92, 0xcc, 'h', 'i'})}) {
    MsgPackReader reader(AsOctets(octets));
    EXPECT_EQ(reader.Text(), "hi") << absl::BytesToHexString(octets);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.remaining(), 0u);
  }
}

TEST(MsgPackReader, LoopsOverNoMoreThanIsThere) {
  for (const std::string& octets :
       {Octet({0xdf, 0xff, 0xff, 0xff, 0xff, 1, 1}), Octet({0xdd, 0xff, 0xff, 0xff, 0xff, 1, 1}),
        Octet({0xdb, 0xff, 0xff, 0xff, 0xff, 1, 1})}) {
    MsgPackReader map(AsOctets(octets)), list(AsOctets(octets)), raw(AsOctets(octets));
    EXPECT_EQ(map.Map(), 0u);
    EXPECT_EQ(list.List(), 0u);
    EXPECT_EQ(raw.Raw().size(), 0u);
    EXPECT_FALSE(map.ok() || list.ok() || raw.ok());
  }
}

TEST(MsgPackReader, SkipsWholeValuesAndTellsWhatIsCutOff) {
  const std::string octets =
      Octet({0x82, 0xa1, 'k', 0x92, 1, 0xc0, 0xa1, 'l', 0xc7, 2, 9, 0, 0}) + "rest";
  MsgPackReader reader(AsOctets(octets));
  reader.Skip();
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 4u);
  for (size_t size = 0; size < octets.size() - 4; ++size) {
    MsgPackReader cut(AsOctets(octets).first(size));
    cut.Skip();
    EXPECT_FALSE(cut.ok());
    EXPECT_TRUE(cut.cut_off()) << size;
  }
  const std::string deep(1000, static_cast<char>(0x91));
  MsgPackReader nested(AsOctets(deep));
  nested.Skip();
  EXPECT_FALSE(nested.ok());
  EXPECT_FALSE(nested.cut_off());
}

}  // namespace
}  // namespace pharos::gossip
