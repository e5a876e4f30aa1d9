#include "http/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "http/response_writer.h"

namespace pharos::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;
using State = RequestParser::State;

constexpr ParserLimits kLimits = {.head_octets_max = 1000, .body_octets_max = 100};

TEST(RequestParser, ReadsARequestWhateverPiecesItComesIn) {
  const std::string text =
      "PUT /v1/kv/a%20b?x=1&y=a+b&flag HTTP/1.1\r\nHost: here\r\nX-Token:  abc \r\n"
      "Content-Length: 5\r\n\r\nhello";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    RequestParser parser(kLimits);
    for (size_t at = 0; at < text.size(); at += piece) {
      const std::string_view part = std::string_view(text).substr(at, piece);
      ASSERT_EQ(parser.Feed(part), part.size()) << "pieces of " << piece;
    }
    ASSERT_EQ(parser.state(), State::kComplete);
    EXPECT_TRUE(parser.keeps_alive());
    const Request request = parser.TakeRequest();
    EXPECT_EQ(request.method, Method::kPut);
    EXPECT_EQ(request.path, "/v1/kv/a%20b");
    EXPECT_THAT(request.query, ElementsAre(Pair("x", "1"), Pair("y", "a b"), Pair("flag", "")));
    EXPECT_EQ(request.Header("x-token"), "abc");
    EXPECT_EQ(request.body, "hello");
    EXPECT_EQ(parser.state(), State::kIdle);
  }
}

TEST(RequestParser, LeavesWhatBelongsToTheNextRequest) {
  const std::string one = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string two =
      "PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\n";
  RequestParser parser(kLimits);
  const std::string both = one + two;
  ASSERT_EQ(parser.Feed(both), one.size());
  EXPECT_EQ(parser.TakeRequest().path, "/a");
  ASSERT_EQ(parser.Feed(std::string_view(both).substr(one.size())), two.size());
  const Request request = parser.TakeRequest();
  EXPECT_EQ(request.path, "/b");
  EXPECT_EQ(request.body, "abc");
}

TEST(RequestParser, RefusesWhatIsNoRequest) {
  const std::string get = "GET / HTTP/1.1\r\n";
  const std::string host = get + "Host: x\r\n";
  const struct {
    std::string shows, text;
    int status;
  } kRows[] = {
      {"no HTTP at all", "\x01\x02\r\n\r\n", 400},
      {"no Host (RFC 9112 section 3.2)", get + "\r\n", 400},
      {"a bare CR in a value", host + "A: b\rc\r\n\r\n", 400},
      {"a NUL in a value", host + std::string("A: b\0c\r\n\r\n", 10), 400},
      {"a blank before the colon (section 5.1)", host + "A : b\r\n\r\n", 400},
      {"two lengths", host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"a length and chunks (section 6.1)",
       host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"a length that is none", host + "Content-Length: -1\r\n\r\n", 400},
      {"a tunnel", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"half an octet in the query", "GET /?a=%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"a head that is too long", host + "A: " + std::string(1000, 'a') + "\r\n\r\n", 431},
      {"a body announced too long", host + "Content-Length: 101\r\n\r\n", 413},
      {"a body that grows too long",
       host + "Transfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'a') + "\r\n", 413},
  };
  for (const auto& row : kRows) {
    RequestParser parser(kLimits);
    parser.Feed(row.text);
    ASSERT_EQ(parser.state(), State::kRefused) << row.shows;
    EXPECT_EQ(parser.refusal().status, row.status) << row.shows;
    EXPECT_EQ(parser.Feed("GET / HTTP/1.1\r\n"), 0U) << "nothing more is read";
  }
}

TEST(RequestParser, TakesLongBodiesAtThePathThatIsMadeForThem) {
  RequestParser parser({.head_octets_max = 1000,
                        .body_octets_max = 100,
                        .large_path = "/large",
                        .large_body_octets_max = 200});
  const auto put = [&parser](const std::string& path, size_t octets) {
    parser.Feed("PUT " + path +
                " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(octets) + "\r\n\r\n");
    parser.Feed(std::string(octets, 'a'));
  };
  put("/large?pretty", 200);
  ASSERT_EQ(parser.state(), State::kComplete);
  EXPECT_EQ(parser.TakeRequest().body.size(), 200U);
  put("/larger", 100);
  ASSERT_EQ(parser.state(), State::kComplete);
  parser.TakeRequest();
  put("/large", 201);
  ASSERT_EQ(parser.state(), State::kRefused);
  EXPECT_EQ(parser.refusal().status, 413);
}

TEST(RequestParser, KnowsWhatTheClientWantsOfTheConnection) {
  const struct {
    std::string shows, text;
    bool keeps_alive, expects_continue;
  } kRows[] = {
      {"1.1 stays open", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, false},
      {"unless it says", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, false},
      {"1.0 does not, and needs no Host", "GET / HTTP/1.0\r\n\r\n", false, false},
      {"unless it says", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, false},
      {"a wish for another protocol is not granted",
       "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", true, false},
      {"waits for a 100",
       "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true,
       true},
  };
  for (const auto& row : kRows) {
    RequestParser parser(kLimits);
    parser.Feed(row.text);
    ASSERT_NE(parser.state(), State::kRefused) << row.shows;
    EXPECT_EQ(parser.keeps_alive(), row.keeps_alive) << row.shows;
    EXPECT_EQ(parser.expects_continue(), row.expects_continue) << row.shows;
  }
}

TEST(ReadTarget, ReducesAbsoluteTargetsToTheirPath) {
  Request request;
  ASSERT_TRUE(ReadTarget("http://proxy:80/v1/x?a=b", request));
  EXPECT_EQ(request.path, "/v1/x");
  EXPECT_THAT(request.query, ElementsAre(Pair("a", "b")));
}

TEST(AcceptsGzip, ReadsTheHeader) {
  const struct {
    std::string_view header;
    bool want;
  } kRows[] = {{"gzip", true},        {"deflate, GZIP;q=0.5", true}, {"", false},
               {"gzip;q=0", false},   {"gzip; q=0.000", false},      {"identity", false},
               {"gzip;q=0.001", true}};
  for (const auto& row : kRows) EXPECT_EQ(AcceptsGzip(row.header), row.want) << row.header;
}

TEST(EncodeResponse, WritesTheHeadThatTheConnectionNeeds) {
  Response response = TextResponse(404, "no");
  response.headers = {{"X-A", "1"}, {"X-Forged", "a\r\nSet-Cookie: b"}};
  Delivery delivery;
  delivery.keep_alive = false;
  const Encoded encoded = EncodeResponse(response, delivery, "now", {{"X-All", "2"}});
  EXPECT_THAT(encoded.head, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  for (const char* line : {"Content-Length: 2\r\n", "Connection: close\r\n", "X-A: 1\r\n",
                           "X-All: 2\r\n", "Vary: Accept-Encoding\r\n", "Date: now\r\n"}) {
    EXPECT_THAT(encoded.head, HasSubstr(line));
  }
  EXPECT_EQ(encoded.head.find("Set-Cookie"), std::string::npos) << "no header can begin a line";
  EXPECT_EQ(encoded.body, "no");

  delivery = {};
  delivery.head_only = true;
  EXPECT_EQ(EncodeResponse(response, delivery, "now", {}).body, "");
  delivery = {};
  delivery.stream = true;
  EXPECT_THAT(EncodeResponse(response, delivery, "now", {}).head,
              HasSubstr("Transfer-Encoding: chunked\r\n"));
  delivery = {};
  delivery.gzip = true;
  const Response big = JsonResponse(std::string(5000, 'a'));
  const Encoded zipped = EncodeResponse(big, delivery, "now", {});
  EXPECT_THAT(zipped.head, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_LT(zipped.body.size(), 1000U);
}

TEST(FormatDate, IsAsHttpWritesIt) {
  EXPECT_EQ(FormatDate(absl::FromUnixSeconds(784111777)), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace pharos::http
