#include "cluster/joining.h"

#include <algorithm>
#include <set>

namespace pharos::cluster {
namespace {

constexpr size_t kHeardMax = 256;

}  // namespace

std::vector<Joining::Ask> Joining::Due(uint64_t now_ms, const Own& own) {
  const uint64_t interval = own.is_member ? kAskMemberMs : kAskMs;
  if (asked_ && now_ms - asked_ms_ < interval) return {};
  asked_ = true;
  asked_ms_ = now_ms;
  std::set<std::string> addresses(join_.begin(), join_.end());
  for (const peer::v1::Server& server : own.known) addresses.insert(server.address());
  addresses.erase(self_.address());
  addresses.erase("");
  const bool claim = !own.started && IsFirst(now_ms) && !GaveWord(now_ms);
  std::vector<Ask> asks;
  for (const std::string& address : addresses) {
    const auto id = ids_.find(address);
    if (id != ids_.end() && id->second == self_.raft_id()) continue;
    asks.push_back({.address = address, .claim = claim});
  }
  return asks;
}

void Joining::OnAnswer(uint64_t now_ms, const std::string& address,
                       const peer::v1::IntroduceResponse& answer) {
  const uint64_t id = answer.self().raft_id();
  if (id == 0 || (heard_.size() >= kHeardMax && !heard_.contains(id))) return;
  ids_[address] = id;
  if (id == self_.raft_id()) return;
  Heard& heard = heard_[id];
  heard.at_ms = now_ms;
  heard.server = answer.self();
  heard.blank = !answer.has_state() && answer.cluster_id().empty();
  heard.in_cluster = answer.has_state() && !answer.cluster_id().empty();
  heard.word = answer.claim_granted();
}

bool Joining::IsFirst(uint64_t now_ms) const {
  const int expected = self_.bootstrap_expect();
  if (expected < 2) return false;
  int count = 1;
  for (const auto& [id, heard] : heard_) {
    if (!IsFresh(now_ms, heard) || !heard.blank) continue;
    if (heard.server.bootstrap_expect() != expected) continue;
    if (id < self_.raft_id()) return false;
    ++count;
  }
  return count >= expected;
}

Joining::Verdict Joining::Decide(uint64_t now_ms, const Own& own) const {
  if (own.started) return Verdict::kWait;
  if (!own.cluster_id.empty()) return Verdict::kStart;
  if (bootstrap_) return Verdict::kBootstrap;
  if (self_.bootstrap_expect() < 2) return Verdict::kStart;
  int words = 0;
  for (const auto& [id, heard] : heard_) {
    if (!IsFresh(now_ms, heard)) continue;
    if (heard.in_cluster) return Verdict::kStart;
    if (heard.word) ++words;
  }
  const bool enough = IsFirst(now_ms) && words >= self_.bootstrap_expect() - 1;
  return enough && !GaveWord(now_ms) ? Verdict::kBootstrap : Verdict::kWait;
}

peer::v1::IntroduceResponse Joining::Answer(uint64_t now_ms, const Own& own,
                                            const peer::v1::IntroduceRequest& request) {
  peer::v1::IntroduceResponse answer;
  *answer.mutable_self() = self_;
  answer.set_cluster_id(own.cluster_id);
  answer.set_leader(own.leader);
  answer.set_has_state(own.has_state);
  for (const peer::v1::Server& server : own.known) *answer.add_servers() = server;
  const uint64_t from = request.from().raft_id();
  const bool may_give = request.claim() && !own.started && own.cluster_id.empty() && !bootstrap_ &&
                        request.from().bootstrap_expect() == self_.bootstrap_expect() &&
                        from < self_.raft_id() && (!GaveWord(now_ms) || word_to_ == from);
  if (may_give) {
    word_to_ = from;
    word_ms_ = now_ms;
    answer.set_claim_granted(true);
  }
  return answer;
}

}  // namespace pharos::cluster
