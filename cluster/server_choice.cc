#include "cluster/server_choice.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/random.h"

namespace pharos::cluster {
namespace {

// FNV-1a (Fowler, Noll and Vo), which is the same in every process.
uint64_t HashText(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

uint64_t ServerChoice::RankOf(const std::string& address) const {
  return Random(HashText(name_ + '\n' + address)).Next();
}

void ServerChoice::SetAlive(const std::string& address, bool alive, uint64_t now_ms) {
  if (servers_.size() >= kServersMax && !servers_.contains(address)) return;
  const auto [at, added] = servers_.try_emplace(address);
  Server& server = at->second;
  if (added || server.alive != alive) server.since_ms = now_ms;
  // Who has just come back is worth a try at once.
  if (alive && (added || !server.alive)) failures_.erase(address);
  server.gossiped = true;
  server.alive = alive;
}

void ServerChoice::SetKnown(const std::vector<std::string>& addresses, uint64_t now_ms) {
  const std::set<std::string> known(addresses.begin(), addresses.end());
  std::erase_if(servers_, [&](const auto& server) {
    return !server.second.gossiped && !known.contains(server.first);
  });
  for (const std::string& address : known) {
    if (address.empty() || servers_.size() >= kServersMax) continue;
    servers_.try_emplace(address, Server{.gossiped = false, .alive = true, .since_ms = now_ms});
  }
  std::erase_if(failures_, [&](const auto& failure) {
    return !servers_.contains(failure.first) &&
           std::find(join_.begin(), join_.end(), failure.first) == join_.end();
  });
}

void ServerChoice::OnFailed(const std::string& address, uint64_t now_ms) {
  Failure& failure = failures_[address];
  const uint64_t wait =
      std::min(kRetryMaxMs, kRetryFirstMs << std::min<uint64_t>(failure.count, 10));
  ++failure.count;
  // Not all agents at the same moment.
  failure.until_ms = now_ms + wait + RankOf(address) % (wait / 4 + 1);
}

void ServerChoice::Forget(const std::string& address) {
  servers_.erase(address);
  failures_.erase(address);
}

void ServerChoice::OnGood(const std::string& address) { failures_.erase(address); }

bool ServerChoice::IsLeftAlone(const std::string& address, uint64_t now_ms) const {
  const auto found = failures_.find(address);
  return found != failures_.end() && now_ms < found->second.until_ms;
}

std::optional<std::string> ServerChoice::Pick(uint64_t now_ms) const {
  // Alive, with few failures, and high in this agent's order.
  using Merit = std::tuple<bool, int64_t, uint64_t>;
  std::optional<std::string> best;
  Merit best_merit;
  const auto consider = [&](const std::string& address, bool alive) {
    if (IsLeftAlone(address, now_ms)) return;
    const auto failure = failures_.find(address);
    const auto failed =
        failure == failures_.end() ? 0 : -static_cast<int64_t>(failure->second.count);
    const Merit merit{alive, failed, RankOf(address)};
    if (best && merit <= best_merit) return;
    best = address;
    best_merit = merit;
  };
  bool any_alive = false;
  for (const auto& [address, server] : servers_) {
    consider(address, server.alive);
    any_alive = any_alive || server.alive;
  }
  if (!any_alive && now_ms >= join_from_ms_) {
    for (const std::string& address : join_) consider(address, false);
  }
  return best;
}

std::optional<std::string> ServerChoice::Better(const std::string& present, uint64_t now_ms) const {
  std::optional<std::string> best;
  uint64_t best_rank = RankOf(present);
  for (const auto& [address, server] : servers_) {
    const bool settled = server.alive && now_ms - server.since_ms >= kSettledMs;
    if (!settled || failures_.contains(address) || RankOf(address) <= best_rank) continue;
    best = address;
    best_rank = RankOf(address);
  }
  return best;
}

}  // namespace pharos::cluster
