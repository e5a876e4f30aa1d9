#include "http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/test_exchange.h"

namespace pharos::http {
namespace {

using testing::Contains;
using testing::Pair;

Router MakeRouter(RouterOptions options = {}) {
  Router router(std::move(options));
  const auto echo = [](const char* word) {
    return [word](const std::shared_ptr<Exchange>& exchange, const std::string& argument) {
      exchange->Respond(TextResponse(200, std::string(word) + "(" + argument + ")"));
    };
  };
  router.Add(Method::kGet, "/v1/list", echo("list"));
  router.Add(Method::kGet, "/v1/one/", echo("one"));
  router.Add(Method::kGet, "/v1/one/deep/", echo("deep"));
  router.Add(Method::kPut, "/v1/write", echo("write"));
  return router;
}

Response Ask(const Router& router, Method method, const std::string& path,
             const std::string& peer = "10.0.0.1:5") {
  const auto exchange = std::make_shared<TestExchange>();
  exchange->given.method = method;
  exchange->given.method_name = MethodName(method);
  exchange->given.path = path;
  exchange->given.peer = peer;
  router.Route(exchange);
  EXPECT_EQ(exchange->responses.size(), 1U) << path;
  return exchange->responses.empty() ? Response() : exchange->responses[0];
}

std::string Text(const Response& response) {
  return response.body == nullptr ? "" : response.body->plain();
}

TEST(Router, FindsTheRouteAndItsArgument) {
  const Router router = MakeRouter();
  const struct {
    std::string shows, path;
    int status;
    std::string text;
  } kRows[] = {
      {"an exact path", "/v1/list", 200, "list()"},
      {"the rest is the argument", "/v1/one/web", 200, "one(web)"},
      {"decoded once", "/v1/one/a%2Fb%2525", 200, "one(a/b%25)"},
      {"slashes stay in it", "/v1/one/a/b", 200, "one(a/b)"},
      {"no argument", "/v1/one/", 200, "one()"},
      {"the longest path that fits", "/v1/one/deep/x", 200, "deep(x)"},
      {"nothing below an exact path", "/v1/list/x", 404, ""},
      {"no such path", "/v2/list", 404, ""},
      {"half of an octet", "/v1/one/%4", 400,
       "Invalid path: expected two hexadecimal digits behind each percent sign"},
  };
  for (const auto& row : kRows) {
    const Response response = Ask(router, Method::kGet, row.path);
    EXPECT_EQ(response.status, row.status) << row.shows;
    EXPECT_EQ(Text(response), row.text) << row.shows;
  }
}

TEST(Router, SaysWhichMethodsAPathHas) {
  const Router router = MakeRouter();
  const Response refused = Ask(router, Method::kPost, "/v1/list");
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(Text(refused), "method POST not allowed");
  EXPECT_THAT(refused.headers, Contains(Pair("Allow", "OPTIONS,GET")));
  const Response options = Ask(router, Method::kOptions, "/v1/write");
  EXPECT_EQ(options.status, 200);
  EXPECT_THAT(options.headers, Contains(Pair("Allow", "OPTIONS,PUT")));
}

TEST(Router, RefusesControlCharactersUnlessTold) {
  EXPECT_EQ(Ask(MakeRouter(), Method::kGet, "/v1/one/a%0Ab").status, 400);
  EXPECT_EQ(Ask(MakeRouter(), Method::kGet, "/v1/one/%C3%A4").status, 200) << "letters are none";
  RouterOptions options;
  options.allow_unprintable = true;
  EXPECT_EQ(Text(Ask(MakeRouter(options), Method::kGet, "/v1/one/a%07b")), "one(a\ab)");
}

TEST(Router, RefusesOtherTenanciesThanTheOnlyOne) {
  const Router router = MakeRouter();
  for (const char* name : {"ns", "partition", "peer", "sg"}) {
    const auto exchange = std::make_shared<TestExchange>();
    exchange->given.path = "/v1/list";
    exchange->given.query = {{name, "team"}};
    router.Route(exchange);
    EXPECT_EQ(exchange->responses.at(0).status, 400) << name;
    exchange->given.query = {{name, "default"}, {name, ""}};
    router.Route(exchange);
    EXPECT_EQ(exchange->responses.at(1).status, 200) << name;
  }
}

TEST(Router, RefusesBlockedPathsAndForeignWrites) {
  RouterOptions options;
  options.block_endpoints = {"/v1/one"};
  options.allow_writes_from = {*Cidr::Parse("127.0.0.0/8")};
  const Router router = MakeRouter(options);
  EXPECT_EQ(Ask(router, Method::kGet, "/v1/one/x").status, 403);
  EXPECT_EQ(Ask(router, Method::kGet, "/v1/list").status, 200) << "reads are free";
  EXPECT_EQ(Ask(router, Method::kPut, "/v1/write").status, 403);
  EXPECT_EQ(Ask(router, Method::kPut, "/v1/write", "127.0.0.1:7").status, 200);
  EXPECT_EQ(Ask(router, Method::kPut, "/v1/write", "").status, 200) << "a Unix socket";
}

}  // namespace
}  // namespace pharos::http
