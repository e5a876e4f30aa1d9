#include "registry/instance_changes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace pharos::registry {
namespace {

Ref<const Node> NodeOf(const std::string& name) {
  auto* node = new Node;
  node->name = name;
  return Ref<const Node>(node);
}

Ref<const Service> ServiceOf(const std::string& id) {
  auto* service = new Service;
  service->id = id;
  return Ref<const Service>(service);
}

InstanceChange Change(const std::string& node, const std::string& id, bool removed = false) {
  InstanceChange change{NodeOf(node), ServiceOf(id), {}};
  if (!removed) change.instance = Ref<const Instance>(new Instance);
  return change;
}

// "node/id" of each, with a minus before it where it was removed.
std::vector<std::string> Told(InstanceChanges& changes) {
  std::vector<std::string> told;
  for (const InstanceChange& change : changes.Sorted()) {
    told.push_back((change.instance ? "" : "-") + change.node->name + "/" +
                   change.service->id.str());
  }
  return told;
}

TEST(InstanceChanges, AreInOrderOfNodeAndIdWithoutRegardToCase) {
  InstanceChanges changes;
  EXPECT_TRUE(changes.empty());
  for (const char* const node : {"b", "A", "C", "aa"}) {
    changes.Add(Change(node, "y"));
    changes.Add(Change(node, "X"));
  }
  EXPECT_FALSE(changes.empty());
  EXPECT_EQ(Told(changes),
            (std::vector<std::string>{"A/X", "A/y", "aa/X", "aa/y", "b/X", "b/y", "C/X", "C/y"}));
}

TEST(InstanceChanges, KeepTheLastWordOnEach) {
  InstanceChanges changes;
  changes.Add(Change("n", "web"));
  changes.Add(Change("N", "WEB", true));
  changes.Add(Change("n", "db", true));
  changes.Add(Change("n", "DB"));
  EXPECT_EQ(Told(changes), (std::vector<std::string>{"n/DB", "-N/WEB"}));
  changes.Add(Change("n", "Web"));
  EXPECT_EQ(Told(changes), (std::vector<std::string>{"n/DB", "n/Web"}));
}

// A log that is read again at a start is not looked at in between.
TEST(InstanceChanges, OfFewInstancesAreFewHoweverOftenTheyCome) {
  InstanceChanges changes;
  const Ref<const Node> node = NodeOf("n");
  const Ref<const Service> services[] = {ServiceOf("a"), ServiceOf("b")};
  size_t alive_max = 0;
  std::vector<Ref<const Instance>> made;
  for (int i = 0; i < 1000; ++i) {
    made.emplace_back(new Instance);
    changes.Add({node, services[i % 2], made.back()});
    size_t alive = 0;
    for (const auto& instance : made) alive += instance.unique() ? 0 : 1;
    alive_max = std::max(alive_max, alive);
  }
  EXPECT_LE(alive_max, 40u);
  EXPECT_EQ(changes.Sorted().size(), 2u);
  EXPECT_EQ(changes.Sorted()[0].instance, made[998]);
  EXPECT_EQ(changes.Sorted()[1].instance, made[999]);
}

}  // namespace
}  // namespace pharos::registry
