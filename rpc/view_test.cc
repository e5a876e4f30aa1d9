#include "rpc/view.h"

#include <gmock/gmock.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "registry/catalog.h"

namespace pharos::rpc {
namespace {

using discovery::v1::WatchResponse;
using discovery::v1::WatchServicesResponse;
using testing::ElementsAre;
using testing::Pair;

template <typename Message>
Message Decode(::grpc::ByteBuffer octets) {
  Message message;
  CHECK(::grpc::SerializationTraits<Message>::Deserialize(&octets, &message).ok());
  return message;
}

// A catalog, and a client that applies what a view says of it.
class ViewTest : public testing::Test {
 protected:
  ViewTest() : catalog_("dc1"), snapshot_(catalog_.MakeSnapshot()) {}

  void Apply(const catalog::v1::Command& command) {
    CHECK(catalog_.Apply(++index_, command).ok());
    snapshot_ = catalog_.MakeSnapshot();
  }
  void Set(const std::string& node, const std::string& id, int port,
           catalog::v1::HealthStatus health = catalog::v1::HEALTH_STATUS_PASSING) {
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    change.mutable_node()->set_name(node);
    change.mutable_node()->set_address("10.0.0.1");
    catalog::v1::Service& service = *change.add_services();
    service.set_name("web");
    service.set_id(id);
    service.set_port(static_cast<uint32_t>(port));
    catalog::v1::HealthCheck& check = *change.add_checks();
    check.set_id("c-" + id);
    check.set_service_id(id);
    check.set_status(health);
    Apply(command);
  }
  void Remove(const std::string& node, const std::string& id) {
    catalog::v1::Command command;
    command.mutable_deregister()->set_node(node);
    command.mutable_deregister()->set_service_id(id);
    Apply(command);
  }

  static std::unique_ptr<View> MakeView(registry::Include include = registry::Include::kHealthy) {
    InstanceQuery query;
    query.lower_service = "web";
    query.include = include;
    return std::make_unique<InstancesView>(5, std::move(query));
  }

  void Take(const ::grpc::ByteBuffer& octets) {
    last_ = Decode<WatchResponse>(octets);
    if (last_.full()) state_.clear();
    for (const auto& key : last_.removed()) state_.erase(absl::StrCat(key.node(), "/", key.id()));
    for (const auto& instance : last_.changed()) {
      state_[absl::StrCat(instance.node(), "/", instance.id())] = static_cast<int>(instance.port());
    }
  }

  registry::Catalog catalog_;
  uint64_t index_ = 1;
  std::unique_ptr<const registry::Snapshot> snapshot_;
  WatchResponse last_;
  std::map<std::string, int> state_;
};

TEST_F(ViewTest, SaysStepByStepWhatChanges) {
  const std::unique_ptr<View> view = MakeView();
  Set("beta", "w2", 2);
  EXPECT_TRUE(view->Refresh(*snapshot_, nullptr));
  Take(view->Full(*snapshot_));
  EXPECT_THAT(state_, ElementsAre(Pair("beta/w2", 2)));
  EXPECT_EQ(last_.epoch(), 5U);
  uint64_t version = view->version();
  const struct {
    std::string_view shows;
    std::function<void()> change;
    std::map<std::string, int> want;
  } kRows[] = {
      {"one comes before it", [&] { Set("alpha", "w9", 9); }, {{"alpha/w9", 9}, {"beta/w2", 2}}},
      {"one comes after it",
       [&] { Set("beta", "w3", 3); },
       {{"alpha/w9", 9}, {"beta/w2", 2}, {"beta/w3", 3}}},
      {"one changes",
       [&] { Set("beta", "w2", 22); },
       {{"alpha/w9", 9}, {"beta/w2", 22}, {"beta/w3", 3}}},
      {"one fails",
       [&] { Set("beta", "w3", 3, catalog::v1::HEALTH_STATUS_CRITICAL); },
       {{"alpha/w9", 9}, {"beta/w2", 22}}},
      {"and heals",
       [&] { Set("beta", "w3", 3); },
       {{"alpha/w9", 9}, {"beta/w2", 22}, {"beta/w3", 3}}},
      {"the first goes", [&] { Remove("alpha", "w9"); }, {{"beta/w2", 22}, {"beta/w3", 3}}},
      {"an id changes its spelling",
       [&] { Set("beta", "W3", 3); },
       {{"beta/w2", 22}, {"beta/W3", 3}}},
      {"the last goes", [&] { Remove("beta", "w3"); }, {{"beta/w2", 22}}},
      {"all are gone", [&] { Remove("beta", "w2"); }, {}},
  };
  for (const auto& row : kRows) {
    row.change();
    EXPECT_TRUE(view->Refresh(*snapshot_, nullptr)) << row.shows;
    const ::grpc::ByteBuffer* step = view->StepFrom(version++);
    ASSERT_NE(step, nullptr) << row.shows;
    Take(*step);
    EXPECT_FALSE(last_.full()) << row.shows;
    EXPECT_EQ(state_, row.want) << row.shows;
    EXPECT_EQ(last_.index(), index_) << row.shows;
  }
  EXPECT_EQ(view->StepFrom(version), nullptr);
}

TEST_F(ViewTest, MakesNoStepOfWhatNobodySees) {
  const std::unique_ptr<View> view = MakeView(registry::Include::kPassing);
  view->Refresh(*snapshot_, nullptr);
  Set("alpha", "w1", 1, catalog::v1::HEALTH_STATUS_CRITICAL);
  EXPECT_FALSE(view->Refresh(*snapshot_, nullptr));
  EXPECT_EQ(view->version(), 1U);
  EXPECT_EQ(view->VersionAt(index_), 1U) << "a client with the newer index lacks nothing";
}

TEST_F(ViewTest, ResumesFromWhatItStillKnows) {
  const std::unique_ptr<View> view = MakeView();
  Set("alpha", "w1", 1);
  const uint64_t first = index_;
  view->Refresh(*snapshot_, nullptr);
  EXPECT_EQ(view->VersionAt(first - 1), std::nullopt) << "from before the view";
  EXPECT_EQ(view->VersionAt(first + 1), std::nullopt) << "from the future";
  std::vector<uint64_t> indexes = {first};
  for (int i = 0; i < 300; ++i) {
    Set("alpha", "w1", 100 + i);
    view->Refresh(*snapshot_, nullptr);
    indexes.push_back(index_);
  }
  EXPECT_EQ(view->VersionAt(indexes.back()), view->version());
  EXPECT_EQ(view->VersionAt(indexes[299]), view->version() - 1);
  EXPECT_EQ(view->VersionAt(first), std::nullopt) << "too many steps ago";
  const auto oldest = view->VersionAt(indexes[300 - View::kChangesMax]);
  ASSERT_TRUE(oldest);
  EXPECT_NE(view->StepFrom(*oldest), nullptr);
  EXPECT_EQ(view->StepFrom(*oldest - 1), nullptr);
}

TEST_F(ViewTest, KeepsStepsWithinABoundOfOctets) {
  const std::unique_ptr<View> view = MakeView();
  view->Refresh(*snapshot_, nullptr);
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name("alpha");
  change.mutable_node()->set_address("10.0.0.1");
  for (int i = 0; i < 3000; ++i) {
    catalog::v1::Service& service = *change.add_services();
    service.set_name("web");
    service.set_id(absl::StrCat("w", i));
    service.add_tags(std::string(500, 't'));
  }
  Apply(command);
  EXPECT_TRUE(view->Refresh(*snapshot_, nullptr));
  EXPECT_EQ(view->StepFrom(1), nullptr) << "a step larger than the bound is not kept";
  Take(view->Full(*snapshot_));
  EXPECT_EQ(state_.size(), 3000U);
}

TEST_F(ViewTest, FollowsServices) {
  ServicesView view(5, "w");
  view.Refresh(*snapshot_, nullptr);
  Set("alpha", "w1", 1);
  const std::set<std::string> topics = {"S", "sweb"};
  EXPECT_TRUE(view.Refresh(*snapshot_, &topics));
  auto step = Decode<WatchServicesResponse>(*view.StepFrom(1));
  ASSERT_EQ(step.changed_size(), 1);
  EXPECT_EQ(step.changed(0).name(), "web");
  EXPECT_EQ(step.changed(0).passing_count(), 1U);
  EXPECT_FALSE(view.Refresh(*snapshot_, &topics)) << "nothing has changed";
  const auto full = Decode<WatchServicesResponse>(view.Full(*snapshot_));
  EXPECT_EQ(full.changed_size(), 1);
  Remove("alpha", "w1");
  EXPECT_TRUE(view.Refresh(*snapshot_, &topics));
  step = Decode<WatchServicesResponse>(*view.StepFrom(2));
  EXPECT_THAT(step.removed(), ElementsAre("web"));
}

}  // namespace
}  // namespace pharos::rpc
