#include "agent/config/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/hcl.h"

namespace pharos::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Read {
  std::vector<WatchDefinition> watches;
  DefinitionNotes notes;
  std::string problems;
};

Read ReadText(std::string_view text) {
  const SourceNames names = {"f"};
  const auto tree = ReadHcl(text, "f", 0);
  EXPECT_TRUE(tree.ok()) << tree.status();
  Problems problems(names);
  Read read;
  read.watches = ReadWatches(tree->Find("watches"), problems, read.notes);
  read.problems = std::string(problems.ToStatus().message());
  return read;
}

TEST(ReadWatches, KnowsWhatEachTypeWatches) {
  const struct {
    std::string_view fields, path;
    TextPairs query;
  } kRows[] = {
      {R"(type = "services")", "/v1/catalog/services", {}},
      {R"(type = "nodes" datacenter = "dc2" stale = true)",
       "/v1/catalog/nodes",
       {{"dc", "dc2"}, {"stale", ""}}},
      {R"(type = "service" service = "a b" tag = ["x", "y"] passingonly = true)",
       "/v1/health/service/a%20b",
       {{"tag", "x"}, {"tag", "y"}, {"passing", "1"}}},
      {R"(type = "service" service = "web" tag = "x" filter = "Service.Port == 80")",
       "/v1/health/service/web",
       {{"filter", "Service.Port == 80"}, {"tag", "x"}}},
      {R"(type = "checks")", "/v1/health/state/any", {}},
      {R"(type = "checks" state = "critical")", "/v1/health/state/critical", {}},
      {R"(type = "checks" service = "web")", "/v1/health/checks/web", {}},
      {R"(type = "agent_service" service_id = "web-1")", "/v1/agent/service/web-1", {}},
  };
  for (const auto& row : kRows) {
    const Read read = ReadText("watches = [{ args = [\"true\"] " + std::string(row.fields) + " }]");
    EXPECT_EQ(read.problems, "") << row.fields;
    ASSERT_EQ(read.watches.size(), 1U) << row.fields;
    EXPECT_EQ(read.watches[0].path, row.path);
    EXPECT_EQ(read.watches[0].query, row.query) << row.fields;
    EXPECT_EQ(read.watches[0].by_hash, row.path == "/v1/agent/service/web-1");
  }
}

TEST(ReadWatches, KnowsWhoIsCalled) {
  const Read read = ReadText(R"(watches = [
    { type = "nodes" handler = "cat >x" },
    { type = "nodes" handler_type = "script" args = ["a", "b"] },
    { type = "nodes" handler_type = "http" http_handler_config {
        path = "https://h/" method = "PUT" timeout = "3s" tls_skip_verify = true
        header { A = ["1", "2"] } } }])");
  EXPECT_EQ(read.problems, "");
  ASSERT_EQ(read.watches.size(), 3U);
  EXPECT_THAT(read.watches[0].args, ElementsAre("/bin/sh", "-c", "cat >x"));
  EXPECT_THAT(read.watches[1].args, ElementsAre("a", "b"));
  const WatchHttpHandler& http = read.watches[2].http;
  EXPECT_EQ(http.url, "https://h/");
  EXPECT_EQ(http.method, "PUT");
  EXPECT_EQ(http.timeout, absl::Seconds(3));
  EXPECT_TRUE(http.tls_skip_verify);
  EXPECT_THAT(http.headers, ElementsAre("A: 1", "A: 2"));
}

TEST(ReadWatches, RefusesWhatCannotBeCalled) {
  const struct {
    std::string_view fields, problem;
  } kRows[] = {
      {R"(type = "nodes")", "expected args, or handler_type = \"http\""},
      {R"(type = "zz" args = ["a"])", "type is \"zz\"; expected services"},
      {R"(args = ["a"])", "type is \"\"; expected services"},
      {R"(type = "service" args = ["a"])", "a watch of type service needs service"},
      {R"(type = "nodes" args = ["a"] handler = "b")", "takes handler or args, not both"},
      {R"(type = "nodes" args = ["a"] handler_type = "x")",
       "handler_type is \"x\"; expected script or http"},
      {R"(type = "nodes" handler_type = "http")", "expected http_handler_config"},
      {R"(type = "nodes" handler_type = "http" http_handler_config { path = "ftp://x" })",
       "expected an http or https URL"},
      {R"(type = "nodes" args = ["a"] bogus = 1)", "bogus"},
  };
  for (const auto& row : kRows) {
    const Read read = ReadText("watches = [{ " + std::string(row.fields) + " }]");
    EXPECT_THAT(read.problems, HasSubstr(std::string(row.problem))) << row.fields;
  }
}

TEST(ReadWatches, LeavesOutWhatIsNotThereYet) {
  const Read read = ReadText(R"(watches = [{ type = "keyprefix" prefix = "a/" args = ["a"] }])");
  EXPECT_EQ(read.problems, "");
  EXPECT_THAT(read.watches, IsEmpty());
  EXPECT_THAT(read.notes.no_effect_keys, ElementsAre("watches[0] (type keyprefix)"));
}

}  // namespace
}  // namespace pharos::agent
