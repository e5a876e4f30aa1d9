#include "dns/upstream_message.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dns/judge.h"
#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

QuerySecret Secret() {
  QuerySecret secret;
  secret.id = {0xbe, 0xef};
  secret.letter_case.fill(0x55);
  return secret;
}

std::vector<uint8_t> Write(const UpstreamQuery& query) {
  std::vector<uint8_t> message(kUpstreamQueryOctetsMax);
  message.resize(WriteUpstreamQuery(query, message));
  return message;
}

// "owner type ttl", which is what tells the records of these tests apart.
std::vector<std::string> Names(const std::vector<Record>& records) {
  std::vector<std::string> names;
  names.reserve(records.size());
  for (const Record& record : records) {
    names.push_back(record.owner.ToText() + " " +
                    std::to_string(static_cast<uint16_t>(record.type)) + " " +
                    std::to_string(record.ttl_s));
  }
  return names;
}

class UpstreamReplyTest : public ::testing::Test {
 protected:
  ReplyKind Read(std::vector<uint8_t> message, Transport transport = Transport::kUdp) {
    return ReadUpstreamReply(query_, transport, message, answer_);
  }
  UpstreamQuery query_ = MakeUpstreamQuery(Ask("www.example."), Secret(), true);
  UpstreamAnswer answer_;
};

TEST(UpstreamQuery, SaysWhatIsAskedAndNoMore) {
  UpstreamQuestion question = Ask("Www.Example.", RrType::kAaaa);
  question.checking_disabled = true;
  question.dnssec_ok = true;
  const auto message = Write(MakeUpstreamQuery(question, Secret(), true));
  const auto judged = Judge(message);
  ASSERT_TRUE(judged.has_value());
  EXPECT_EQ(LoadU16(message.data()), 0xbeef);
  EXPECT_EQ(judged->Status(), "NOERROR RD CD");
  EXPECT_EQ(judged->question, std::vector<std::string>{"wWw.eXaMpLe. IN AAAA"});
  EXPECT_TRUE(judged->has_edns);
  EXPECT_TRUE(judged->dnssec_ok);

  question.recursion_desired = false;
  question.checking_disabled = false;
  const auto plain = Judge(Write(MakeUpstreamQuery(question, Secret(), false)));
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->Status(), "NOERROR ");
  EXPECT_FALSE(plain->has_edns);
}

TEST(UpstreamQuery, TheLongestNameFits) {
  const std::string label(63, 'a');
  const auto message = Write(MakeUpstreamQuery(
      Ask(label + "." + label + "." + label + "." + std::string(61, 'b')), Secret(), true));
  EXPECT_EQ(message.size(), kHeaderOctets + kNameOctetsMax + 4 + 11);
  EXPECT_TRUE(Judge(message).has_value());
}

TEST(UpstreamQuery, IsPaddedToWholeBlocks) {
  for (size_t labels = 1; labels <= 127; ++labels) {
    std::string name;
    for (size_t i = 0; i < labels; ++i) name += "a.";
    UpstreamQuery query = MakeUpstreamQuery(Ask(name), Secret(), true);
    query.padded = true;
    const std::vector<uint8_t> message = Write(query);
    EXPECT_EQ(message.size() % kPaddingBlockOctets, 0u) << labels << " labels";
    EXPECT_LE(message.size(), kUpstreamQueryOctetsMax);
    const auto judged = Judge(message);
    ASSERT_TRUE(judged.has_value()) << labels << " labels";
    EXPECT_TRUE(judged->has_edns);
  }
}

TEST_F(UpstreamReplyTest, IsReadIntoRecords) {
  const auto message = MakeReply(
      Write(query_),
      {.flags = kFlagQr | kFlagAa | kFlagAd | kFlagRd,
       .answer = {"www.example. 300 IN CNAME web.example.", "web.example. 60 IN A 192.0.2.1"},
       .authority = {"example. 900 IN NS ns.example."},
       .additional = {"ns.example. 900 IN A 192.0.2.53"},
       .edns = true});
  ASSERT_EQ(Read(message), ReplyKind::kAnswer);
  EXPECT_EQ(answer_.rcode, Rcode::kNoError);
  EXPECT_TRUE(answer_.authoritative);
  EXPECT_TRUE(answer_.authentic_data);
  EXPECT_EQ(Names(answer_.answer),
            (std::vector<std::string>{"www.example. 5 300", "web.example. 1 60"}));
  EXPECT_EQ(Names(answer_.authority), std::vector<std::string>{"example. 2 900"});
  EXPECT_EQ(Names(answer_.additional), std::vector<std::string>{"ns.example. 1 900"});
  EXPECT_EQ(answer_.answer[1].rdata, (std::vector<uint8_t>{192, 0, 2, 1}));
}

TEST_F(UpstreamReplyTest, NamesInRdataAreSpelledOut) {
  const char* kTexts[] = {
      "www.example. 1 IN NS ns.www.example.",
      "www.example. 1 IN CNAME a.www.example.",
      "www.example. 1 IN SOA ns.www.example. root.www.example. 1 2 3 4 5",
      "www.example. 1 IN PTR p.www.example.",
      "www.example. 1 IN MX 10 mx.www.example.",
      "www.example. 1 IN MINFO a.www.example. b.www.example.",
      "www.example. 1 IN RP a.www.example. b.www.example.",
      "www.example. 1 IN AFSDB 1 db.www.example.",
      "www.example. 1 IN SRV 1 2 3 target.www.example.",
      "www.example. 1 IN NAPTR 1 2 \"u\" \"sip\" \"\" to.www.example.",
      "www.example. 1 IN DNAME to.www.example.",
      "www.example. 1 IN TXT \"some text\"",
  };
  for (const char* text : kTexts) {
    const Record record = MakeRecord(text);
    // The same record, with the name's end in its RDATA replaced by a pointer to the question.
    const std::string spelled(AsText(query_.spelled.wire()));
    const std::string lower(AsText(query_.question.qname.wire()));
    std::string rdata(AsText(record.rdata));
    for (size_t at; (at = rdata.find(lower)) != std::string::npos;) {
      rdata.replace(at, lower.size(), "\xc0\x0c");
    }
    std::vector<uint8_t> message = MakeReply(Write(query_), {});
    StoreU16(&message[6], 1);
    const uint16_t type = static_cast<uint16_t>(record.type);
    const uint8_t fixed[] = {
        0xc0, 12, static_cast<uint8_t>(type >> 8),   static_cast<uint8_t>(type), 0, 1, 0, 0, 0,
        1,    0,  static_cast<uint8_t>(rdata.size())};
    message.insert(message.end(), std::begin(fixed), std::end(fixed));
    message.insert(message.end(), rdata.begin(), rdata.end());

    ASSERT_EQ(Read(message), ReplyKind::kAnswer) << text;
    ASSERT_EQ(answer_.answer.size(), 1u) << text;
    // Also, our letter case does not show.
    EXPECT_EQ(answer_.answer[0].rdata, record.rdata) << text;
    EXPECT_EQ(answer_.answer[0].owner.ToText(), "www.example.") << text;

    message.back() ^= 0x80;  // The record's end no longer makes sense, unless it is plain text.
    EXPECT_EQ(Read(message), record.type == RrType::kTxt || record.type == RrType::kSoa
                                 ? ReplyKind::kAnswer
                                 : ReplyKind::kMalformed)
        << text;
  }
}

TEST_F(UpstreamReplyTest, OnlyTheReplyToOurQueryCounts) {
  const std::vector<uint8_t> good =
      MakeReply(Write(query_), {.answer = {"www.example. 300 IN A 192.0.2.1"}});
  const size_t type_at = kHeaderOctets + query_.spelled.size();
  const struct {
    std::string_view shows;
    size_t at;
    uint8_t value;
    ReplyKind udp, tcp;
  } kRows[] = {
      {"as it is", 0, good[0], ReplyKind::kAnswer, ReplyKind::kAnswer},
      {"another id", 0, 0x12, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"a query", 2, 0x01, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"opcode NOTIFY", 2, 0xa1, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"TC", 2, 0x83, ReplyKind::kTruncated, ReplyKind::kAnswer},
      {"no question", 5, 0, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"two questions", 5, 2, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"another letter case", 13, 'W', ReplyKind::kWrongCase, ReplyKind::kAnswer},
      {"another name", 13, 'x', ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"another type", type_at + 1, 28, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"another class", type_at + 3, 3, ReplyKind::kMismatch, ReplyKind::kMismatch},
      {"a record that is not there", 7, 2, ReplyKind::kMalformed, ReplyKind::kMalformed},
      {"more records than we take", 6, 0xff, ReplyKind::kMalformed, ReplyKind::kMalformed},
  };
  ASSERT_EQ(query_.spelled.ToText()[0], 'w');
  for (const auto& row : kRows) {
    std::vector<uint8_t> message = good;
    message[row.at] = row.value;
    EXPECT_EQ(Read(message, Transport::kUdp), row.udp) << row.shows;
    EXPECT_EQ(Read(message, Transport::kTcp), row.tcp) << row.shows;
  }
  for (size_t octets = 0; octets < good.size(); ++octets) {
    const std::vector<uint8_t> cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(octets));
    EXPECT_EQ(Read(cut), octets < type_at + 4 ? ReplyKind::kMismatch : ReplyKind::kMalformed)
        << octets;
  }
}

TEST_F(UpstreamReplyTest, AnErrorMayComeWithoutQuestion) {
  EXPECT_EQ(Read({0xbe, 0xef, 0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0}), ReplyKind::kAnswer);
  EXPECT_EQ(answer_.rcode, Rcode::kFormErr);
  EXPECT_EQ(Read({0xbe, 0xef, 0x80, 0x00, 0, 0, 0, 0, 0, 0, 0, 0}), ReplyKind::kMismatch);
}

TEST_F(UpstreamReplyTest, ExtendedRcodeIsCombined) {
  ASSERT_EQ(Read(MakeReply(Write(query_), {.edns = true, .extended_rcode = 1})),
            ReplyKind::kAnswer);
  EXPECT_EQ(answer_.rcode, Rcode::kBadVers);
  EXPECT_TRUE(answer_.additional.empty());
}

TEST_F(UpstreamReplyTest, ATtlWithItsHighestBitSetIsZero) {
  ASSERT_EQ(Read(MakeReply(Write(query_), {.answer = {"www.example. 2147483648 IN A 192.0.2.1"}})),
            ReplyKind::kAnswer);
  EXPECT_EQ(answer_.answer.at(0).ttl_s, 0u);
}

TEST_F(UpstreamReplyTest, AnAddressHasTheLengthOfItsFamily) {
  std::vector<uint8_t> message =
      MakeReply(Write(query_), {.answer = {"www.example. 300 IN A 192.0.2.1"}});
  message.push_back(9);
  message[message.size() - 6] = 5;  // RDLENGTH.
  EXPECT_EQ(Read(message), ReplyKind::kMalformed);
}

TEST(KeepChain, KeepsWhatTheQuestionLeadsTo) {
  const struct {
    std::string_view shows;
    std::vector<std::string> records;
    std::vector<std::string> want;
  } kRows[] = {
      {"the name itself, any letter case", {"WWW.example. 1 IN A 192.0.2.1"}, {"WWW.example. 1 1"}},
      {"another name's record is dropped",
       {"www.example. 1 IN A 192.0.2.1", "bank.example. 1 IN A 192.0.2.66"},
       {"www.example. 1 1"}},
      {"a chain in any order",
       {"c.example. 1 IN A 192.0.2.1", "b.example. 1 IN CNAME c.example.",
        "www.example. 1 IN CNAME b.example."},
       {"c.example. 1 1", "b.example. 5 1", "www.example. 5 1"}},
      {"a loop ends",
       {"www.example. 1 IN CNAME b.example.", "b.example. 1 IN CNAME www.example."},
       {"www.example. 5 1", "b.example. 5 1"}},
      {"a DNAME above leads on (RFC 6672)",
       {"example. 1 IN DNAME example.org.", "www.example.org. 1 IN A 192.0.2.1",
        "x.example.org. 1 IN A 192.0.2.66"},
       {"example. 39 1", "www.example.org. 1 1"}},
      {"a DNAME elsewhere does not",
       {"ample. 1 IN DNAME example.org.", "www.example.org. 1 IN A 192.0.2.66"},
       {}},
  };
  for (const auto& row : kRows) {
    std::vector<Record> records;
    for (const std::string& text : row.records) records.push_back(MakeRecord(text));
    KeepChain(*Name::FromText("www.example."), records);
    EXPECT_EQ(Names(records), row.want) << row.shows;
  }
}

TEST(KeepChain, BoundsTheChain) {
  std::vector<Record> records;
  for (size_t i = 0; i < 2 * kChainNamesMax; ++i) {
    records.push_back(
        MakeRecord("n" + std::to_string(i) + ". 1 IN CNAME n" + std::to_string(i + 1) + "."));
  }
  KeepChain(*Name::FromText("n0."), records);
  EXPECT_EQ(records.size(), kChainNamesMax);
}

}  // namespace
}  // namespace pharos::dns
