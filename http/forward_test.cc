#include "http/forward.h"

#include <gtest/gtest.h>

namespace pharos::http {
namespace {

TEST(Forward, SaysWhoAnswers) {
  struct Row {
    const char* path;
    const char* datacenter;
    const char* by_server;
    const char* by_copy;
    const char* by_parts;
  };
  constexpr char kHere[] = "here";
  const Row rows[] = {
      {"/v1/catalog/services", "", kHere, kHere, "dc1"},
      {"/v1/health/service/web", "", kHere, kHere, "dc1"},
      {"/v1/health/service/web", "dc1", kHere, kHere, "dc1"},
      {"/v1/health/service/web", "DC2", "dc2", "dc2", "dc2"},
      {"/v1/operator/raft/configuration", "", kHere, "dc1", "dc1"},
      {"/v1/snapshot", "", kHere, "dc1", "dc1"},
      {"/v1/agent/services", "dc2", kHere, kHere, kHere},
      {"/v1/status/leader", "", kHere, kHere, kHere},
      {"/v1/event/fire/deploy", "dc2", "dc2", "dc2", "dc2"},
      {"/v1/event/list", "dc2", kHere, kHere, kHere},
      {"/v1/catalog/datacenters", "dc2", kHere, kHere, kHere},
      {"/ui/", "dc2", kHere, kHere, kHere},
  };
  for (const Row& row : rows) {
    Request request;
    request.path = row.path;
    if (*row.datacenter != '\0') request.query.emplace_back("dc", row.datacenter);
    const auto by = [&request](Answers answers) {
      return AnsweredElsewhere(request, "dc1", answers).value_or("here");
    };
    EXPECT_EQ(by(Answers::kAll), row.by_server) << row.path;
    EXPECT_EQ(by(Answers::kWhatIsCopied), row.by_copy) << row.path;
    EXPECT_EQ(by(Answers::kWhatIsItsOwn), row.by_parts) << row.path;
  }
}

TEST(Forward, PutsWanAddressesInThePlaceOfOthers) {
  EXPECT_EQ(WithWanAddresses(R"([{"Node":"a","Address":"10.0.0.1",)"
                             R"("TaggedAddresses":{"lan":"10.0.0.1","wan":"198.51.100.1"}}])"),
            R"([{"Node":"a","Address":"198.51.100.1",)"
            R"("TaggedAddresses":{"lan":"10.0.0.1","wan":"198.51.100.1"}}])");
  EXPECT_EQ(
      WithWanAddresses(R"({"ServiceAddress":"","ServicePort":80,"ServiceTaggedAddresses":)"
                       R"({"wan":{"Address":"198.51.100.2","Port":8080}},"Address":"10.0.0.1"})"),
      R"({"ServiceAddress":"198.51.100.2","ServicePort":8080,"ServiceTaggedAddresses":)"
      R"({"wan":{"Address":"198.51.100.2","Port":8080}},"Address":"10.0.0.1"})");
  // Without a port of its own the service's stays.
  EXPECT_EQ(WithWanAddresses(R"({"Service":{"Address":"10.0.0.1","Port":80,"TaggedAddresses":)"
                             R"({"wan":{"Address":"198.51.100.3","Port":0}}}})"),
            R"({"Service":{"Address":"198.51.100.3","Port":80,"TaggedAddresses":)"
            R"({"wan":{"Address":"198.51.100.3","Port":0}}}})");
  for (const char* same : {"No path to datacenter", "[]", "null", R"({"TaggedAddresses":[1]})",
                           R"({"Port":1,"TaggedAddresses":{"wan":{"Port":"x"}}})",
                           R"({"TaggedAddresses":{"wan":7},"Address":"a"})"}) {
    EXPECT_EQ(WithWanAddresses(same), same);
  }
}

}  // namespace
}  // namespace pharos::http
