#include "agent/checks/docker_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace pharos::agent {
namespace {

// A literal with the zeros in it.
template <size_t N>
std::string Text(const char (&literal)[N]) {
  return std::string(literal, N - 1);
}

TEST(ReadDockerStream, JoinsTheFrames) {
  const struct {
    std::string_view shows;
    std::string octets, want;
  } kRows[] = {
      {"nothing", "", ""},
      {"two streams", Text("\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\1d"), "abcd"},
      {"an empty frame", Text("\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1x"), "x"},
      {"a frame cut off", Text("\1\0\0\0\0\0\0\7abc"), "abc"},
      {"a length no stream reaches", Text("\1\0\0\0\xff\xff\xff\xff") + "abc", "abc"},
      {"output of a terminal", "plain text\n", "plain text\n"},
  };
  for (const auto& row : kRows) EXPECT_EQ(ReadDockerStream(row.octets), row.want) << row.shows;
}

}  // namespace
}  // namespace pharos::agent
