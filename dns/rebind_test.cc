#include "dns/rebind.h"

#include <gtest/gtest.h>

#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

TEST(IsInsideAddress, KnowsEveryFormOfThem) {
  const struct {
    std::string_view address;
    bool inside;
  } kRows[] = {
      {"10.1.2.3", true},
      {"172.31.0.1", true},
      {"172.32.0.1", false},
      {"192.168.1.1", true},
      {"192.169.1.1", false},
      {"127.0.0.1", true},
      {"0.0.0.0", true},
      {"169.254.169.254", true},
      {"100.127.0.1", true},
      {"100.128.0.1", false},
      {"198.51.100.1", false},
      {"255.255.255.255", true},
      {"::", true},
      {"::1", true},
      {"fd00::1", true},
      {"fe80::1", true},
      {"2001:db8::1", false},
      {"::ffff:10.0.0.1", true},
      {"64:ff9b::a00:1", true},
      {"64:ff9b::c633:6401", false},
      {"::10.0.0.1", true},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(IsInsideAddress(*IpAddress::Parse(row.address)), row.inside) << row.address;
  }
}

TEST(IsRebinding, JudgesByTheNameAsked) {
  AnswerConfig config;
  config.rebind_protection = true;
  config.rebind_allow.Set(*Name::FromText("lab.example."), {});
  config.forward_zones.Set(*Name::FromText("corp.example."), {});
  const struct {
    std::string_view shows, qname;
    std::vector<std::string> answer, additional;
    bool want;
  } kRows[] = {
      {"a public address", "www.example.", {"www.example. 1 IN A 198.51.100.1"}, {}, false},
      {"a private one", "www.example.", {"www.example. 1 IN A 10.0.0.1"}, {}, true},
      {"one among others",
       "www.example.",
       {"www.example. 1 IN A 198.51.100.1", "www.example. 1 IN A 192.168.0.1"},
       {},
       true},
      {"IPv6", "www.example.", {"www.example. 1 IN AAAA fd00::1"}, {}, true},
      {"behind a CNAME to an allowed name",
       "www.example.",
       {"www.example. 1 IN CNAME db.lab.example.", "db.lab.example. 1 IN A 10.0.0.1"},
       {},
       true},
      {"the address that goes with a service",
       "_x._tcp.example.",
       {"_x._tcp.example. 1 IN SRV 1 1 80 www.example."},
       {"www.example. 1 IN A 10.0.0.1"},
       true},
      {"an allowed name", "DB.Lab.example.", {"db.lab.example. 1 IN A 10.0.0.1"}, {}, false},
      {"a forward zone", "db.corp.example.", {"db.corp.example. 1 IN A 10.0.0.1"}, {}, false},
      {"no address", "www.example.", {"www.example. 1 IN TXT 10.0.0.1"}, {}, false},
  };
  for (const auto& row : kRows) {
    UpstreamAnswer answer;
    for (const std::string& text : row.answer) answer.answer.push_back(MakeRecord(text));
    for (const std::string& text : row.additional) answer.additional.push_back(MakeRecord(text));
    EXPECT_EQ(IsRebinding(config, *Name::FromText(row.qname), answer), row.want) << row.shows;
    AnswerConfig off = config;
    off.rebind_protection = false;
    EXPECT_FALSE(IsRebinding(off, *Name::FromText(row.qname), answer)) << row.shows;
  }
}

}  // namespace
}  // namespace pharos::dns
