#include "dns/tcp_limits.h"

#include <gtest/gtest.h>

#include "dns/client_counts.h"

namespace pharos::dns {
namespace {

TEST(IdleTimeoutAt, ShrinksAsConnectionsFillTheCap) {
  const TcpLimits limits{.idle_timeout = absl::Seconds(10), .connections_max = 1000};
  const struct {
    std::string_view shows;
    size_t open;
    absl::Duration want;
  } kRows[] = {
      {"an empty server is patient", 0, absl::Seconds(10)},
      {"so is one that is half full", 500, absl::Seconds(10)},
      {"from there on it shrinks with what is left", 750, absl::Seconds(5)},
      {"to a fifth at nine tenths", 900, absl::Seconds(2)},
      {"but never to nothing", 1000, absl::Milliseconds(500)},
      {"nor when the cap is passed", 1001, absl::Milliseconds(500)},
  };
  for (const auto& row : kRows) EXPECT_EQ(IdleTimeoutAt(limits, row.open), row.want) << row.shows;
}

TEST(IdleTimeoutAt, TheSmallestCapIsNoDivisionByZero) {
  EXPECT_EQ(IdleTimeoutAt({.idle_timeout = absl::Seconds(10), .connections_max = 1}, 0),
            absl::Seconds(10));
  EXPECT_EQ(IdleTimeoutAt({.idle_timeout = absl::Seconds(10), .connections_max = 1}, 1),
            absl::Milliseconds(500));
}

TEST(ClientCounts, ForgetsClientsThatHaveNothing) {
  ClientCounts counts;
  const IpAddress one = *IpAddress::Parse("10.0.0.1"), other = *IpAddress::Parse("2001:db8::1");
  counts.Add(one);
  counts.Add(one);
  counts.Add(other);
  EXPECT_EQ(counts.Of(one), 2u);
  EXPECT_EQ(counts.clients(), 2u);
  counts.Remove(one);
  counts.Remove(other);
  EXPECT_EQ(counts.Of(one), 1u);
  EXPECT_EQ(counts.Of(other), 0u);
  EXPECT_EQ(counts.clients(), 1u);
  counts.Remove(other);  // Of one that has nothing: changes nothing.
  EXPECT_EQ(counts.clients(), 1u);
}

}  // namespace
}  // namespace pharos::dns
