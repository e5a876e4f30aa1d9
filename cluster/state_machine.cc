#include "cluster/state_machine.h"

#include <utility>

namespace pharos::cluster {

StateMachine::StateMachine(std::string datacenter)
    : catalog_(std::move(datacenter)), published_(catalog_.MakeSnapshot()) {}

absl::Status StateMachine::Apply(const catalog::v1::Command& command) {
  return catalog_.Apply(++last_index_, command);
}

const registry::Changes& StateMachine::Publish() {
  published_.Publish(catalog_.MakeSnapshot());
  return catalog_.changes();
}

}  // namespace pharos::cluster
