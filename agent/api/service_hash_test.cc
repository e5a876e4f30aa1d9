#include "agent/api/service_hash.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pharos::agent {
namespace {

// The hashes are those that Consul 1.8.7 gives the same services.
TEST(ServiceContentHash, IsConsuls) {
  registry::Service foo;
  foo.id = foo.name = "foo";
  foo.tags = std::vector<std::string>{"bar", "baz"};
  foo.port = 8000;
  EXPECT_EQ(ServiceContentHash(foo), "6b13684bfe179e67");

  registry::Service addressed;
  addressed.id = "a1";
  addressed.name = "addr";
  addressed.address = "10.0.0.1";
  addressed.port = 80;
  addressed.meta = registry::StringPairs{{"v", "1"}};
  registry::ServiceDetails details;
  details.tagged_addresses = {
      {"lan_ipv4", "10.0.0.1", 80}, {"wan", "1.2.3.4", 99}, {"wan_ipv4", "10.0.0.1", 80}};
  addressed.details = details;
  EXPECT_EQ(ServiceContentHash(addressed), "8829ae9b181901af");

  addressed.port = 81;
  EXPECT_NE(ServiceContentHash(addressed), "8829ae9b181901af");
}

}  // namespace
}  // namespace pharos::agent
