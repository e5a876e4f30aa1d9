#include "agent/checks/docker_stream.h"

#include <gtest/gtest.h>

namespace pharos::agent {
namespace {

using std::string_literals::operator""s;

TEST(ReadDockerStream, JoinsTheFrames) {
  const struct {
    std::string_view shows;
    std::string octets, want;
  } kRows[] = {
      {"nothing", "", ""},
      {"two streams", "\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\1d"s, "abcd"},
      {"an empty frame", "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1x"s, "x"},
      {"a frame cut off", "\1\0\0\0\0\0\0\7abc"s, "abc"},
      {"a length no stream reaches", "\1\0\0\0\xff\xff\xff\xff"s + "abc", "abc"},
      {"output of a terminal", "plain text\n", "plain text\n"},
  };
  for (const auto& row : kRows) EXPECT_EQ(ReadDockerStream(row.octets), row.want) << row.shows;
}

}  // namespace
}  // namespace pharos::agent
