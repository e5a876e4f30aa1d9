#include "rpc/topic_hub.h"

#include <thread>
#include <utility>

#include "rpc/context.h"

namespace pharos::rpc {

void WhenThere(const Context& context, const std::vector<std::string>& topics,
               cluster::CatalogAccess::StatusDone then) {
  context.consensus.Have(topics, [mailbox = context.mailbox, caller = std::this_thread::get_id(),
                                  then = std::move(then)](const absl::Status& there) {
    if (std::this_thread::get_id() == caller) return then(there);
    LoopMailbox::Post(mailbox, [then, there] { then(there); });
  });
}

TopicHub::TopicHub(Loop& loop, cluster::CatalogAccess& consensus)
    : consensus_(consensus),
      feed_(loop, consensus, [this](const std::set<std::string>& topics) { OnChange(topics); }) {}

uint64_t TopicHub::Add(std::vector<std::string> topics, Wake wake) {
  const uint64_t id = ++last_id_;
  for (const std::string& topic : topics) by_topic_[topic].insert(id);
  feed_.Want(true);
  std::shared_ptr<void> held = consensus_.Hold(topics);
  waiters_.emplace(id, Waiter{std::move(topics), std::move(wake), std::move(held)});
  return id;
}

void TopicHub::Remove(uint64_t id) {
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return;
  for (const std::string& topic : found->second.topics) {
    const auto ids = by_topic_.find(topic);
    ids->second.erase(id);
    if (ids->second.empty()) by_topic_.erase(ids);
  }
  waiters_.erase(found);
  if (waiters_.empty()) feed_.Want(false);
}

void TopicHub::OnChange(const std::set<std::string>& topics) {
  std::set<uint64_t> ids;
  for (const std::string& topic : topics) {
    const auto found = by_topic_.find(topic);
    if (found != by_topic_.end()) ids.insert(found->second.begin(), found->second.end());
  }
  for (const uint64_t id : ids) {
    const auto found = waiters_.find(id);
    if (found == waiters_.end()) continue;
    const Wake wake = found->second.wake;  // It may remove itself.
    wake(topics);
  }
}

}  // namespace pharos::rpc
