#include "cluster/gossip_catalog.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "cluster/gossip_tags.h"
#include "registry/records.h"

namespace pharos::cluster {
namespace {

using catalog::v1::Command;
using gossip::Member;
using gossip::MemberEvent;
using gossip::MemberStatus;
using registry::NodeEntry;

const registry::HealthCheck* FindSerfHealth(const NodeEntry& entry) {
  for (const auto& check : entry.checks) {
    if (check->id == kSerfHealth && check->service_id.empty()) return check.get();
  }
  return nullptr;
}

void SetSerfHealth(bool alive, catalog::v1::HealthCheck& check) {
  check.set_id(kSerfHealth);
  check.set_name("Serf Health Status");
  check.set_status(alive ? catalog::v1::HEALTH_STATUS_PASSING
                         : catalog::v1::HEALTH_STATUS_CRITICAL);
  check.set_output(alive ? "Agent alive and reachable" : "Agent not live or unreachable");
}

bool SaysAlive(const registry::HealthCheck& check) {
  return check.status == registry::Health::kPassing;
}

// What the agent itself has registered of its node stays: it knows more of it than the pool does.
void FillNode(const Member& member, const std::string& datacenter, const NodeEntry* entry,
              catalog::v1::Node& node) {
  node.set_name(member.name);
  node.set_id(member.Tag("id"));
  node.set_address(member.address.ip.ToString());
  node.set_datacenter(datacenter);
  if (entry == nullptr) return;
  for (const auto& [key, value] : entry->node->meta) (*node.mutable_meta())[key] = value;
  for (const auto& [key, value] : entry->node->tagged_addresses) {
    (*node.mutable_tagged_addresses())[key] = value;
  }
  node.mutable_locality()->set_region(entry->node->locality.get().region);
  node.mutable_locality()->set_zone(entry->node->locality.get().zone);
}

// Of a node that is as it should be, whether it is alive.
Command Judge(const std::string& node, bool alive) {
  Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name(node);
  change.set_skip_node_update(true);
  SetSerfHealth(alive, *change.add_checks());
  return command;
}

// The node with its check, if the catalog does not have it so.
std::optional<Command> Register(const Member& member, bool alive, const std::string& datacenter,
                                const NodeEntry* entry) {
  const bool same_node = entry != nullptr && entry->node->id == member.Tag("id") &&
                         entry->node->address == member.address.ip.ToString();
  const registry::HealthCheck* const check = entry == nullptr ? nullptr : FindSerfHealth(*entry);
  if (same_node && check != nullptr && SaysAlive(*check) == alive) return std::nullopt;
  if (same_node) return Judge(member.name, alive);
  Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  FillNode(member, datacenter, entry, *change.mutable_node());
  SetSerfHealth(alive, *change.add_checks());
  return command;
}

Command Deregister(const std::string& node) {
  Command command;
  command.mutable_deregister()->set_node(node);
  return command;
}

}  // namespace

void GossipCatalogPlanner::OnEvent(const MemberEvent& event, absl::Time now) {
  const std::string& name = event.member.name;
  if (event.kind == MemberEvent::Kind::kReap) {
    histories_.erase(name);
    reaped_.push_back(name);
    return;
  }
  if (!histories_.contains(name) && histories_.size() >= kHistoriesMax) return;
  History& history = histories_[name];
  if (event.kind == MemberEvent::Kind::kFail) history.failures.push_back(now);
  while (!history.failures.empty() && now - history.failures.front() > options_.flap_window) {
    history.failures.pop_front();
  }
  if (history.status != event.member.status) history.changed = now;
  history.status = event.member.status;
}

bool GossipCatalogPlanner::IsFlapping(const std::string& node, absl::Time now) const {
  const auto found = histories_.find(node);
  if (found == histories_.end()) return false;
  const auto recent =
      std::count_if(found->second.failures.begin(), found->second.failures.end(),
                    [&](absl::Time failed) { return now - failed <= options_.flap_window; });
  return recent >= options_.flaps_max;
}

std::vector<Command> GossipCatalogPlanner::Plan(const std::vector<Member>& members,
                                                const registry::Snapshot& snapshot,
                                                absl::Time now) {
  std::vector<Command> commands;
  std::set<std::string> known;
  next_due_ = absl::InfiniteFuture();
  for (const Member& member : members) {
    const std::string key = registry::LowerCase(member.name);
    if (!known.insert(key).second) continue;
    const NodeEntry* const entry = snapshot.FindNode(key);
    if (member.name == options_.node_name) {
      // It registers itself, but for what those who led before it found of it.
      const registry::HealthCheck* const check =
          entry == nullptr ? nullptr : FindSerfHealth(*entry);
      if (check != nullptr && !SaysAlive(*check)) commands.push_back(Judge(member.name, true));
      continue;
    }
    if (member.Tag(kRoleTag) != kRole || member.Tag("dc") != options_.datacenter) continue;
    const auto history = histories_.find(member.name);
    // Who leaves on purpose does not flap, and who is new has nothing to be held at.
    if (entry != nullptr && member.status != MemberStatus::kLeft && IsFlapping(member.name, now) &&
        now - history->second.changed < options_.hold) {
      ++counters_.held_back;
      next_due_ = std::min(next_due_, history->second.changed + options_.hold);
      continue;
    }
    switch (member.status) {
      case MemberStatus::kNone:
        break;
      case MemberStatus::kLeft:
        if (entry == nullptr) break;
        ++counters_.removed;
        commands.push_back(Deregister(member.name));
        break;
      case MemberStatus::kAlive:
      case MemberStatus::kLeaving:
      case MemberStatus::kFailed: {
        const bool alive = member.status != MemberStatus::kFailed;
        std::optional<Command> change = Register(member, alive, options_.datacenter, entry);
        if (!change) break;
        ++(alive ? counters_.registered : counters_.failed);
        commands.push_back(*std::move(change));
        break;
      }
    }
  }
  const auto remove = [&](const NodeEntry& entry) {
    if (FindSerfHealth(entry) == nullptr) return;  // Registered by somebody else.
    ++counters_.removed;
    commands.push_back(Deregister(entry.node->name));
  };
  for (const std::string& name : std::exchange(reaped_, {})) {
    const std::string key = registry::LowerCase(name);
    if (known.contains(key)) continue;
    if (const NodeEntry* const entry = snapshot.FindNode(key)) remove(*entry);
    known.insert(key);
  }
  if (now - start_ <= options_.unknown_kept) return commands;
  snapshot.ForEachNode([&](const NodeEntry& entry) {
    if (!known.contains(registry::LowerCase(entry.node->name))) remove(entry);
  });
  return commands;
}

GossipCatalog::GossipCatalog(Loop& loop, CatalogAccess& consensus, Sources sources,
                             GossipCatalogOptions options)
    : loop_(loop),
      consensus_(consensus),
      sources_(std::move(sources)),
      mailbox_(std::make_shared<LoopMailbox>(loop)),
      planner_(std::move(options), absl::Now()) {
  loop_.PostAndWait([this] {
    timer_ = std::make_unique<LoopTimer>(loop_.uv());
    soon_ = std::make_unique<LoopTimer>(loop_.uv());
    timer_->Every(kInterval, [this] { Reconcile(); });
  });
}

GossipCatalog::~GossipCatalog() {
  loop_.PostAndWait([this] {
    mailbox_->Close();
    timer_.reset();
    soon_.reset();
  });
}

void GossipCatalog::OnEvent(const MemberEvent& event) {
  LoopMailbox::Post(mailbox_, [this, event] {
    planner_.OnEvent(event, absl::Now());
    Reconcile();
  });
}

void GossipCatalog::Reconcile() {
  if (!sources_.is_leader()) return;
  if (reading_) {
    again_ = true;
    return;
  }
  reading_ = true;
  sources_.read_members([this, mailbox = mailbox_](std::vector<Member> members) {
    LoopMailbox::Post(mailbox, [this, members = std::move(members)] {
      reading_ = false;
      Apply(members);
      if (std::exchange(again_, false)) Reconcile();
    });
  });
}

void GossipCatalog::Apply(const std::vector<Member>& members) {
  if (!sources_.is_leader()) return;
  std::vector<Command> commands;
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    commands = planner_.Plan(members, *snapshot, absl::Now());
  }
  for (Command& command : commands) {
    const std::string node =
        command.has_deregister() ? command.deregister().node() : command.register_().node().name();
    consensus_.Propose(std::move(command), [node](const absl::StatusOr<uint64_t>& done) {
      if (done.ok()) return;
      PHAROS_LOG(kWarn, "agent.server", "Failed to reconcile member: member=%s: %s", node,
                 std::string(done.status().message()));
    });
  }
  if (planner_.next_due() != absl::InfiniteFuture()) {
    soon_->Once(std::max(absl::Milliseconds(100), planner_.next_due() - absl::Now()),
                [this] { Reconcile(); });
  }
}

}  // namespace pharos::cluster
