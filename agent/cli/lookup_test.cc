#include "agent/cli/lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "agent/cli/command.h"
#include "dns/query.h"
#include "dns/reply_writer.h"

namespace pharos::agent {
namespace {

constexpr uint16_t kId = 0x1234;

// The reply that a server writes to the query: one SRV record and the address of its target.
std::vector<uint8_t> Answer(const std::vector<uint8_t>& request, uint16_t flags) {
  dns::Query query;
  EXPECT_EQ(dns::ParseQuery(request, query), dns::ParseResult::kQuery);
  std::vector<uint8_t> reply(512);
  dns::ReplyWriter writer(query, reply, reply.size(), true);
  const dns::Name target = *dns::Name::FromText("alpha.node.dc1.consul.");
  writer.AddSrv(writer.QnameOwner(), 5, 1, 80, {{}, target.wire()});
  writer.AddAddress(dns::Section::kAdditional, {{}, target.wire()},
                    std::vector<uint8_t>{10, 0, 0, 1}, 5);
  reply.resize(writer.Finish(dns::Rcode::kNoError, flags));
  return reply;
}

TEST(Lookup, AsksForWhatTheWordsSay) {
  const struct {
    const char* shows;
    const char* name;
    const char* type;
    const char* want_name;
    uint16_t want_type;
  } kRows[] = {
      {"a type in any case", "web.service.consul", "srv", "web.service.consul.", 33},
      {"no type is A", "web.service.consul.", "", "web.service.consul.", 1},
      {"a type without a name of its own", "x.", "TYPE65280", "x.", 65280},
      {"an IPv4 address is asked in reverse", "10.0.0.1", "", "1.0.0.10.in-addr.arpa.", 12},
      {"... but not when a type is given", "10.0.0.1", "A", "10.0.0.1.", 1},
      {"an IPv6 address in reverse", "::1", "",
       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.", 12},
  };
  for (const auto& row : kRows) {
    const auto request = MakeLookupQuery(row.name, row.type, kId);
    ASSERT_TRUE(request.ok()) << row.shows << ": " << request.status();
    dns::Query query;
    ASSERT_EQ(dns::ParseQuery(*request, query), dns::ParseResult::kQuery) << row.shows;
    EXPECT_EQ(query.qname.ToText(), row.want_name) << row.shows;
    EXPECT_EQ(static_cast<uint16_t>(query.qtype), row.want_type) << row.shows;
    EXPECT_EQ(query.id, kId);
    EXPECT_TRUE(query.edns.has_value());
  }
}

TEST(Lookup, PrintsTheReplyLikeDig) {
  const auto request = MakeLookupQuery("web.service.consul", "SRV", kId);
  const auto reply = ReadLookupReply(Answer(*request, dns::kFlagAa), kId, false);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->no_error);
  EXPECT_EQ(reply->text,
            ";; NOERROR, id 4660, flags: qr aa rd; 1 answer, 0 authority, 1 additional\n"
            ";; web.service.consul.\tIN\tSRV\n"
            "web.service.consul.\t5\tIN\tSRV\t1 1 80 alpha.node.dc1.consul.\n"
            "\n;; additional\n"
            "alpha.node.dc1.consul.\t5\tIN\tA\t10.0.0.1\n");
  EXPECT_EQ(ReadLookupReply(Answer(*request, 0), kId, true)->text,
            "1 1 80 alpha.node.dc1.consul.\n");
}

TEST(Lookup, SeesWhatIsNoAnswer) {
  const auto request = MakeLookupQuery("web.service.consul", "SRV", kId);
  const std::vector<uint8_t> reply = Answer(*request, dns::kFlagTc);
  EXPECT_TRUE(ReadLookupReply(reply, kId, false)->truncated);
  EXPECT_FALSE(ReadLookupReply(reply, kId + 1, false).ok());
  EXPECT_FALSE(ReadLookupReply(*request, kId, false).ok());
  EXPECT_FALSE(ReadLookupReply(Octets(reply).first(30), kId, false).ok());
}

TEST(Lookup, RefusesWrongArgumentsInWords) {
  const struct {
    std::vector<std::string_view> arguments;
    const char* want;
  } kRows[] = {
      {{}, "expected NAME and perhaps TYPE"},
      {{"a", "b", "c"}, "expected NAME and perhaps TYPE"},
      {{"web.service.consul", "NOSUCH"}, "unknown type \"NOSUCH\"; expected a type such as A"},
      {{"-server=localhost", "x"}, "-server is \"localhost\"; expected an IP address"},
      {{"-port=0", "x"}, "-port is \"0\"; expected a port from 1 to 65535"},
      {{"-timeout=5", "x"}, "missing unit in duration"},
      {{"a..b"}, "\"a..b\" is not a domain name"},
      {{"-nosuch", "x"}, "flag provided but not defined: -nosuch"},
  };
  for (const auto& row : kRows) {
    std::ostringstream out, err;
    EXPECT_EQ(RunLookup(row.arguments, {.out = out, .err = err}), kExitError);
    EXPECT_THAT(err.str(), testing::HasSubstr(row.want));
  }
}

}  // namespace
}  // namespace pharos::agent
