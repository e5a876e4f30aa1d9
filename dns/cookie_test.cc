#include "dns/cookie.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "base/check.h"

namespace pharos::dns {
namespace {

std::string FromHex(const std::string& text) { return absl::HexStringToBytes(text); }

std::string ToHex(Octets octets) { return absl::BytesToHexString(std::string(AsText(octets))); }

CookieSecret Secret(const std::string& hex) {
  CookieSecret secret;
  const std::string octets = FromHex(hex);
  CHECK(octets.size() == secret.size());
  std::copy(octets.begin(), octets.end(), secret.begin());
  return secret;
}

CookieMaker MakerWith(const std::vector<std::string>& secrets) {
  CookieSettings settings;
  for (const std::string& secret : secrets) settings.secrets.push_back(Secret(secret));
  return CookieMaker(settings);
}

struct Checked {
  CookieState state;
  std::string reply;
};

Checked Check(CookieMaker& maker, const std::string& option_hex, const std::string& client,
              int64_t now_s) {
  Cookie reply{};
  const std::string option = FromHex(option_hex);
  const CookieState state =
      maker.Check(AsOctets(option), *IpAddress::Parse(client), absl::FromUnixSeconds(now_s), reply);
  return {state, ToHex(reply)};
}

// RFC 9018 appendix A: what servers of different makes have to agree on.
TEST(CookieMaker, AgreesWithTheExamplesOfRfc9018) {
  const std::string first = "e5e973e5a6b2a43f48e7dc849e37bfcf";
  const std::string second = "445536bcd2513298075a5d379663c962";
  const std::string third = "dd3bdf9344b678b185a6f5cb60fca715";
  const struct {
    std::string_view shows;
    std::vector<std::string> secrets;
    std::string option, client;
    int64_t now_s;
    CookieState state;
    std::string reply;
  } kRows[] = {
      {"A.1: learning a server cookie",
       {first},
       "2464c4abcf10c957",
       "198.51.100.100",
       1559731985,
       CookieState::kClientOnly,
       "2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
      {"A.2: an older one is renewed",
       {first},
       "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
       "198.51.100.100",
       1559734385,
       CookieState::kValid,
       "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
      {"A.3: reserved octets are hashed as they came",
       {first},
       "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
       "203.0.113.203",
       1559727985 + 60 * 60,
       CookieState::kValid,
       ""},
      {"A.3: and are zero in a new one",
       {first},
       "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
       "203.0.113.203",
       1559734700,
       CookieState::kInvalid,
       "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
      {"A.4: one made with the secret before is good, and replaced",
       {second, third},
       "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
       "2001:db8:220:1:59de:d0f4:8769:82b8",
       1559741961,
       CookieState::kValid,
       "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
  };
  for (const auto& row : kRows) {
    CookieMaker maker = MakerWith(row.secrets);
    const Checked checked = Check(maker, row.option, row.client, row.now_s);
    EXPECT_EQ(checked.state, row.state) << row.shows;
    EXPECT_TRUE(row.reply.empty() || checked.reply == row.reply) << row.shows << checked.reply;
  }
}

constexpr int64_t kNow_s = 1'700'000'000;

// A whole cookie that `maker` makes for a client.
std::string CookieFor(CookieMaker& maker, const std::string& client, int64_t now_s) {
  return Check(maker, "0102030405060708", client, now_s).reply;
}

TEST(CookieMaker, TakesACookieForAnHourAndRenewsItAfterHalfOfThat) {
  const struct {
    std::string_view shows;
    int64_t age_s;
    CookieState state;
    bool same;
  } kRows[] = {
      {"just made", 0, CookieState::kValid, true},
      {"half an hour old", 1800, CookieState::kValid, true},
      {"older than that", 1801, CookieState::kValid, false},
      {"an hour old", 3600, CookieState::kValid, false},
      {"older than that", 3601, CookieState::kInvalid, false},
      {"of a clock that is a little ahead", -300, CookieState::kValid, true},
      {"of a clock that is far ahead", -301, CookieState::kInvalid, false},
  };
  for (const bool shared : {false, true}) {
    CookieMaker maker = shared ? MakerWith({std::string(32, 'a')}) : CookieMaker({});
    const std::string cookie = CookieFor(maker, "192.0.2.1", kNow_s);
    for (const auto& row : kRows) {
      const Checked checked = Check(maker, cookie, "192.0.2.1", kNow_s + row.age_s);
      EXPECT_EQ(checked.state, row.state) << row.shows;
      EXPECT_EQ(checked.reply == cookie, row.same) << row.shows;
      EXPECT_EQ(Check(maker, checked.reply, "192.0.2.1", kNow_s + row.age_s).state,
                CookieState::kValid)
          << row.shows << ": the cookie that is given is good";
    }
  }
}

TEST(CookieMaker, TakesACookieAcrossTheChangeOfTheDay) {
  CookieMaker maker(CookieSettings{});
  const int64_t midnight_s = kNow_s / 86400 * 86400;
  const std::string before = CookieFor(maker, "192.0.2.1", midnight_s - 60);
  EXPECT_EQ(Check(maker, before, "192.0.2.1", midnight_s + 60).state, CookieState::kValid);
  const std::string after = CookieFor(maker, "192.0.2.1", midnight_s + 60);
  EXPECT_EQ(Check(maker, before, "192.0.2.1", midnight_s + 60).state, CookieState::kValid);
  EXPECT_EQ(Check(maker, after, "192.0.2.1", midnight_s + 60).state, CookieState::kValid);
}

TEST(CookieMaker, RefusesWhatIsNotOurs) {
  CookieSettings settings;
  settings.seed = Secret(std::string(32, '1'));
  CookieMaker maker(settings);
  settings.seed = Secret(std::string(32, '2'));
  CookieMaker other(settings);
  const std::string cookie = CookieFor(maker, "192.0.2.1", kNow_s);
  std::string changed_client = cookie, changed_hash = cookie, version = cookie;
  changed_client[0] = changed_client[0] == 'f' ? '0' : 'f';
  changed_hash.back() = changed_hash.back() == 'f' ? '0' : 'f';
  version[17] = '2';
  const struct {
    std::string_view shows;
    std::string cookie, client;
  } kRows[] = {
      {"from another address", cookie, "192.0.2.2"},
      {"with another client cookie", changed_client, "192.0.2.1"},
      {"with another hash", changed_hash, "192.0.2.1"},
      {"of another version", version, "192.0.2.1"},
      {"of another server", CookieFor(other, "192.0.2.1", kNow_s), "192.0.2.1"},
      {"shorter than ours", cookie.substr(0, 32), "192.0.2.1"},
      {"longer than ours", cookie + "00", "192.0.2.1"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Check(maker, row.cookie, row.client, kNow_s).state, CookieState::kInvalid)
        << row.shows;
  }
}

TEST(CookieMaker, AgreesWithServersOfTheSameSecret) {
  const std::string secret(32, '3'), next(32, '4');
  CookieMaker one = MakerWith({secret}), two = MakerWith({secret});
  EXPECT_EQ(Check(two, CookieFor(one, "192.0.2.1", kNow_s), "192.0.2.1", kNow_s + 1).state,
            CookieState::kValid);
  // Changing it: the new one is added behind, then put first, then the old one goes.
  CookieMaker learning = MakerWith({secret, next}), changed = MakerWith({next, secret});
  for (CookieMaker* maker : {&one, &learning}) {
    EXPECT_EQ(Check(changed, CookieFor(*maker, "192.0.2.1", kNow_s), "192.0.2.1", kNow_s).state,
              CookieState::kValid);
  }
  EXPECT_EQ(Check(learning, CookieFor(changed, "192.0.2.1", kNow_s), "192.0.2.1", kNow_s).state,
            CookieState::kValid);
}

TEST(IsCookieLength, IsAClientCookieAloneOrWithAServerCookie) {
  const struct {
    size_t octets;
    bool want;
  } kRows[] = {{0, false},  {7, false}, {8, true},  {9, false},
               {15, false}, {16, true}, {40, true}, {41, false}};
  for (const auto& row : kRows) EXPECT_EQ(IsCookieLength(row.octets), row.want) << row.octets;
}

}  // namespace
}  // namespace pharos::dns
