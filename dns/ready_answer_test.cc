#include "dns/ready_answer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "dns/answer_test_world.h"

namespace pharos::dns {
namespace {

class ReadyAnswersTest : public AnswerTest {
 protected:
  // The replies by the short way, from one batch; empty where it declines.
  std::vector<std::vector<uint8_t>> AnswerReady(const std::vector<std::vector<uint8_t>>& requests,
                                                Transport transport, std::vector<Random>& randoms) {
    ReadyAnswers ready;
    ready.SetConfig(config_);
    const std::vector<Octets> views(requests.begin(), requests.end());
    ready.LookAhead(views, transport, *snapshots_.back());
    std::vector<std::vector<uint8_t>> replies;
    for (size_t i = 0; i < requests.size(); ++i) {
      const size_t octets = ready.Answer(i, randoms[i], scratch_, reply_);
      replies.emplace_back(reply_.begin(), reply_.begin() + static_cast<ptrdiff_t>(octets));
    }
    return replies;
  }

  // How many of the requests the short way answers. Each reply must be that of HandleQuery, and
  // both must have drawn the same.
  size_t CompareAll(const std::vector<std::vector<uint8_t>>& requests, Transport transport,
                    const std::string& shows) {
    std::vector<Random> randoms;
    for (uint64_t i = 0; i < requests.size(); ++i) randoms.emplace_back(i);
    const auto replies = AnswerReady(requests, transport, randoms);
    size_t answered = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      Random expected_random(i);
      if (replies[i].empty()) {
        EXPECT_EQ(randoms[i].Next(), expected_random.Next()) << shows << ": declined, but drew";
        continue;
      }
      ++answered;
      random_ = expected_random;
      const Handled handled = HandleRaw(requests[i], transport);
      EXPECT_EQ(handled.outcome, Outcome::kReply) << shows << ", request " << i;
      const std::vector<uint8_t> expected(
          reply_.begin(), reply_.begin() + static_cast<ptrdiff_t>(handled.reply_octets));
      EXPECT_EQ(replies[i], expected) << shows << ", request " << i;
      EXPECT_EQ(randoms[i].Next(), random_.Next()) << shows << ", request " << i;
    }
    return answered;
  }

  // Questions of each kind for every name, in mixed case.
  static std::vector<std::vector<uint8_t>> Ask(const std::vector<std::string>& names) {
    std::vector<std::vector<uint8_t>> requests;
    for (const std::string& name : names) {
      for (const RrType type : {RrType::kA, RrType::kSrv}) {
        for (const uint16_t edns : {0, 512, 1232, 4096}) {
          requests.push_back(MakeQuery(name, type, edns));
        }
      }
    }
    return requests;
  }

  size_t CompareInBatches(const std::vector<std::vector<uint8_t>>& requests, Transport transport,
                          const std::string& shows) {
    size_t answered = 0;
    for (size_t at = 0; at < requests.size(); at += ReadyAnswers::kBatchMax) {
      const size_t end = std::min(at + ReadyAnswers::kBatchMax, requests.size());
      answered += CompareAll({requests.begin() + static_cast<ptrdiff_t>(at),
                              requests.begin() + static_cast<ptrdiff_t>(end)},
                             transport, shows);
    }
    return answered;
  }
};

const std::vector<std::string>& Names() {
  static const auto& names = *new std::vector<std::string>{
      "web.service.consul.",
      "WEB.Service.CONSUL.",
      "web.service.dc1.consul.",
      "web.service.dc1.dc.consul.",
      "v1.web.service.consul.",
      "a.b.web.service.consul.",
      "_web._tcp.service.consul.",
      "_web._v1.service.consul.",
      "_web._tcp.consul.",
      "web.service.dc2.consul.",
      "nothing.service.consul.",
      "_tcp.service.consul.",
      "big.service.consul.",
      "huge.service.consul.",
      "service.service.consul.",
      "web.node.service.consul.",
      "six.service.consul.",
      "mixed.service.consul.",
      "named.service.consul.",
      "sick.service.consul.",
      "weighed.service.consul.",
      "web.service.test.",
      "web.service.sub.consul.",
      "consul.",
      "service.consul.",
      "web.service.example.",
      "Primary.web.service.consul.",
      "alpha.node.consul.",
  };
  return names;
}

constexpr char kMore[] = R"pb(
  commands {
    register {
      node { name: "six-1" address: "fd00::1" }
      services { name: "six" port: 1 }
      services { name: "mixed" port: 2 address: "fd00::2" }
      services { id: "mixed-2" name: "mixed" port: 2 address: "10.9.0.1" }
      services { id: "mixed-3" name: "mixed" port: 3 }
      services { name: "named" port: 2 address: "outside.example" }
      services { name: "sick" port: 5 }
      checks { id: "sick" service_id: "sick" status: HEALTH_STATUS_CRITICAL }
    }
  }
  commands {
    register {
      node { name: "weighed-1" address: "10.9.1.1" }
      services {
        name: "weighed"
        port: 1
        weights { passing: 9 warning: 1 }
      }
      services {
        id: "w2"
        name: "weighed"
        port: 2
        address: "10.9.1.2"
        weights { passing: 3 warning: 1 }
      }
      services {
        id: "w3"
        name: "weighed"
        port: 2
        address: "10.9.1.3"
        weights { passing: 3 warning: 2 }
      }
      checks { id: "w" service_id: "w3" status: HEALTH_STATUS_WARNING }
    }
  })pb";

TEST_F(ReadyAnswersTest, SaysOctetForOctetWhatHandleQuerySays) {
  LoadText(kMore);
  LoadBig("big", 40);
  LoadBig("huge", 300);
  const auto requests = Ask(Names());
  const struct {
    const char* shows;
    void (*change)(AnswerConfig&);
    bool takes_any;
  } kRows[] = {
      {"as it comes", [](AnswerConfig&) {}, true},
      {"TTLs",
       [](AnswerConfig& c) {
         c.service_ttls = ServiceTtls({{"web", 70000}, {"*", 5}});
       },
       true},
      {"only the passing", [](AnswerConfig& c) { c.only_passing = true; }, true},
      {"panic", [](AnswerConfig& c) { c.panic_percent = 100; }, true},
      {"the standard",
       [](AnswerConfig& c) {
         c.standard = true;
         c.enable_truncate = true;
       },
       true},
      {"truncation", [](AnswerConfig& c) { c.enable_truncate = true; }, true},
      {"recursion", [](AnswerConfig& c) { c.recursion_available = true; }, true},
      {"few answers", [](AnswerConfig& c) { c.a_record_limit = 2; }, true},
      {"one answer over plain UDP", [](AnswerConfig& c) { c.udp_answer_limit = 1; }, true},
      {"no limit over plain UDP", [](AnswerConfig& c) { c.udp_answer_limit = 0; }, true},
      {"without metadata", [](AnswerConfig& c) { c.node_meta_txt = false; }, true},
      {"a second domain", [](AnswerConfig& c) { c.zones.push_back(*Zone::Make("test.", "dc1")); },
       true},
      {"a domain within ours",
       [](AnswerConfig& c) { c.zones.push_back(*Zone::Make("sub.consul.", "dc1")); }, true},
      {"a domain that begins like our names",
       [](AnswerConfig& c) { c.zones.push_back(*Zone::Make("service.consul.", "dc1")); }, true},
      {"without compression", [](AnswerConfig& c) { c.compression = false; }, false},
      {"near ones first", [](AnswerConfig& c) { c.locality = LocalityPreference::kPrefer; }, false},
  };
  const AnswerConfig usual = config_;
  for (const auto& row : kRows) {
    config_ = usual;
    row.change(config_);
    for (const Transport transport : {Transport::kUdp, Transport::kTcp}) {
      const size_t answered = CompareInBatches(requests, transport, row.shows);
      EXPECT_EQ(answered > 0, row.takes_any) << row.shows;
    }
  }
}

// What is not a plain question is left alone, however it is bent.
TEST_F(ReadyAnswersTest, LeavesOtherMessagesAlone) {
  const std::vector<uint8_t> plain = MakeQuery("web.service.consul.", RrType::kA, 1232);
  const auto bent = [&plain](size_t at, uint8_t value) {
    std::vector<uint8_t> request = plain;
    request[at] = value;
    return request;
  };
  const size_t opt = plain.size() - 11;
  const struct {
    const char* shows;
    std::vector<uint8_t> request;
  } kRows[] = {
      {"a reply", bent(2, 0x80)},
      {"another opcode", bent(2, 0x28)},
      {"two questions", bent(5, 2)},
      {"an answer", bent(7, 1)},
      {"two additional records", bent(11, 2)},
      {"class CH", bent(opt - 1, 3)},
      {"AAAA", bent(opt - 3, 28)},
      {"EDNS version 1", bent(opt + 6, 1)},
      {"an option", bent(opt + 10, 4)},
      {"another record than OPT", bent(opt + 2, 16)},
      {"an OPT record that is not there", bent(11, 0)},
      {"a pointer as name", bent(12, 0xc0)},
      {"nothing", {}},
  };
  std::vector<std::vector<uint8_t>> requests = {plain};
  for (const auto& row : kRows) requests.push_back(row.request);
  for (size_t octets = 0; octets < plain.size(); ++octets) {
    requests.emplace_back(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(octets));
  }
  requests.resize(std::min(requests.size(), ReadyAnswers::kBatchMax));
  std::vector<Random> randoms(requests.size(), Random(1));
  const auto replies = AnswerReady(requests, Transport::kUdp, randoms);
  EXPECT_FALSE(replies[0].empty());
  for (size_t i = 1; i < replies.size(); ++i) {
    EXPECT_TRUE(replies[i].empty()) << (i <= std::size(kRows) ? kRows[i - 1].shows : "cut short");
  }
}

TEST_F(ReadyAnswersTest, AnEmptyCatalogIsNotAnsweredFrom) {
  snapshots_.push_back(registry::Catalog("dc1").MakeSnapshot());
  std::vector<Random> randoms(1, Random(1));
  const auto replies =
      AnswerReady({MakeQuery("web.service.consul.", RrType::kA)}, Transport::kUdp, randoms);
  EXPECT_TRUE(replies[0].empty()) << "who has no catalog must not say what is in it";
}

}  // namespace
}  // namespace pharos::dns
