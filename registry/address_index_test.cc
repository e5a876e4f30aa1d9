#include "registry/address_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pharos::registry {
namespace {

using Names = std::vector<std::string>;

template <typename T>
Ref<const T> Named(const std::string& name) {
  auto* const record = new T;
  record->name = name;
  return Ref<const T>(record);
}

// Who has the address: the nodes, and then the services.
Names HoldersOf(const AddressIndex& index, const IpAddress& address) {
  Names names;
  const AddressHolders holders = index.Find(address);
  for (const auto& node : holders.nodes) names.push_back("node " + node->name);
  for (const auto& service : holders.services) names.push_back("service " + service->name.str());
  return names;
}

TEST(AddressIndex, TellsHowManyAddressesBecomeKnown) {
  for (const char* text : {"10.0.0.7", "2001:db8::7"}) {
    SCOPED_TRACE(text);
    const IpAddress address = *IpAddress::Parse(text);
    AddressIndex index;
    const auto alpha = Named<Node>("alpha"), beta = Named<Node>("Beta");
    const auto web = Named<Service>("web");
    const Ref<const Node>* const no_node = nullptr;
    const Ref<const Service>* const no_service = nullptr;
    EXPECT_EQ(index.Replace(address, nullptr, no_node), 0);
    EXPECT_EQ(index.Replace(address, nullptr, &web), 1);
    EXPECT_EQ(HoldersOf(index, address), Names{"service web"});
    EXPECT_EQ(index.Replace(address, nullptr, &beta), 0);
    EXPECT_EQ(index.Replace(address, nullptr, &alpha), 0);
    const AddressIndex copy = index;
    EXPECT_EQ(HoldersOf(index, address), (Names{"node alpha", "node Beta", "service web"}));
    EXPECT_EQ(index.Replace(address, web.get(), no_service), 0);
    EXPECT_EQ(index.Replace(address, alpha.get(), no_node), 0);
    EXPECT_EQ(HoldersOf(index, address), Names{"node Beta"});
    EXPECT_EQ(index.Replace(address, beta.get(), &alpha), 0);
    EXPECT_EQ(HoldersOf(index, address), Names{"node alpha"});
    EXPECT_EQ(index.Replace(address, alpha.get(), no_node), -1);
    EXPECT_TRUE(index.Find(address).empty());
    EXPECT_EQ(HoldersOf(copy, address), (Names{"node alpha", "node Beta", "service web"}))
        << "a copy never changes";
  }
}

TEST(AddressIndex, KeepsManyAddressesOfBothFamiliesApart) {
  std::mt19937 random(1);
  AddressIndex index;
  std::map<std::string, Ref<const Service>> model;
  for (int step = 0; step < 20000; ++step) {
    const unsigned number = random() % 2000;
    const std::string text = number % 3 == 0 ? "2001:db8::" + std::to_string(number)
                                             : "10.0." + std::to_string(number / 250) + "." +
                                                   std::to_string(number % 250);
    const IpAddress address = *IpAddress::Parse(text);
    Ref<const Service>& holder = model[text];
    const Ref<const Service> before = holder;
    const bool goes = random() % 3 == 0;
    holder = goes ? Ref<const Service>() : Named<Service>(std::to_string(step));
    const int more = index.Replace(address, before.get(), goes ? nullptr : &holder);
    EXPECT_EQ(more, static_cast<int>(!goes) - static_cast<int>(before.get() != nullptr));
  }
  for (const auto& [text, holder] : model) {
    const Names expected = holder ? Names{"service " + holder->name.str()} : Names{};
    EXPECT_EQ(HoldersOf(index, *IpAddress::Parse(text)), expected) << text;
  }
}

}  // namespace
}  // namespace pharos::registry
