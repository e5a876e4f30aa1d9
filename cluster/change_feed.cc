#include "cluster/change_feed.h"

#include <utility>

#include "cluster/topics.h"

namespace pharos::cluster {

ChangeFeed::ChangeFeed(Loop& loop, CatalogAccess& consensus, Listener listener)
    : consensus_(consensus),
      listener_(std::move(listener)),
      mailbox_(std::make_shared<LoopMailbox>(loop)),
      subscription_(
          consensus_.Subscribe([this](const registry::Changes& changes) { OnChanges(changes); })) {}

ChangeFeed::~ChangeFeed() {
  consensus_.Unsubscribe(subscription_);
  mailbox_->Close();
}

void ChangeFeed::Want(bool wanted) {
  const std::lock_guard lock(mutex_);
  wanted_ = wanted;
}

void ChangeFeed::OnChanges(const registry::Changes& changes) {
  const std::lock_guard lock(mutex_);
  if (!wanted_) return;
  const bool post = topics_.empty();
  topics_.merge(TopicsOf(changes));
  if (post) LoopMailbox::Post(mailbox_, [this] { Tell(); });
}

void ChangeFeed::Tell() {
  std::set<std::string> topics;
  {
    const std::lock_guard lock(mutex_);
    topics.swap(topics_);
  }
  listener_(topics);
}

}  // namespace pharos::cluster
