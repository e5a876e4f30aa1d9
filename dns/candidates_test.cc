#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "absl/strings/str_format.h"
#include "dns/answer_test_world.h"

namespace pharos::dns {
namespace {

using ::testing::IsEmpty;

// What is asked with rules of its own: the mesh, its gateways, prepared queries.
constexpr char kQueries[] = R"pb(
  commands {
    register {
      node { name: "alpha" }
      skip_node_update: true
      services { name: "web-proxy" port: 21000 kind: "connect-proxy" proxy_destination: "web" }
      services { name: "native" port: 21002 connect_native: true }
    }
  }
  commands {
    register {
      node { name: "Beta" address: "10.0.0.2" }
      services { name: "gate" port: 8443 kind: "ingress-gateway" address: "10.7.0.1" }
      services { id: "no-gate" name: "gate" port: 8444 address: "10.7.0.2" }
    }
  }
  commands {
    set_ingress_gateway {
      name: "gate"
      listeners {
        port: 8443
        services { name: "web" }
      }
    }
  }
  commands {
    set_prepared_query {
      create: true
      query {
        id: "11111111-2222-3333-4444-555555555555"
        name: "WebQ"
        service { service: "web" }
        dns_ttl: "12s"
      }
    }
  }
  commands {
    set_prepared_query {
      create: true
      query {
        id: "2"
        name: "with.dots"
        service { service: "web" tags: "primary" }
      }
    }
  }
  commands {
    set_prepared_query {
      create: true
      query {
        id: "3"
        name: "mesh"
        service { service: "web" connect: true }
      }
    }
  }
  commands {
    set_prepared_query {
      create: true
      query {
        id: "4"
        name: "t-"
        template { type: "name_prefix_match" regexp: "^t-(.*)$" }
        service { service: "${match(1)}" }
      }
    }
  }
  commands {
    set_prepared_query {
      create: true
      query {
        id: "5"
        name: "gone"
        service { service: "sick" }
      }
    }
  }
)pb";

// The answers with rules of their own, in the same words as the others.
class QueryAnswerTest : public AnswerTest {
 protected:
  QueryAnswerTest() { LoadText(kQueries); }

  // So many instances of a service, on nodes `n0`, `n1` ... of these fields each.
  void LoadSpread(const std::string& service, int count,
                  const std::function<std::string(int)>& node_fields,
                  const std::function<std::string(int)>& service_fields) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += absl::StrFormat(
          R"(commands { register { node { name: "n%d" address: "10.5.%d.%d" %s }
             services { name: "%s" port: 1 %s } } } )",
          i, i / 256, i % 256, node_fields(i), service, service_fields(i));
    }
    LoadText(text);
  }
  // How often each address is the first of so many answers.
  std::map<std::string, int> CountFirst(const std::string& name, int times) {
    std::map<std::string, int> first;
    for (int i = 0; i < times; ++i) {
      const std::vector<std::string> shown = InOrder(name);
      if (!shown.empty()) ++first[shown.front()];
    }
    return first;
  }
  // The addresses of an answer as they stand in the message.
  std::vector<std::string> InOrder(const std::string& name) {
    const std::vector<uint8_t> request = MakeQuery(name, RrType::kA);
    const Handled handled = HandleRaw(request);
    std::vector<std::string> addresses;
    // Every record: a pointer, type, class, TTL, length and four octets.
    for (size_t at = request.size(); at + 16 <= handled.reply_octets; at += 16) {
      std::array<uint8_t, 4> octets;
      std::copy_n(&reply_[at + 12], 4, octets.begin());
      addresses.push_back(IpAddress::V4(octets).ToString());
    }
    return addresses;
  }
};

TEST_F(QueryAnswerTest, AnswersTheMeshItsGatewaysAndPreparedQueries) {
  const struct {
    const char* shows;
    const char* name;
    RrType type;
    std::vector<std::string> answer;
  } kRows[] = {
      {"the proxies of a service",
       "web.connect.consul.",
       RrType::kSrv,
       {"web.connect.consul. 0 IN SRV 1 1 21000 alpha.node.dc1.consul."}},
      {"a native instance",
       "native.connect.consul.",
       RrType::kA,
       {"native.connect.consul. 0 IN A 10.0.0.1"}},
      {"what is before the name is not looked at",
       "any.web.connect.dc1.consul.",
       RrType::kA,
       {"any.web.connect.dc1.consul. 0 IN A 10.0.0.1"}},
      {"the gateways that let a service in, and nothing else of that name",
       "web.ingress.consul.",
       RrType::kSrv,
       {"web.ingress.consul. 0 IN SRV 1 1 8443 0a070001.addr.dc1.consul."}},
      {"a prepared query, without regard to case, with its own TTL",
       "webq.query.consul.",
       RrType::kA,
       {"webq.query.consul. 12 IN A 10.0.0.1", "webq.query.consul. 12 IN A 10.0.0.2"}},
      {"by its id",
       "11111111-2222-3333-4444-555555555555.query.dc1.consul.",
       RrType::kSrv,
       {"11111111-2222-3333-4444-555555555555.query.dc1.consul. 12 IN SRV 1 1 80 "
        "alpha.node.dc1.consul.",
        "11111111-2222-3333-4444-555555555555.query.dc1.consul. 12 IN SRV 1 1 8080 "
        "Beta.node.dc1.consul."}},
      {"a name with dots, and its tag",
       "with.dots.query.consul.",
       RrType::kA,
       {"with.dots.query.consul. 0 IN A 10.0.0.1"}},
      {"RFC 2782's form",
       "_webq._tcp.query.consul.",
       RrType::kA,
       {"_webq._tcp.query.consul. 12 IN A 10.0.0.1", "_webq._tcp.query.consul. 12 IN A 10.0.0.2"}},
      {"the mesh by a query",
       "mesh.query.consul.",
       RrType::kSrv,
       {"mesh.query.consul. 0 IN SRV 1 1 21000 alpha.node.dc1.consul."}},
      {"a template",
       "t-single.query.consul.",
       RrType::kA,
       {"t-single.query.consul. 0 IN A 10.9.0.1"}},
  };
  for (const auto& row : kRows) {
    const Judged reply = Ask(row.name, row.type);
    EXPECT_EQ(reply.Status(), "NOERROR QR AA RD") << row.shows;
    EXPECT_EQ(reply.answer, row.answer) << row.shows;
  }
}

TEST_F(QueryAnswerTest, NamesANodesMetadataAsItsUsualName) {
  const struct {
    const char* name;
    const char* owner;
  } kRows[] = {
      {"ALPHA.node.consul.", "ALPHA.node.consul."},
      {"alpha.node.dc1.consul.", "alpha.node.dc1.consul."},
      {"alpha.node.dc1.dc.consul.", "alpha.node.dc1.consul."},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Ask(row.name, RrType::kA).additional,
              std::vector<std::string>{absl::StrFormat("%s 0 IN TXT \"rack=r1\"", row.owner)});
  }
}

TEST_F(QueryAnswerTest, SaysNoWhereThereIsNothing) {
  const struct {
    const char* shows;
    const char* name;
    RrType type;
    std::string status;
  } kRows[] = {
      {"no proxy of it", "single.connect.consul.", RrType::kA, "NXDOMAIN QR AA RD"},
      {"no gateway for it", "single.ingress.consul.", RrType::kA, "NXDOMAIN QR AA RD"},
      {"no such query", "nosuch.query.consul.", RrType::kA, "NXDOMAIN QR AA RD"},
      {"a query that finds nobody healthy", "gone.query.consul.", RrType::kA, "NXDOMAIN QR AA RD"},
      {"a template asked by its id", "4.query.consul.", RrType::kA, "NXDOMAIN QR AA RD"},
      {"a query without records of the type", "webq.query.consul.", RrType::kAaaa,
       "NOERROR QR AA RD"},
      {"RFC 8020: above a query with dots", "dots.query.consul.", RrType::kA, "NOERROR QR AA RD"},
      {"RFC 8020: above RFC 2782's form", "_tcp.query.consul.", RrType::kA, "NOERROR QR AA RD"},
      {"a query of another datacenter", "webq.query.dc9.consul.", RrType::kA, "NXDOMAIN QR AA RD"},
  };
  for (const auto& row : kRows) {
    const Judged reply = Ask(row.name, row.type);
    EXPECT_EQ(reply.Status(), row.status) << row.shows;
    EXPECT_THAT(reply.answer, IsEmpty()) << row.shows;
    EXPECT_EQ(reply.authority, std::vector<std::string>{kSoa}) << row.shows;
  }
}

TEST_F(QueryAnswerTest, PutsTheNearNodeFirst) {
  LoadSpread(
      "ten", 10, [](int) { return ""; }, [](int) { return ""; });
  LoadText(R"(
    commands { set_prepared_query { create: true query {
      id: "6" name: "near" service { service: "ten" near: "N3" } } } }
    commands { set_prepared_query { create: true query {
      id: "7" name: "near-agent" service { service: "ten" near: "_agent" } } } }
    commands { set_prepared_query { create: true query {
      id: "8" name: "near-ip" service { service: "ten" near: "_ip" } } } })");
  config_.node_name = "n4";
  client_ = *IpAddress::Parse("10.5.0.7");
  const struct {
    const char* name;
    const char* first;
  } kRows[] = {
      {"near.query.consul.", "10.5.0.3"},
      {"near-agent.query.consul.", "10.5.0.4"},
      {"near-ip.query.consul.", "10.5.0.7"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(CountFirst(row.name, 50), (std::map<std::string, int>{{row.first, 50}})) << row.name;
    EXPECT_EQ(InOrder(row.name).size(), 3U) << "cut as every plain UDP reply";
  }
}

TEST_F(QueryAnswerTest, PutsWhatIsNearInOrderOfDistance) {
  LoadSpread(
      "ten", 10, [](int) { return ""; }, [](int) { return ""; });
  LoadText(R"(
    commands { set_prepared_query { create: true query {
      id: "6" name: "near" service { service: "ten" near: "N3" } } } })");
  config_.udp_answer_limit = 0;
  // Of n3 the distances to nodes of higher numbers are known.
  config_.round_trips = [](const std::string& from) {
    return [from](const registry::Node& to) {
      if (from != "n3" || to.name < from) return absl::InfiniteDuration();
      return absl::Milliseconds(10 * (to.name[1] - '3'));
    };
  };
  std::map<std::string, int> last;
  for (int i = 0; i < 50; ++i) {
    std::vector<std::string> shown = InOrder("near.query.consul.");
    ASSERT_EQ(shown.size(), 10U);
    ++last[shown.back()];
    shown.resize(7);
    EXPECT_EQ(shown, (std::vector<std::string>{"10.5.0.3", "10.5.0.4", "10.5.0.5", "10.5.0.6",
                                               "10.5.0.7", "10.5.0.8", "10.5.0.9"}));
  }
  EXPECT_EQ(last.size(), 3U) << "those of which nothing is known take turns";
  config_.udp_answer_limit = 3;
  EXPECT_EQ(InOrder("near.query.consul."),
            (std::vector<std::string>{"10.5.0.3", "10.5.0.4", "10.5.0.5"}));
}

TEST_F(QueryAnswerTest, PrefersItsOwnZoneThenItsRegionWhenAsked) {
  // Of nine, n0, n3 and n6 are in zone a of the region; n1, n4 and n7 in zone b; the others
  // elsewhere.
  LoadSpread(
      "spread", 9,
      [](int i) {
        return absl::StrFormat(R"(locality { region: "%s" zone: "%s" })", i % 3 == 2 ? "us" : "eu",
                               i % 3 == 1 ? "b" : "a");
      },
      [](int) { return ""; });
  config_.region = "eu";
  config_.zone_in_region = "a";
  config_.a_record_limit = 4;
  config_.udp_answer_limit = 0;
  config_.locality = LocalityPreference::kPrefer;
  std::map<std::string, int> first;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::string> shown = InOrder("spread.service.consul.");
    ASSERT_EQ(shown.size(), 4U);
    ++first[shown.front()];
    std::sort(shown.begin(), shown.begin() + 3);
    EXPECT_EQ(std::vector<std::string>(shown.begin(), shown.begin() + 3),
              (std::vector<std::string>{"10.5.0.0", "10.5.0.3", "10.5.0.6"}));
    EXPECT_THAT(shown.back(), testing::AnyOf("10.5.0.1", "10.5.0.4", "10.5.0.7"));
  }
  EXPECT_EQ(first.size(), 3U) << "those equally near take turns";
  config_.locality = LocalityPreference::kOff;
  EXPECT_EQ(CountFirst("spread.service.consul.", 200).size(), 9U);
}

TEST_F(QueryAnswerTest, ShowsHeavyInstancesMoreOften) {
  LoadSpread(
      "weighed", 4, [](int) { return ""; },
      [](int i) { return absl::StrFormat("weights { passing: %d warning: 1 }", i == 0 ? 97 : 1); });
  const std::map<std::string, int> first = CountFirst("weighed.service.consul.", 1000);
  EXPECT_GT(first.at("10.5.0.0"), 930);
  EXPECT_EQ(first.size(), 4U) << "the light ones are shown too";
}

TEST_F(QueryAnswerTest, AnswersEveryInstanceWhenTooFewAreHealthy) {
  const auto critical = [](int count) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
      text += absl::StrFormat(
          R"(commands { register { node { name: "p%d" address: "10.6.0.%d" } services { name: "panic" }
             checks { id: "c" service_id: "panic" status: %s } } } )",
          i, i, i < count ? "HEALTH_STATUS_CRITICAL" : "HEALTH_STATUS_PASSING");
    }
    return text;
  };
  config_.udp_answer_limit = 0;
  const struct {
    const char* shows;
    int critical;
    uint32_t threshold;
    size_t answers;
  } kRows[] = {
      {"off: only the healthy", 3, 0, 1},
      {"at the threshold: only the healthy", 2, 50, 2},
      {"below it: all", 3, 50, 4},
      {"none healthy: all", 4, 1, 4},
      {"off: none", 4, 0, 0},
  };
  for (const auto& row : kRows) {
    LoadText(critical(row.critical));
    config_.panic_percent = row.threshold;
    EXPECT_EQ(Ask("panic.service.consul.", RrType::kA, 4096).answer.size(), row.answers)
        << row.shows;
    EXPECT_EQ(Ask("panic.service.consul.", RrType::kSrv, 4096).answer.size(), row.answers)
        << row.shows;
  }
}

}  // namespace
}  // namespace pharos::dns
