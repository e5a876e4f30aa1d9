#include "cluster/state_machine.h"

#include <utility>

namespace pharos::cluster {

StateMachine::StateMachine(std::string datacenter)
    : catalog_(std::move(datacenter)), published_(catalog_.MakeSnapshot()) {}

absl::Status StateMachine::Apply(const catalog::v1::Command& command) {
  return catalog_.Apply(++last_index_, command);
}

void StateMachine::Publish() { published_.Publish(catalog_.MakeSnapshot()); }

}  // namespace pharos::cluster
