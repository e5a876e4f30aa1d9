#include "dns/upstream_list.h"

#include <algorithm>
#include <utility>

namespace pharos::dns {

void UpstreamList::Set(std::span<const Upstream> recursors, std::span<const ForwardZone> zones,
                       RecursorStrategy strategy) {
  strategy_ = strategy;
  std::vector<UpstreamHandle> all;
  const auto find = [](const std::vector<UpstreamHandle>& list, const Upstream& upstream) {
    const auto at = std::ranges::find_if(
        list, [&upstream](const UpstreamHandle& handle) { return handle->upstream() == upstream; });
    return at == list.end() ? nullptr : *at;
  };
  const auto make_group = [&](std::span<const Upstream> upstreams) {
    Group group;
    for (const Upstream& upstream : upstreams) {
      UpstreamHandle handle = find(all, upstream);
      if (handle == nullptr) {
        handle = find(all_, upstream);
        if (handle == nullptr) handle = std::make_shared<UpstreamHealth>(upstream);
        all.push_back(handle);
      }
      group.push_back(std::move(handle));
    }
    return group;
  };
  recursors_ = make_group(recursors);
  SuffixMap<Group> groups;
  for (const ForwardZone& zone : zones) groups.Set(zone.domain, make_group(zone.upstreams));
  zones_ = std::move(groups);
  all_ = std::move(all);
}

const UpstreamList::Group& UpstreamList::GroupOf(const Name& qname) const {
  const Group* zone = zones_.Find(qname);
  return zone != nullptr ? *zone : recursors_;
}

std::vector<UpstreamHandle> UpstreamList::Plan(const Name& qname) {
  std::vector<UpstreamHandle> plan = GroupOf(qname);
  if (strategy_ == RecursorStrategy::kRandom) {
    for (size_t i = plan.size(); i > 1; --i) {
      std::swap(plan[i - 1], plan[random_.Below(static_cast<uint32_t>(i))]);
    }
  }
  std::erase_if(plan, [](const UpstreamHandle& upstream) { return upstream->looping(); });
  std::stable_partition(plan.begin(), plan.end(),
                        [](const UpstreamHandle& upstream) { return !upstream->down(); });
  return plan;
}

UpstreamHandle UpstreamList::TakeProbe(const Name& qname, absl::Time now) {
  for (const UpstreamHandle& upstream : GroupOf(qname)) {
    if (!upstream->looping() && upstream->TakeProbe(now)) return upstream;
  }
  return nullptr;
}

UpstreamHandle UpstreamList::TakeLoopProbe(const Name& qname, absl::Time now) {
  for (const UpstreamHandle& upstream : GroupOf(qname)) {
    if (upstream->looping() && upstream->TakeLoopProbe(now)) return upstream;
  }
  return nullptr;
}

}  // namespace pharos::dns
