#include "registry/prepared_query.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "registry/catalog.h"
#include "registry/query_template.h"

namespace pharos::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

catalog::v1::Command Parse(const std::string& text) {
  catalog::v1::Command command;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, &command));
  return command;
}

// A catalog of one service `web` on three nodes, and a proxy of it.
class PreparedQueryTest : public ::testing::Test {
 protected:
  PreparedQueryTest() {
    Apply(R"(register {
      node { name: "a" address: "10.0.0.1" meta { key: "rack" value: "r1" } }
      services { name: "web" tags: ["v1", "Blue"] meta { key: "tier" value: "gold" } }
      services { name: "web-proxy" kind: "connect-proxy" proxy_destination: "Web" }
      checks { id: "disk" status: HEALTH_STATUS_WARNING } })");
    Apply(R"(register {
      node { name: "b" address: "10.0.0.2" meta { key: "rack" value: "r2" } }
      services { name: "web" tags: ["v2"] connect_native: true }
      checks { id: "alive" service_id: "web" status: HEALTH_STATUS_CRITICAL } })");
    Apply(R"(register {
      node { name: "c" address: "10.0.0.3" }
      services { name: "web" tags: ["v1"] } })");
  }

  void Apply(const std::string& text) { ASSERT_EQ(Try(text), absl::OkStatus()) << text; }
  absl::Status Try(const std::string& text) { return catalog_.Apply(++index_, Parse(text)); }
  absl::Status Set(const std::string& fields) {
    return Try("set_prepared_query { create: true query { " + fields + " } }");
  }

  const Snapshot& Current() { return *(snapshot_ = catalog_.MakeSnapshot()); }

  // The nodes of the instances that a query of these fields chooses.
  std::vector<std::string> Chosen(const std::string& fields) {
    catalog::v1::PreparedQuery::Selection selection;
    CHECK(google::protobuf::TextFormat::ParseFromString(fields, &selection));
    std::vector<std::string> nodes;
    for (const Instance* instance : SelectInstances(Current(), selection)) {
      nodes.push_back(instance->node->name);
    }
    return nodes;
  }

  // The service that the query of a name looks up, or why there is none.
  std::string Resolved(const std::string& name) {
    const auto resolved = ResolveQuery(Current(), name);
    if (!resolved.ok()) return std::string(resolved.status().message());
    std::string text = resolved->definition().service().service();
    for (const std::string& tag : resolved->definition().service().tags()) text += "," + tag;
    return text;
  }

  Catalog catalog_{"dc1"};
  std::unique_ptr<const Snapshot> snapshot_;
  uint64_t index_ = 1;
};

TEST_F(PreparedQueryTest, ChoosesTheInstancesThatFitEveryRule) {
  const struct {
    std::string_view shows;
    std::string fields;
    std::vector<std::string> want;
  } kRows[] = {
      {"critical ones are left out", "service: 'web'", {"a", "c"}},
      {"the service's name is taken without regard to case", "service: 'WEB'", {"a", "c"}},
      {"warning ones are left out when asked", "service: 'web' only_passing: true", {"c"}},
      {"all tags count, without regard to case", "service: 'web' tags: ['V1', 'blue']", {"a"}},
      {"a tag that is not wanted", "service: 'web' tags: ['v1', '!blue']", {"c"}},
      {"metadata of the node", "service: 'web' node_meta { key: 'rack' value: 'r1' }", {"a"}},
      {"a value that is another", "service: 'web' node_meta { key: 'rack' value: 'r9' }", {}},
      {"metadata of the service",
       "service: 'web' service_meta { key: 'tier' value: 'gold' }",
       {"a"}},
      {"a check that does not count", "service: 'web' ignore_check_ids: 'alive'", {"a", "b", "c"}},
      {"a check that does not count, when all must pass",
       "service: 'web' only_passing: true ignore_check_ids: ['alive', 'disk']",
       {"a", "b", "c"}},
      {"proxies and native instances instead",
       "service: 'web' connect: true ignore_check_ids: 'alive'",
       {"a", "b"}},
      {"a service that is not there", "service: 'nosuch'", {}},
  };
  for (const auto& row : kRows) EXPECT_EQ(Chosen(row.fields), row.want) << row.shows;
}

TEST_F(PreparedQueryTest, FindsByIdThenNameThenLongestTemplate) {
  ASSERT_EQ(Set("id: '1' name: 'Plain' service { service: 'web' }"), absl::OkStatus());
  ASSERT_EQ(Set("id: '2' name: 'geo-' template { type: 'name_prefix_match' }"
                "service { service: '${name.suffix}' tags: '${name.prefix}' }"),
            absl::OkStatus());
  ASSERT_EQ(Set("id: '3' name: 'geo-db-' template { type: 'name_prefix_match' "
                "regexp: '^geo-db-([^-]+)-?(.*)$' remove_empty_tags: true }"
                "service { service: '${match(1)}' tags: ['${match(2)}', '${match(9)}', "
                "'${name.full}'] }"),
            absl::OkStatus());
  const struct {
    std::string_view shows, name, want;
  } kRows[] = {
      {"a name, without regard to case", "PLAIN", "web"},
      {"an id", "1", "web"},
      {"a template's prefix", "geo-cache", "cache,geo-"},
      {"the longest prefix, and its regular expression", "geo-db-pg-v1", "pg,v1,geo-db-pg-v1"},
      {"tags that come out empty are removed", "geo-db-pg", "pg,geo-db-pg"},
      {"an expression that does not match gives nothing", "geo-db-", ",geo-db-"},
      {"no template for it", "other", "Query not found"},
      {"a template has no name to fill in when asked by its id", "2",
       "prepared query templates can only be resolved up by name, not by ID"},
  };
  for (const auto& row : kRows) EXPECT_EQ(Resolved(std::string(row.name)), row.want) << row.shows;

  ASSERT_EQ(Set("id: '4' template { type: 'name_prefix_match' } service { service: 'any' }"),
            absl::OkStatus());
  EXPECT_EQ(Resolved("other"), "any") << "a template without a name takes what is left";
}

TEST_F(PreparedQueryTest, KeepsNamesUniqueAndForgetsWhatIsRenamedOrDeleted) {
  ASSERT_EQ(Set("id: '1' name: 'one' service { service: 'web' }"), absl::OkStatus());
  EXPECT_THAT(std::string(Set("id: '2' name: 'ONE' service { service: 'web' }").message()),
              HasSubstr("aliases an existing query name"));
  EXPECT_THAT(std::string(Set("id: '2' name: '1' service { service: 'web' }").message()),
              HasSubstr("aliases an existing query ID"));
  EXPECT_THAT(
      std::string(
          Try("set_prepared_query { query { id: '9' service { service: 'web' } } }").message()),
      HasSubstr("Cannot modify non-existent prepared query: '9'"));

  Apply("set_prepared_query { query { id: '1' name: 'a.two' service { service: 'api' } } }");
  EXPECT_EQ(Resolved("one"), "Query not found");
  EXPECT_EQ(Resolved("a.two"), "api");
  EXPECT_TRUE(Current().HasQueryBelow("two"));
  const uint64_t index = Current().queries_index();
  Apply("delete_prepared_query { id: '1' }");
  EXPECT_EQ(Resolved("a.two"), "Query not found");
  EXPECT_FALSE(Current().HasQueryBelow("two"));
  EXPECT_GT(Current().queries_index(), index);
  EXPECT_THAT(std::string(Try("delete_prepared_query { id: '1' }").message()),
              HasSubstr("Cannot modify non-existent prepared query"));
}

TEST_F(PreparedQueryTest, RefusesTemplatesThatCouldNotBeFilledIn) {
  const struct {
    std::string_view shows;
    std::string fields;
    std::string_view says;
  } kRows[] = {
      {"another type", "service { service: 'web' } template { type: 'x' }",
       "Template.Type is \"x\""},
      {"no regular expression",
       "service { service: 'web' } template { type: 'name_prefix_match' regexp: '(' }",
       "Template.Regexp is \"(\""},
      {"an unknown reference",
       "template { type: 'name_prefix_match' } service { service: 'x' tags: '${nope}' }",
       "\"${nope}\" holds \"${nope}\""},
      {"a reference without an end",
       "template { type: 'name_prefix_match' } service { service: 'x' near: 'x${name.full' }",
       "expected ${name.full}"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(std::string(Set("id: '1' " + row.fields).message()),
                HasSubstr(std::string(row.says)))
        << row.shows;
  }
}

TEST(RenderTemplateText, FillsInReferencesAndKeepsTheRest) {
  const TemplateValues values{
      .full = "geo-db", .prefix = "geo-", .suffix = "db", .groups = {"all", "one"}, .segment = ""};
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"", ""},
      {"plain $ { }", "plain $ { }"},
      {"${name.full}|${ name.prefix }|${name.suffix}", "geo-db|geo-|db"},
      {"${match(0)}${match( 1 )}${match(2)}", "allone"},
      {"$${name.full}", "${name.full}"},
      {"${agent.segment}x", "x"},
  };
  for (const auto& row : kRows) {
    std::string rendered;
    EXPECT_EQ(RenderTemplateText(row.text, values, rendered), absl::OkStatus()) << row.text;
    EXPECT_EQ(rendered, row.want) << row.text;
  }
}

TEST_F(PreparedQueryTest, KeepsTheMeshOfAServiceApart) {
  const ServiceEntry* mesh = Current().FindConnect("web");
  ASSERT_NE(mesh, nullptr);
  ASSERT_EQ(mesh->instances.size(), 2U);
  EXPECT_EQ(mesh->instances[0]->service->name, "web-proxy");
  EXPECT_EQ(mesh->instances[1]->service->name, "web");
  const uint64_t index = Current().ConnectIndex("web");

  Apply(
      "register { node { name: 'a' } skip_node_update: true "
      "services { name: 'web-proxy' kind: 'connect-proxy' proxy_destination: 'api' } }");
  EXPECT_EQ(Current().FindConnect("web")->instances.size(), 1U) << "it stands for another now";
  EXPECT_EQ(Current().FindConnect("api")->instances.size(), 1U);
  EXPECT_GT(Current().ConnectIndex("web"), index);
  Apply("deregister { node: 'a' }");
  EXPECT_EQ(Current().FindConnect("api"), nullptr);
}

TEST_F(PreparedQueryTest, KnowsWhichGatewaysLetAServiceIn) {
  Apply("set_ingress_gateway { name: 'Gate' listeners { port: 80 services { name: 'Web' } } }");
  EXPECT_THAT(Current().ingress().by_service.find("web")->second, ElementsAre("gate"));
  Apply("set_ingress_gateway { name: 'gate' listeners { port: 80 services { name: 'api' } } }");
  EXPECT_EQ(Current().ingress().by_service.count("web"), 0U);
  Apply("delete_ingress_gateway { name: 'gate' }");
  EXPECT_THAT(Current().ingress().by_service, IsEmpty());
}

}  // namespace
}  // namespace pharos::registry
