// What the OPT record of a reply says (RFC 6891), and what a reply has when the query had to be
// refused before anyone looked at its name.
#include "dns/handler.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/check.h"
#include "dns/judge.h"
#include "dns/reply_frame.h"
#include "registry/catalog.h"

namespace pharos::dns {
namespace {

constexpr char kClientCookie[] = "000a00080102030405060708";
constexpr char kNsid[] = "00030000";
constexpr char kKeepalive[] = "000b0000";

using Options = std::map<EdnsOption, std::string>;  // Data in hexadecimal digits.

class HandlerTest : public testing::Test {
 protected:
  HandlerTest() {
    config_.zones.push_back(*Zone::Make("consul.", "dc1"));
    config_.datacenter = "dc1";
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    change.add_services()->set_name("web");
    for (int i = 0; i < 300; ++i) {
      catalog::v1::Service& service = *change.add_services();
      service.set_name("many");
      service.set_id("many-" + std::to_string(i));
      service.set_address("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250));
    }
    CHECK(catalog_.Apply(1, command).ok());
    snapshot_ = catalog_.MakeSnapshot();
  }

  // Asks with an OPT record that has `options`, and reads the reply: its OPT is the last record.
  Judged Ask(const std::string& options_hex, const std::string& name = "web.service.consul.",
             RrType type = RrType::kA, uint16_t edns_octets = 1232) {
    std::vector<uint8_t> request = MakeQuery(name, type, edns_octets);
    const std::string options = absl::HexStringToBytes(options_hex);
    request[request.size() - 1] = static_cast<uint8_t>(options.size());
    request.insert(request.end(), options.begin(), options.end());
    return Handle(request);
  }

  Judged Handle(Octets request) {
    CookieMaker cookies(config_.cookies);
    const AnswerContext context{.config = config_,
                                .snapshot = *snapshot_,
                                .transport = transport_,
                                .random = random_,
                                .scratch = scratch_,
                                .external = external_,
                                .client = client_,
                                .idle_timeout = absl::Seconds(10),
                                .cookies = &cookies,
                                .clock = &clock_};
    const Handled handled = HandleQuery(request, context, query_, reply_);
    EXPECT_EQ(handled.outcome, Outcome::kReply);
    const Octets reply = Octets(reply_).first(handled.reply_octets);
    const std::optional<Judged> judged = Judge(reply);
    EXPECT_TRUE(judged.has_value()) << "ldns cannot read the reply";
    ReadOptions(reply);
    return judged.value_or(Judged());
  }

  void ReadOptions(Octets reply) {
    options_.clear();
    ByteReader reader(reply, 4);
    const uint16_t questions = reader.U16();
    const int records = reader.U16() + reader.U16() + reader.U16();
    size_t offset = kHeaderOctets;
    Name name;
    for (int i = 0; i < questions; ++i) offset = *ReadName(reply, offset, name) + 4;
    for (int i = 0; i < records; ++i) {
      ByteReader record(reply, *ReadName(reply, offset, name));
      const auto type = static_cast<RrType>(record.U16());
      record.Take(6);
      const Octets rdata = record.Take(record.U16());
      offset = record.offset();
      if (type != RrType::kOpt) continue;
      for (ByteReader option(rdata); option.remaining() > 0;) {
        const auto code = static_cast<EdnsOption>(option.U16());
        const Octets data = option.Take(option.U16());
        options_[code] = absl::BytesToHexString(std::string(AsText(data)));
      }
    }
  }

  registry::Catalog catalog_{"dc1"};
  std::unique_ptr<const registry::Snapshot> snapshot_;
  AnswerConfig config_;
  Transport transport_ = Transport::kUdp;
  IpAddress client_ = *IpAddress::Parse("192.0.2.1");
  ManualClock clock_;
  Random random_{1};
  AnswerScratch scratch_;
  std::vector<ExternalAnswer> external_;
  std::vector<uint8_t> reply_ = std::vector<uint8_t>(kMessageOctetsMax);
  Query query_;
  Options options_;
};

TEST_F(HandlerTest, SaysNothingThatWasNotAskedFor) {
  config_.nsid = "alpha";
  transport_ = Transport::kTcp;
  Ask("");
  EXPECT_EQ(options_, Options());
  Ask("fde9000101");
  EXPECT_EQ(options_, Options());
}

TEST_F(HandlerTest, SaysWhoItIsWhereConfigured) {
  Ask(kNsid);
  EXPECT_EQ(options_, Options());
  config_.nsid = "alpha";
  Ask(kNsid);
  EXPECT_EQ(options_[EdnsOption::kNsid], "616c706861");
  Ask(kNsid, "nosuch.service.consul.");
  EXPECT_EQ(options_[EdnsOption::kNsid], "616c706861");
}

TEST_F(HandlerTest, TellsTheIdleTimeoutOverTcpOnly) {
  Ask(kKeepalive);
  EXPECT_EQ(options_, Options());
  transport_ = Transport::kTcp;
  Ask(kKeepalive);
  EXPECT_EQ(options_[EdnsOption::kTcpKeepalive], "0064") << "100 times 100 ms";
}

TEST_F(HandlerTest, GivesACookieThatIsValidFromThenOn) {
  EXPECT_EQ(Ask(kClientCookie).Status(), "NOERROR QR AA RD");
  EXPECT_FALSE(query_.HasValidCookie());
  const std::string cookie = options_[EdnsOption::kCookie];
  ASSERT_EQ(cookie.size(), 2 * kCookieOctets);
  EXPECT_EQ(Ask("000a0018" + cookie).Status(), "NOERROR QR AA RD");
  EXPECT_TRUE(query_.HasValidCookie());
  EXPECT_EQ(options_[EdnsOption::kCookie], cookie);
  client_ = *IpAddress::Parse("192.0.2.2");
  EXPECT_EQ(Ask("000a0018" + cookie).Status(), "NOERROR QR AA RD");
  EXPECT_FALSE(query_.HasValidCookie());
  EXPECT_NE(options_[EdnsOption::kCookie], cookie);
}

TEST_F(HandlerTest, GivesNoCookieWhereTheyAreOff) {
  config_.cookies.enabled = false;
  Ask(kClientCookie);
  EXPECT_EQ(options_, Options());
  EXPECT_FALSE(query_.HasValidCookie());
}

TEST_F(HandlerTest, RefusesWithoutAValidCookieWhereRequired) {
  config_.cookies.required = true;
  const Judged refused = Ask(kClientCookie);
  EXPECT_EQ(refused.rcode, 23) << "BADCOOKIE";
  EXPECT_EQ(refused.question.size(), 1U);
  EXPECT_TRUE(refused.answer.empty());
  EXPECT_EQ(Ask("000a0018" + options_[EdnsOption::kCookie]).Status(), "NOERROR QR AA RD");
  EXPECT_EQ(Ask("").Status(), "NOERROR QR AA RD") << "no cookie at all: RFC 7873 section 5.2.1";
  transport_ = Transport::kTcp;
  EXPECT_EQ(Ask(kClientCookie).Status(), "NOERROR QR AA RD");
}

TEST_F(HandlerTest, AnswersACookieWithoutAQuestion) {
  const auto ask = [&](const std::string& option) {
    std::string octets = absl::HexStringToBytes("1234000000000000000000010000290200000000000000");
    octets.back() = static_cast<char>(option.size() / 2);
    octets += absl::HexStringToBytes(option);
    return Handle(AsOctets(octets)).rcode;
  };
  EXPECT_EQ(ask(kClientCookie), 0);
  const std::string cookie = options_[EdnsOption::kCookie];
  EXPECT_EQ(ask("000a0018" + cookie), 0);
  client_ = *IpAddress::Parse("192.0.2.2");
  EXPECT_EQ(ask("000a0018" + cookie), 23);
  EXPECT_EQ(options_[EdnsOption::kCookie].size(), 2 * kCookieOctets);
  EXPECT_EQ(ask(kNsid), 1);
  config_.cookies.enabled = false;
  EXPECT_EQ(ask(kClientCookie), 1);
}

TEST_F(HandlerTest, SaysWhyItRefuses) {
  const struct {
    std::string_view shows;
    std::string name;
    RrType type;
    std::string_view status, code;
  } kRows[] = {
      {"a name outside", "www.example.", RrType::kA, "REFUSED QR RD", "0014"},
      {"a transfer", "consul.", RrType::kAxfr, "REFUSED QR RD", "0015"},
      {"an answer", "web.service.consul.", RrType::kA, "NOERROR QR AA RD", ""},
      {"a name that does not exist", "none.consul.", RrType::kA, "NXDOMAIN QR AA RD", ""},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Ask("", row.name, row.type).Status(), row.status) << row.shows;
    EXPECT_EQ(options_[EdnsOption::kExtendedError].substr(0, 4), row.code) << row.shows;
  }
}

TEST_F(HandlerTest, DoesNotSayThatANameIsNotThereBeforeItHasACatalog) {
  snapshot_ = registry::Catalog("dc1").MakeSnapshot();
  EXPECT_EQ(Ask("").Status(), "SERVFAIL QR AA RD");
  EXPECT_EQ(options_[EdnsOption::kExtendedError], "000e");
}

// RFC 6891 section 7: without OPT in the reply a client takes us for one that knows no EDNS.
TEST_F(HandlerTest, ErrorsHaveTheQuestionAndOptAsFarAsTheyCouldBeRead) {
  const struct {
    std::string_view shows;
    std::string options;
    int opcode;
    int rcode;
  } kRows[] = {
      {"an option cut short", "000c0005", 0, 1},
      {"a malformed cookie", "000a000101", 0, 1},
      {"an opcode nobody knows", "", 15, 4},
      {"NOTIFY", "", 4, 4},
  };
  for (const auto& row : kRows) {
    std::vector<uint8_t> request = MakeQuery("web.service.consul.", RrType::kA, 1232);
    const std::string options = absl::HexStringToBytes(row.options);
    request.back() = static_cast<uint8_t>(options.size());
    request.insert(request.end(), options.begin(), options.end());
    request[2] = static_cast<uint8_t>(row.opcode << 3);
    const Judged judged = Handle(request);
    EXPECT_EQ(judged.rcode, row.rcode) << row.shows;
    EXPECT_TRUE(judged.has_edns) << row.shows;
    EXPECT_EQ(judged.question.size(), 1U) << row.shows;
  }
}

TEST_F(HandlerTest, NeverAnswersLongerThanAskedWhateverTheOptions) {
  config_.nsid = std::string(kNsidOctetsMax, 'n');
  const std::string all =
      std::string(kNsid) + kClientCookie + "000800140002800020010db8000000000000000000000001";
  for (const uint16_t octets : {512, 513, 600, 700, 1232}) {
    for (const RrType type : {RrType::kA, RrType::kSrv, RrType::kAny}) {
      const Judged judged = Ask(all, "many.service.consul.", type, octets);
      EXPECT_LE(judged.octets, octets);
      EXPECT_FALSE(judged.answer.empty());
      EXPECT_EQ(options_.size(), 3U) << "the options are never what is cut";
    }
  }
}

}  // namespace
}  // namespace pharos::dns
