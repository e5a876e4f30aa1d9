#include "registry/image.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/check.h"
#include "registry/records.h"

namespace pharos::registry {
namespace {

catalog::v1::Command Parse(const std::string& text) {
  catalog::v1::Command command;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, &command));
  return command;
}

const char* const kCommands[] = {
    R"pb(time_unix_ms: 1700000000000
         register {
           node {
             name: "Alpha"
             id: "8d1e22a2-0d4c-4f3b-9a50-2c5b7f0f7c11"
             address: "10.0.0.1"
             meta { key: "rack" value: "4" }
             locality { region: "eu" zone: "a" }
             tagged_addresses { key: "wan" value: "192.0.2.1" }
           }
           services {
             id: "web-1"
             name: "Web"
             port: 80
             tags: "v1"
             weights { passing: 5 warning: 0 }
             meta { key: "a" value: "b" }
             tagged_addresses {
               key: "lan_ipv4"
               value { address: "10.1.1.1" port: 8080 }
             }
           }
           services { name: "db" address: "db.example.com" }
           checks {
             id: "c"
             name: "C"
             status: HEALTH_STATUS_WARNING
             service_id: "web-1"
             output: "x"
           }
         })pb",
    R"pb(time_unix_ms: 1700000001000
         register {
           node { name: "beta" address: "10.0.0.2" }
           services { name: "web-proxy" kind: "connect-proxy" proxy_destination: "web" port: 1 }
           services { name: "gone" }
           services { id: "web-2" name: "web" port: 81 connect_native: true tags: "v2" }
           checks { id: "n" name: "N" status: HEALTH_STATUS_CRITICAL }
         })pb",
    R"pb(time_unix_ms: 1700000002000
         deregister { node: "beta" service_id: "gone" })pb",
    R"pb(time_unix_ms: 1700000003000
         set_prepared_query {
           create: true
           query {
             id: "3ab2b2f0-5a3f-4f9f-9a3c-0a4c8a6f6c11"
             name: "geo"
             template { type: "name_prefix_match" regexp: "^geo-(.+)$" }
             service { service: "${match(1)}" }
             dns_ttl: "10s"
           }
         })pb",
    R"pb(time_unix_ms: 1700000004000
         set_ingress_gateway {
           name: "Gate"
           listeners {
             port: 8080
             services { name: "*" }
           }
         })pb",
    R"pb(time_unix_ms: 1700000005000
         register { node { name: "alpha" address: "10.0.0.3" } })pb",
};

std::vector<std::string> Image(const Snapshot& snapshot) {
  std::vector<std::string> chunks;
  WriteImage(snapshot, [&chunks](std::string chunk) { chunks.push_back(std::move(chunk)); });
  return chunks;
}

absl::StatusOr<std::unique_ptr<Catalog>> Read(const std::vector<std::string>& chunks) {
  ImageReader reader;
  for (const std::string& chunk : chunks) {
    if (absl::Status added = reader.Add(chunk); !added.ok()) return added;
  }
  return reader.Finish();
}

// In the order of names, so that two catalogs can be compared as text.
std::string Text(const Snapshot& snapshot) {
  catalog::v1::ImageChunk all;
  for (const std::string& octets : Image(snapshot)) {
    catalog::v1::ImageChunk chunk;
    CHECK(chunk.ParseFromString(octets));
    all.MergeFrom(chunk);
  }
  std::vector<std::string> texts;
  for (const auto& record : all.records()) {
    google::protobuf::TextFormat::Printer printer;
    std::string text;
    CHECK(printer.PrintToString(record, &text));
    texts.push_back(std::move(text));
  }
  std::sort(texts.begin(), texts.end());
  std::string text;
  for (const std::string& each : texts) text += each + "\n";
  return text;
}

TEST(Image, ACatalogComesBackWithAllItHadAndEveryIndex) {
  Catalog catalog("dc1");
  uint64_t index = 10;
  for (const char* command : kCommands) {
    ASSERT_TRUE(catalog.Apply(++index, Parse(command)).ok()) << command;
  }
  const auto before = catalog.MakeSnapshot();
  const auto read = Read(Image(*before));
  ASSERT_TRUE(read.ok()) << read.status();
  const auto after = (*read)->MakeSnapshot();
  EXPECT_EQ(Text(*before), Text(*after));
  EXPECT_EQ(after->index(), before->index());
  EXPECT_EQ(after->ServiceIndex("web"), before->ServiceIndex("web"));
  EXPECT_EQ(after->ServiceIndex("gone"), before->ServiceIndex("gone"));
  EXPECT_EQ(after->ConnectIndex("web"), before->ConnectIndex("web"));
  ASSERT_NE(after->FindService("web"), nullptr);
  EXPECT_EQ(after->FindService("web")->instances.size(), 2u);
  EXPECT_EQ(after->FindService("web")->instances[0]->srv_weight,
            before->FindService("web")->instances[0]->srv_weight);
  EXPECT_NE(after->FindConnect("web"), nullptr);
  EXPECT_NE(after->FindQueryTemplate("geo-web"), nullptr);
  EXPECT_TRUE(after->HasTag("v2"));
  EXPECT_FALSE(after->FindAddress(*IpAddress::Parse("10.0.0.3")).empty());
  EXPECT_TRUE(after->FindAddress(*IpAddress::Parse("10.0.0.1")).empty());
}

// The same further commands lead to the same catalog, whether or not it went through an image.
TEST(Image, AppliedToFurtherOnItStaysTheSame) {
  constexpr size_t kAll = std::size(kCommands);
  for (size_t cut = 0; cut <= kAll; ++cut) {
    Catalog straight("dc1");
    auto through = std::make_unique<Catalog>("dc1");
    for (size_t i = 0; i < kAll; ++i) {
      if (i == cut) {
        auto read = Read(Image(*through->MakeSnapshot()));
        ASSERT_TRUE(read.ok()) << read.status();
        through = *std::move(read);
        through->MakeSnapshot();
        straight.MakeSnapshot();
      }
      ASSERT_TRUE(straight.Apply(i + 2, Parse(kCommands[i])).ok());
      ASSERT_TRUE(through->Apply(i + 2, Parse(kCommands[i])).ok());
    }
    EXPECT_EQ(Text(*straight.MakeSnapshot()), Text(*through->MakeSnapshot())) << "cut at " << cut;
  }
}

TEST(Image, WhatIsMissingOrBrokenIsNoticed) {
  Catalog catalog("dc1");
  ASSERT_TRUE(catalog.Apply(2, Parse(kCommands[0])).ok());
  const std::vector<std::string> whole = Image(*catalog.MakeSnapshot());
  ASSERT_EQ(whole.size(), 1u);

  catalog::v1::ImageChunk chunk;
  ASSERT_TRUE(chunk.ParseFromString(whole[0]));
  catalog::v1::ImageChunk headless = chunk, twice = chunk, cut = chunk, unknown = chunk;
  headless.mutable_records()->DeleteSubrange(0, 1);
  twice.add_records()->CopyFrom(chunk.records(1));
  cut.mutable_records()->DeleteSubrange(1, 1);
  unknown.add_records();
  const struct {
    std::string_view shows;
    std::string given;
    std::string_view want;
  } kRows[] = {
      {"no chunk at all", "\xff\xff\xff", "a chunk of the image cannot be read"},
      {"the header is first", headless.SerializeAsString(),
       "the image does not begin with its header"},
      {"a node twice", twice.SerializeAsString(), "the image has node \"Alpha\" twice"},
      {"a node missing", cut.SerializeAsString(),
       "the image has 0 nodes, 0 queries and 0 gateways; its header says 1, 0 and 0"},
      {"a kind of record not known", unknown.SerializeAsString(),
       "the image has a record of a kind that this version of Pharos does not know: it was written "
       "by a newer one"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(std::string(Read({row.given}).status().message()), row.want) << row.shows;
  }
  EXPECT_EQ(Read({}).status().message(), "the image is empty");
}

TEST(Image, TakingTheirPlaceTellsOfAllThatDiffers) {
  Catalog old("dc1"), other("dc1");
  ASSERT_TRUE(old.Apply(2, Parse(R"pb(register {
                                        node { name: "old" address: "10.0.0.9" }
                                        services { name: "left" }
                                      })pb"))
                  .ok());
  const auto before = old.MakeSnapshot();
  ASSERT_TRUE(other.Apply(2, Parse(kCommands[0])).ok());
  auto read = Read(Image(*other.MakeSnapshot()));
  ASSERT_TRUE(read.ok());
  (*read)->Supersede(*before);
  const auto after = (*read)->MakeSnapshot();
  EXPECT_EQ(after->FindService("left"), nullptr);
  const Changes& changes = (*read)->changes();
  EXPECT_TRUE(changes.nodes && changes.services && changes.checks);
  EXPECT_EQ(changes.node_names, (std::vector<std::string>{"alpha", "old"}));
  EXPECT_EQ(changes.service_names, (std::vector<std::string>{"db", "left", "web"}));
}

}  // namespace
}  // namespace pharos::registry
