#include "agent/checks/endpoint.h"

#include <gtest/gtest.h>

namespace pharos::agent {
namespace {

TEST(ParseEndpoint, ReadsNamesAndAddressesWithAPort) {
  const struct {
    std::string_view text, host;
    uint16_t port;
  } kRows[] = {
      {"localhost:80", "localhost", 80},
      {"127.0.0.1:65535", "127.0.0.1", 65535},
      {"[::1]:443", "::1", 443},
  };
  for (const auto& row : kRows) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(row.text);
    ASSERT_TRUE(endpoint.ok()) << row.text;
    EXPECT_EQ(endpoint->host, row.host) << row.text;
    EXPECT_EQ(endpoint->port, row.port) << row.text;
  }
}

TEST(ParseEndpoint, RefusesEverythingElse) {
  for (const std::string_view text :
       {"", "localhost", ":80", "localhost:", "localhost:0", "localhost:65536", "localhost:8x",
        "::1:80", "[]:80", "localhost:-1"}) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
    EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace pharos::agent
