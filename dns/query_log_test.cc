#include "dns/query_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/file.h"

namespace pharos::dns {
namespace {

QueryLogEntry Entry() {
  return {.time = absl::FromUnixMicros(1'700'000'000'000'042),
          .client = {*IpAddress::Parse("192.0.2.1"), 5353},
          .transport = Transport::kUdp,
          .qname = *Name::FromText("web.service.consul."),
          .qtype = RrType::kSrv,
          .rcode = Rcode::kNoError,
          .reply_octets = 93,
          .latency = absl::Microseconds(12),
          .source = AnswerSource::kZone};
}

TEST(FormatQueryLogLine, HasAllThatIsKnownInEitherFormat) {
  EXPECT_EQ(FormatQueryLogLine(Entry(), QueryLogFormat::kText),
            "2023-11-14T22:13:20.000042Z 192.0.2.1:5353 udp web.service.consul. SRV NOERROR 93 "
            "12us 1ms zone\n");
  EXPECT_EQ(FormatQueryLogLine(Entry(), QueryLogFormat::kJson),
            R"({"time":"2023-11-14T22:13:20.000042Z","client":"192.0.2.1","port":5353,)"
            R"("transport":"udp","name":"web.service.consul.","type":"SRV","rcode":"NOERROR",)"
            R"("size":93,"latency_us":12,"latency":"1ms","source":"zone"})"
            "\n");
}

TEST(FormatQueryLogLine, SaysWhatIsNotKnown) {
  QueryLogEntry entry = Entry();
  entry.qname.reset();
  entry.rcode.reset();
  entry.reply_octets = 0;
  entry.transport = Transport::kTcp;
  entry.source = AnswerSource::kRateLimit;
  entry.client.ip = *IpAddress::Parse("2001:db8::1");
  EXPECT_EQ(FormatQueryLogLine(entry, QueryLogFormat::kText),
            "2023-11-14T22:13:20.000042Z [2001:db8::1]:5353 tcp - - - 0 12us 1ms rate_limit\n");
}

// A name may hold any octet, and a line must stay one line.
TEST(FormatQueryLogLine, EscapesWhatANameHolds) {
  const std::array<uint8_t, 9> wire = {7, '\n', '"', '\\', ' ', 0xff, '<', 0, 0};
  QueryLogEntry entry = Entry();
  entry.qname = *Name::FromWire(wire);
  for (const QueryLogFormat format : {QueryLogFormat::kText, QueryLogFormat::kJson}) {
    const std::string line = FormatQueryLogLine(entry, format);
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    EXPECT_NE(line.find("010"), std::string::npos) << line;
  }
}

TEST(LatencyClass, IsTheLeastBoundAbove) {
  const struct {
    absl::Duration latency;
    std::string_view want;
  } kRows[] = {{absl::ZeroDuration(), "1ms"},     {absl::Microseconds(999), "1ms"},
               {absl::Milliseconds(1), "10ms"},   {absl::Milliseconds(99), "100ms"},
               {absl::Milliseconds(100), "1s"},   {absl::Seconds(1), "over"},
               {absl::InfiniteDuration(), "over"}};
  for (const auto& row : kRows) EXPECT_EQ(LatencyClass(row.latency), row.want) << row.latency;
}

TEST(TypeName, NamesWhatIsCommonAndNumbersTheRest) {
  EXPECT_EQ(TypeName(RrType::kAaaa), "AAAA");
  EXPECT_EQ(TypeName(static_cast<RrType>(65)), "HTTPS");
  EXPECT_EQ(TypeName(static_cast<RrType>(4321)), "TYPE4321");
  EXPECT_EQ(RcodeName(Rcode::kNxDomain), "NXDOMAIN");
  EXPECT_EQ(RcodeName(Rcode::kBadVers), "BADVERS");
  EXPECT_EQ(RcodeName(static_cast<Rcode>(9)), "RCODE9");
}

TEST(ReadRcode, HasTheUpperBitsThatOptHolds) {
  const struct {
    std::string_view shows;
    std::vector<uint8_t> reply;
    std::optional<Rcode> want;
  } kRows[] = {
      {"nothing was sent", {}, std::nullopt},
      {"a header alone", {0, 1, 0x80, 3, 0, 0, 0, 0, 0, 0, 0, 0}, Rcode::kNxDomain},
      {"OPT behind question and record",
       {0, 1, 0x80, 0, 0,    1, 0, 1, 0, 0, 0, 1,     // One question, answer, additional.
        0, 0, 1,    0, 1,                             // . A IN
        0, 0, 1,    0, 1,    0, 0, 0, 0, 0, 2, 7, 7,  // . A IN 0, two octets
        0, 0, 41,   4, 0xd0, 1, 0, 0, 0, 0, 0},       // OPT, extended RCODE 1
       Rcode::kBadVers},
      {"records that end too soon",
       {0, 1, 0x80, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 9, 7},
       Rcode::kRefused},
  };
  for (const auto& row : kRows) EXPECT_EQ(ReadRcode(row.reply), row.want) << row.shows;
}

class QueryLogTest : public testing::Test {
 protected:
  QueryLogTest() {
    std::string pattern = testing::TempDir() + "/query_log_XXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~QueryLogTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/log"; }
  size_t LinesOf(const std::string& file) const {
    const auto text = ReadFile(file, size_t{16} << 20);
    CHECK(text.ok());
    return static_cast<size_t>(std::count(text->begin(), text->end(), '\n'));
  }
  static void Tell(QueryObserver& observer, int times) {
    ReplyPath path;
    Query query;
    const std::array<uint8_t, 12> reply{0, 1, 0x80, 0x03};
    for (int i = 0; i < times; ++i) {
      observer.OnAnswered(
          {path, query, reply, AnswerSource::kZone, absl::UnixEpoch(), absl::UnixEpoch()});
    }
  }

  std::string folder_;
};

TEST_F(QueryLogTest, WritesALineForEachAndTheRestAtItsEnd) {
  auto log = QueryLog::Open({.file = path(), .sample = 1}, 2);
  ASSERT_TRUE(log.ok()) << log.status();
  Tell(*(*log)->MakeObserver(0), 3);
  Tell(*(*log)->MakeObserver(1), 4);
  log->reset();
  EXPECT_EQ(LinesOf(path()), 7u);
}

TEST_F(QueryLogTest, TakesAboutTheShareThatIsAskedFor) {
  auto log = QueryLog::Open({.file = path(), .sample = 0.1}, 1);
  ASSERT_TRUE(log.ok()) << log.status();
  Tell(*(*log)->MakeObserver(0), 10'000);  // 1,000 of them, by a standard deviation of 30.
  log->reset();
  EXPECT_GT(LinesOf(path()), 700u);
  EXPECT_LT(LinesOf(path()), 1300u);
}

// The queue is filled faster than it can be emptied, which must not hold up who fills it.
TEST_F(QueryLogTest, DropsAndCountsWhatItsQueueDoesNotHold) {
  auto log = QueryLog::Open({.file = path(), .sample = 1}, 1);
  ASSERT_TRUE(log.ok()) << log.status();
  constexpr int kMany = 200'000;
  Tell(*(*log)->MakeObserver(0), kMany);
  ASSERT_TRUE((*log)->Reopen().ok());  // Writes what waits.
  EXPECT_EQ((*log)->written() + (*log)->dropped(), uint64_t{kMany});
  EXPECT_GT((*log)->dropped(), 0u);
  EXPECT_EQ(LinesOf(path()), (*log)->written());
}

TEST_F(QueryLogTest, ReopensTheFileUnderItsName) {
  auto log = QueryLog::Open({.file = path(), .sample = 1}, 1);
  ASSERT_TRUE(log.ok()) << log.status();
  const auto observer = (*log)->MakeObserver(0);
  Tell(*observer, 2);
  std::filesystem::rename(path(), path() + ".1");
  ASSERT_TRUE((*log)->Reopen().ok());
  Tell(*observer, 3);
  ASSERT_TRUE((*log)->Reopen().ok());
  EXPECT_EQ(LinesOf(path() + ".1"), 2u);
  EXPECT_EQ(LinesOf(path()), 3u);
}

TEST_F(QueryLogTest, AFileThatCannotBeHadIsAnErrorThatNamesIt) {
  const auto log = QueryLog::Open({.file = "/nowhere/log"}, 1);
  EXPECT_EQ(std::string(log.status().message()),
            "query_log.file \"/nowhere/log\" cannot be opened: No such file or directory");
}

}  // namespace
}  // namespace pharos::dns
