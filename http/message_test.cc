#include "http/message.h"

#include <zlib.h>

#include "gtest/gtest.h"

namespace pharos::http {
namespace {

TEST(PercentDecode, DecodesOnceAndRefusesHalves) {
  const struct {
    std::string_view shows, text;
    bool plus_is_blank;
    std::optional<std::string> want;
  } kRows[] = {
      {"plain text stays", "redis", false, "redis"},
      {"two hex digits of either case are an octet", "%2Fa%2fb", false, "/a/b"},
      {"what decodes to a percent sign is not decoded again", "%2541", false, "%41"},
      {"plus is itself in a path", "a+b", false, "a+b"},
      {"plus is a blank in a query", "a+b", true, "a b"},
      {"a percent sign at the end", "a%", false, std::nullopt},
      {"one digit", "a%4", false, std::nullopt},
      {"no hex digits", "%zz", false, std::nullopt},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(PercentDecode(row.text, row.plus_is_blank), row.want) << row.shows;
  }
}

TEST(Request, FindsTheFirstOfSeveralValues) {
  Request request;
  request.query = {{"tag", "a"}, {"tag", "b"}, {"stale", ""}};
  request.headers = {{"host", "x"}};
  EXPECT_EQ(request.Parameter("tag"), "a");
  EXPECT_TRUE(request.HasParameter("stale"));
  EXPECT_FALSE(request.HasParameter("Tag"));
  EXPECT_EQ(request.Header("host"), "x");
  EXPECT_EQ(request.Header("accept"), std::nullopt);
}

TEST(Body, GzippedIsThePlainTextCompressed) {
  const Body body(std::string(100'000, 'a') + "end");
  EXPECT_LT(body.gzipped().size(), body.plain().size() / 10);

  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string input = body.gzipped();
  std::string output(body.plain().size() + 1, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(output.data());
  stream.avail_out = static_cast<uInt>(output.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  output.resize(stream.total_out);
  EXPECT_EQ(output, body.plain());
  inflateEnd(&stream);
}

}  // namespace
}  // namespace pharos::http
