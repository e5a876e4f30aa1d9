#include "cluster/consensus.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"

namespace pharos::cluster {
namespace {

using catalog::v1::Command;

Command RegisterService(const std::string& node, const std::string& service, int port) {
  Command command;
  command.mutable_register_()->mutable_node()->set_name(node);
  command.mutable_register_()->mutable_node()->set_address("10.0.0.1");
  catalog::v1::Service& added = *command.mutable_register_()->add_services();
  added.set_name(service);
  added.set_port(static_cast<uint32_t>(port));
  return command;
}

TEST(Consensus, AChangeIsVisibleWhenItIsAcknowledged) {
  const ManualClock clock(absl::FromUnixSeconds(1'700'000'123));
  Consensus consensus("dc1", clock);
  for (int i = 1; i <= 20; ++i) {
    const absl::StatusOr<uint64_t> index =
        consensus.ProposeAndWait(RegisterService("alpha", absl::StrFormat("s%d", i), i));
    ASSERT_TRUE(index.ok()) << index.status();
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
    EXPECT_GE(snapshot->index(), *index);
    EXPECT_EQ(snapshot->changed_unix_s(), 1'700'000'123);
    EXPECT_NE(snapshot->FindService(absl::StrFormat("s%d", i)), nullptr);
  }
}

TEST(Consensus, ABadChangeIsRefusedInWordsAndChangesNothing) {
  const RealClock clock;
  Consensus consensus("dc1", clock);
  const absl::StatusOr<uint64_t> refused =
      consensus.ProposeAndWait(RegisterService("alpha", "web", 70000));
  EXPECT_EQ(refused.status().message(),
            "service.port is \"70000\"; expected a port from 0 to 65535");
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
  EXPECT_EQ(snapshot->FindNode("alpha"), nullptr);
}

TEST(Consensus, ManyProposersAllHearTheirOwnOutcome) {
  const RealClock clock;
  Consensus consensus("dc1", clock);
  std::atomic<int> failed{0};
  std::vector<std::thread> proposers;
  proposers.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    proposers.emplace_back([&, thread] {
      for (int i = 0; i < 100; ++i) {
        const std::string name = absl::StrFormat("s-%d-%d", thread, i);
        if (!consensus.ProposeAndWait(RegisterService("alpha", name, 1)).ok()) ++failed;
        const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
        if (snapshot->FindService(name) == nullptr) ++failed;
      }
    });
  }
  for (std::thread& proposer : proposers) proposer.join();
  EXPECT_EQ(failed, 0);
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
  EXPECT_EQ(snapshot->FindNode("alpha")->services.size(), 400u);
}

// A reader that looks at both halves of a batch never finds only one of them.
TEST(Consensus, ABatchIsSeenWholeOrNotAtAll) {
  const RealClock clock;
  Consensus consensus("dc1", clock);
  std::atomic<bool> stop{false}, torn{false};
  std::thread reader([&] {
    while (!stop) {
      const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
      const registry::ServiceEntry* left = snapshot->FindService("left");
      const registry::ServiceEntry* right = snapshot->FindService("right");
      if ((left == nullptr) != (right == nullptr)) torn = true;
      if (left != nullptr && right != nullptr &&
          left->instances[0]->service->port != right->instances[0]->service->port) {
        torn = true;
      }
    }
  });
  for (int i = 0; i < 300; ++i) {
    Command command;
    *command.mutable_batch()->add_commands() = RegisterService("alpha", "left", i);
    *command.mutable_batch()->add_commands() = RegisterService("beta", "right", i);
    ASSERT_TRUE(consensus.ProposeAndWait(command).ok());
  }
  stop = true;
  reader.join();
  EXPECT_FALSE(torn);
}

TEST(Consensus, StoppingAnswersEveryProposal) {
  const RealClock clock;
  std::atomic<int> answered{0};
  {
    Consensus consensus("dc1", clock);
    for (int i = 0; i < 50; ++i) {
      consensus.Propose(RegisterService("alpha", absl::StrFormat("s%d", i), 1),
                        [&answered](const absl::StatusOr<uint64_t>&) { ++answered; });
    }
  }
  EXPECT_EQ(answered, 50);
}

}  // namespace
}  // namespace pharos::cluster
