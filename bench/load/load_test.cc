#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/load/latency.h"
#include "bench/load/options.h"
#include "bench/load/pending.h"
#include "bench/load/question.h"

namespace pharos::load {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Options> Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "load");
  return ParseOptions(static_cast<int>(words.size()), words.data());
}

TEST(ParseOptions, TakesBothWaysOfGivingAValue) {
  const absl::StatusOr<Options> options =
      Parse({"-server", "127.0.0.1:53", "--rate=2.5", "-answers=0", "-type", "SRV"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->server.port, 53);
  EXPECT_EQ(options->rate, 2.5);
  EXPECT_EQ(options->answers, 0);
  EXPECT_EQ(options->type, "SRV");
  EXPECT_EQ(options->rcode, std::nullopt);
}

TEST(ParseOptions, SaysWhatIsWrong) {
  const struct {
    std::vector<const char*> words;
    const char* want;
  } kRows[] = {
      {{"-sockets", "0"}, "-sockets is \"0\"; expected a whole number from 1 to 1024"},
      {{"-sockets", "1.5"}, "expected a whole number"},
      {{"-rate", "fast"}, "-rate is \"fast\"; expected a number"},
      {{"-rate"}, "-rate is given no value"},
      {{"-speed", "1"}, "there is no option -speed"},
      {{"rate"}, "\"rate\" is given"},
      {{"-server", "nowhere"}, "\"nowhere\" is not an address"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(std::string(Parse(row.words).status().message()), HasSubstr(row.want));
  }
}

TEST(MakeQuestion, WritesHeaderQuestionAndOpt) {
  const absl::StatusOr<Question> question = MakeQuestion("a.b", "TYPE33", 1232);
  ASSERT_TRUE(question.ok()) << question.status();
  const std::vector<uint8_t> want = {0, 0, 1,  0, 0, 1, 0, 0,  0,    0,    0, 1, 1, 'a', 1, 'b',
                                     0, 0, 33, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0,   0, 0};
  EXPECT_EQ(question->message, want);
  EXPECT_EQ(question->question_octets, 9U);
}

TEST(MakeQuestion, RefusesWhatIsNoNameOrNoType) {
  EXPECT_THAT(std::string(MakeQuestion("a..b", "A", 0).status().message()),
              HasSubstr("\"a..b\" is not a domain name"));
  EXPECT_THAT(std::string(MakeQuestion("a.b", "B", 0).status().message()),
              HasSubstr("\"B\" is not a type"));
}

TEST(MakeQuestions, CountsTheNamesOfAPattern) {
  Options options;
  options.pattern = "s%d.example";
  options.names = 12;
  const absl::StatusOr<std::vector<Question>> questions = MakeQuestions(options);
  ASSERT_TRUE(questions.ok()) << questions.status();
  ASSERT_EQ(questions->size(), 12U);
  EXPECT_EQ((*questions)[11].message, MakeQuestion("s11.example", "A", 0)->message);
}

TEST(Judge, TakesOnlyTheReplyThatWasExpected) {
  Question question = *MakeQuestion("a.b", "A", 0);
  question.rcode = 0;
  question.answers = 2;
  const auto reply = [&](uint8_t flags, uint8_t rcode, uint8_t answers, char label) {
    std::vector<uint8_t> message = question.message;
    message[2] = flags;
    message[3] = rcode;
    message[7] = answers;
    message[13] = static_cast<uint8_t>(label);
    return message;
  };
  const struct {
    const char* shows;
    std::vector<uint8_t> reply;
    Verdict want;
  } kRows[] = {
      {"as expected", reply(0x81, 0, 2, 'a'), Verdict::kRight},
      {"a query", reply(0x01, 0, 2, 'a'), Verdict::kMalformed},
      {"less than a header", {0, 0, 0x81, 0}, Verdict::kMalformed},
      {"another name", reply(0x81, 0, 2, 'x'), Verdict::kWrongQuestion},
      {"another letter case (0x20)", reply(0x81, 0, 2, 'A'), Verdict::kWrongQuestion},
      {"NXDOMAIN", reply(0x81, 3, 2, 'a'), Verdict::kWrongRcode},
      {"an answer too few", reply(0x81, 0, 1, 'a'), Verdict::kWrongAnswers},
  };
  for (const auto& row : kRows) EXPECT_EQ(Judge(question, row.reply), row.want) << row.shows;
}

TEST(Pending, KeepsToItsWindow) {
  Pending pending(2);
  pending.Add(7, 100);
  pending.Add(8, 200);
  EXPECT_EQ(pending.Room(), 0U);
  const auto query = pending.Take(0);
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->question, 7U);
  EXPECT_EQ(pending.Room(), 1U);
  EXPECT_FALSE(pending.Take(0).has_value()) << "a second reply to one query";
  EXPECT_FALSE(pending.Take(9).has_value()) << "a reply to nothing";
}

TEST(Pending, GivesUpWhatIsTooOldAndNothingElse) {
  Pending pending(4);
  for (int64_t at : {100, 200, 300}) pending.Add(0, at);
  EXPECT_TRUE(pending.Take(0).has_value());
  EXPECT_EQ(pending.Expire(300), 1U);
  EXPECT_FALSE(pending.Take(1).has_value()) << "a late reply";
  EXPECT_TRUE(pending.Take(2).has_value());
  EXPECT_TRUE(pending.empty());
}

TEST(Pending, DoesNotUseAnIdAgainWhileAnOlderQueryWaits) {
  Pending pending(2);
  pending.Add(0, 100);
  for (int i = 1; i < 65'536; ++i) {
    pending.Add(0, 200);
    ASSERT_TRUE(pending.Take(static_cast<uint16_t>(i)).has_value());
  }
  EXPECT_EQ(pending.Room(), 0U);
  EXPECT_EQ(pending.Expire(150), 1U);
  EXPECT_EQ(pending.Room(), 2U);
  EXPECT_EQ(pending.IdAhead(0), 0);
}

TEST(LatencyHistogram, GivesQuantilesCloseToTheTruth) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), absl::ZeroDuration());
  for (int64_t us = 1; us <= 1'000; ++us) histogram.Add(us * 1'000);
  for (const double q : {0.01, 0.5, 0.9, 0.99}) {
    const double got = absl::ToDoubleMicroseconds(histogram.Quantile(q));
    EXPECT_GE(got, q * 1'000) << q;
    EXPECT_LE(got, q * 1'000 * 1.032) << q;
  }
  EXPECT_EQ(histogram.Quantile(1), absl::Milliseconds(1));
}

}  // namespace
}  // namespace pharos::load
