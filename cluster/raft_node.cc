#include "cluster/raft_node.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace pharos::cluster {
namespace {

using peer::v1::Message;

// How long a server that was heard of counts as there.
constexpr uint64_t kAliveMs = 10'000;
constexpr uint64_t kAutopilotMs = 500;
// Until a change is tried again for which the disks had no room.
constexpr uint64_t kFullDisksMs = 10'000;
constexpr uint64_t kViewMs = 2'000;
// A leader that asks counts as led by for so much of the election time since a follower's word.
constexpr uint32_t kLeaseParts = 2;
constexpr size_t kRoundsMax = 8;

absl::Status NoLeader() { return absl::UnavailableError("No cluster leader"); }
absl::Status OutcomeUnknown() {
  return absl::UnknownError(
      "the leader was lost before the outcome was known; the change may or may not have been made");
}
absl::Status Stopping() {
  return absl::UnavailableError("the agent is stopping; nothing was changed");
}

peer::v1::Status ToProto(const absl::Status& status) {
  peer::v1::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(std::string(status.message()));
  return proto;
}
absl::Status FromProto(const peer::v1::Status& status) {
  return {static_cast<absl::StatusCode>(status.code()), status.message()};
}

}  // namespace

std::string EncodeServerAddress(const peer::v1::Server& server) {
  return absl::StrCat(server.name(), "\t", server.node_id(), "\t", server.address());
}

peer::v1::Server DecodeServerAddress(uint64_t raft_id, const std::string& address) {
  peer::v1::Server server;
  server.set_raft_id(raft_id);
  const std::vector<std::string> parts = absl::StrSplit(address, '\t');
  server.set_name(parts[0]);
  if (parts.size() > 1) server.set_node_id(parts[1]);
  if (parts.size() > 2) server.set_address(parts[2]);
  return server;
}

RaftNode::RaftNode(const RaftNodeOptions& options, RaftDisk& disk, RaftNodeHost& host)
    : options_(options),
      host_(host),
      state_machine_(options.self.datacenter()),
      engine_(options.engine, disk, *this) {
  started_ms_ = Now();
  next_request_ = options_.seed;
  Learn(options_.self, true);
}

RaftNode::~RaftNode() = default;

absl::Status RaftNode::Bootstrap() {
  return engine_.Bootstrap({{.id = engine_.id(),
                             .address = EncodeServerAddress(options_.self),
                             .role = RaftRole::kVoter}});
}

absl::Status RaftNode::Start() {
  RETURN_IF_ERROR(engine_.Start());
  if (!state_machine_.cluster_id().empty()) host_.OnClusterId(state_machine_.cluster_id());
  Settle();
  return absl::OkStatus();
}

void RaftNode::Close(std::function<void()> closed) {
  closing_ = true;
  for (Waiting& waiting : proposals_) waiting.proposal.done(Stopping());
  proposals_.clear();
  for (auto& [id, forwarded] : std::exchange(forwarded_, {})) {
    Fail(forwarded.batch, OutcomeUnknown());
  }
  // What was written and not yet committed may be, by others.
  for (auto& [number, batch] : std::exchange(inflight_, {})) Fail(batch, OutcomeUnknown());
  for (Outcome& outcome : std::exchange(outcomes_, {})) outcome.done(std::move(outcome.result));
  const auto end_read = [](WaitingRead& read) {
    if (read.answer != nullptr) {
      read.answer(Stopping());
    } else {
      read.done(Stopping());
    }
  };
  for (WaitingRead& read : std::exchange(reads_, {})) end_read(read);
  for (WaitingRead& read : std::exchange(applying_reads_, {})) end_read(read);
  for (auto& [id, read] : std::exchange(asked_reads_, {})) end_read(read);
  for (auto& [number, round] : std::exchange(rounds_, {})) {
    for (WaitingRead& read : round.reads) end_read(read);
  }
  for (auto& [id, waiting] : std::exchange(membership_, {})) waiting.first(Stopping());
  for (auto& [id, waiting] : std::exchange(views_, {})) waiting.first(autopilot_state());
  engine_.Close(std::move(closed));
}

// The table of contents of what follows an event. The order matters: what is visible before it is
// acknowledged, and what is acknowledged before more is taken on.
void RaftNode::Settle() {
  if (closing_) return;
  NoticeLeadership();
  NoticeLeader();
  PublishApplied();
  AnswerVisible();
  PumpProposals();
  PumpReads();
  Hint();
  engine_.Settle();
}

void RaftNode::Tick() {
  if (closing_) return;
  if (engine_.disk().needs_ticks()) engine_.Tick();
  Expire();
  if (led_term_ != 0 && !OtherVoters().empty()) StartRound();
  // Nothing of earlier terms is committed before something of the leader's own is (Raft, section
  // 5.4.2). libraft puts an empty entry into the log when a server is elected, but not if its disk
  // is full just then; so it is made up for, as often as it takes.
  if (led_term_ != 0 && !is_ready() && inflight_.empty() && engine_.last_index() == ready_index_) {
    const std::string octets = EncodeEntry(log::v1::Entry());
    RaftBuffer buffer(octets.size());
    std::copy(octets.begin(), octets.end(), buffer.data());
    // What is refused is tried again at the next tick.
    static_cast<void>(engine_.Propose(std::move(buffer), [](const absl::Status&) {}));
  }
  RunAutopilot();
  Settle();
}

void RaftNode::NoticeLeadership() {
  const uint64_t now = Now();
  if (!engine_.is_leader()) {
    if (led_term_ == 0) return;
    PHAROS_LOG(kInfo, "agent.server", "cluster leadership lost");
    led_term_ = ready_index_ = lease_until_ms_ = 0;
    heard_leader_ms_ = now;
    contacts_.clear();
    stable_since_ms_.clear();
    commit_sent_.clear();
    // Nobody confirms us any more; whoever reads asks the next leader.
    for (auto& [number, round] : std::exchange(rounds_, {})) {
      for (WaitingRead& read : round.reads) {
        read.index.reset();
        reads_.push_back(std::move(read));
      }
    }
    return;
  }
  if (led_term_ != engine_.term()) {
    led_term_ = engine_.term();
    // libraft has put an entry of the new term at the end, unless all there was is committed.
    ready_index_ = engine_.last_index();
    first_entry_proposed_ = false;
    for (const RaftServer& server : engine_.configuration()) {
      contacts_[server.id] = {.heard_ms = now, .last_index = 0, .term = 0};
    }
    PHAROS_LOG(kInfo, "agent.server", "cluster leadership acquired");
    PHAROS_LOG(kInfo, "agent.server", "New leader elected: payload=%s", options_.self.name());
  }
  if (is_ready() && state_machine_.cluster_id().empty() && !first_entry_proposed_) {
    first_entry_proposed_ = true;
    log::v1::Entry entry;
    entry.set_proposer(engine_.id());
    entry.set_cluster_id(host_.NewClusterId());
    // What the first leader was configured with is the cluster's until somebody changes it there.
    *entry.mutable_set_autopilot()->mutable_autopilot() = ToProto(options_.autopilot);
    const std::string octets = EncodeEntry(entry);
    RaftBuffer buffer(octets.size());
    std::copy(octets.begin(), octets.end(), buffer.data());
    const absl::Status proposed =
        engine_.Propose(std::move(buffer), [this](const absl::Status& status) {
          if (!status.ok()) first_entry_proposed_ = false;
        });
    if (!proposed.ok()) first_entry_proposed_ = false;
  }
}

bool RaftNode::is_ready() const {
  return led_term_ != 0 && engine_.is_leader() && engine_.term() == led_term_ &&
         engine_.last_applied() >= ready_index_;
}

void RaftNode::PublishApplied() {
  if (!state_machine_.has_unpublished()) return;
  const registry::Changes& changes = state_machine_.Publish();
  const bool changed = changes.nodes || changes.services || changes.checks || changes.queries ||
                       changes.ingress || !changes.service_names.empty();
  if (changed) host_.OnPublished(changes);
}

void RaftNode::AnswerVisible() {
  std::deque<Outcome> waiting;
  waiting.swap(outcomes_);
  for (Outcome& outcome : waiting) {
    if (outcome.index <= engine_.last_applied()) {
      outcome.done(std::move(outcome.result));
    } else {
      outcomes_.push_back(std::move(outcome));
    }
  }
  std::vector<WaitingRead> reads;
  reads.swap(applying_reads_);
  for (WaitingRead& read : reads) {
    if (*read.index <= engine_.last_applied()) {
      read.done(absl::OkStatus());
    } else {
      applying_reads_.push_back(std::move(read));
    }
  }
}

// Proposals ------------------------------------------------------------------------------------

uint64_t RaftNode::HoldDeadline() const {
  return Now() + static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.hold));
}

void RaftNode::Propose(Proposal proposal, bool from_peer) {
  if (closing_) return proposal.done(Stopping());
  if (proposals_.size() >= kProposalsMax) {
    ++counters_.refused;
    return proposal.done(absl::ResourceExhaustedError(
        "too many changes are waiting; nothing was changed, try again"));
  }
  proposals_.push_back(
      {.proposal = std::move(proposal), .deadline_ms = HoldDeadline(), .from_peer = from_peer});
}

void RaftNode::PumpProposals() {
  while (!proposals_.empty()) {
    if (engine_.is_leader()) {
      if (inflight_.size() >= kInflightMax || engine_.transferring()) return;
      ProposeBatch(TakeBatch());
      continue;
    }
    ReturnForwarded();
    const uint64_t leader = engine_.leader();
    if (proposals_.empty() || leader == 0 || leader == engine_.id()) return;
    if (forwarded_.size() >= kInflightMax) return;
    // What is on its way when a server dies may be done or not. What still waits for a connection
    // to one that is gone is not, and the next leader takes it.
    if (!host_.Reaches(leader) || !ForwardBatch(leader, TakeBatch())) return;
  }
}

// What another server forwarded here goes back, as that may know better by now. Sent on, it might
// be done after a later change that was already acknowledged: who forwarded it does not wait for
// ever.
void RaftNode::ReturnForwarded() {
  const auto is_own = [](const Waiting& waiting) { return !waiting.from_peer; };
  const auto begin = std::stable_partition(proposals_.begin(), proposals_.end(), is_own);
  Batch forwarded(std::make_move_iterator(begin), std::make_move_iterator(proposals_.end()));
  proposals_.erase(begin, proposals_.end());
  Fail(forwarded, NoLeader());
}

RaftNode::Batch RaftNode::TakeBatch() {
  Batch batch;
  size_t octets = 0;
  while (!proposals_.empty() && batch.size() < size_t{kBatchCommandsMax}) {
    Proposal& next = proposals_.front().proposal;
    // An entry of its own travels alone.
    if (next.entry && !batch.empty()) break;
    octets += next.command.ByteSizeLong();
    if (!batch.empty() && octets > kBatchOctetsMax) break;
    const bool alone = next.entry.has_value();
    batch.push_back(std::move(proposals_.front()));
    proposals_.pop_front();
    if (alone) break;
  }
  return batch;
}

void RaftNode::Requeue(Batch batch) {
  for (auto waiting = batch.rbegin(); waiting != batch.rend(); ++waiting) {
    proposals_.push_front(std::move(*waiting));
  }
}

void RaftNode::Fail(Batch& batch, const absl::Status& status) {
  if (absl::IsUnknown(status)) counters_.unknown_outcomes += batch.size();
  for (Waiting& waiting : batch) waiting.proposal.done(status);
}

void RaftNode::ProposeBatch(Batch batch) {
  log::v1::Entry entry;
  if (batch.front().proposal.entry) {
    entry = *batch.front().proposal.entry;
  } else {
    for (Waiting& waiting : batch) entry.add_commands()->Swap(&waiting.proposal.command);
  }
  // Never used before by this server, in an earlier life either: it leads in a term only once.
  const uint64_t number = (engine_.term() << 32) + ++batches_;
  entry.set_proposer(engine_.id());
  entry.set_batch(number);
  const std::string octets = EncodeEntry(entry);
  RaftBuffer buffer(octets.size());
  std::copy(octets.begin(), octets.end(), buffer.data());
  inflight_.emplace(number, std::move(batch));
  const absl::Status proposed =
      engine_.Propose(std::move(buffer), [this, number](const absl::Status& status) {
        // Applied, it was answered by Apply.
        const auto found = inflight_.find(number);
        if (status.ok() || found == inflight_.end()) return;
        Batch lost = std::move(found->second);
        inflight_.erase(found);
        Fail(lost, OutcomeUnknown());
      });
  if (proposed.ok()) {
    ++counters_.entries;
    return;
  }
  const auto found = inflight_.find(number);
  Batch refused = std::move(found->second);
  inflight_.erase(found);
  if (!refused.front().proposal.entry) {
    for (int i = 0; i < entry.commands_size(); ++i) {
      refused[static_cast<size_t>(i)].proposal.command.Swap(entry.mutable_commands(i));
    }
  }
  // Not leading any more: somebody else will, or nobody until the deadline.
  if (absl::IsFailedPrecondition(proposed)) return Requeue(std::move(refused));
  Fail(refused, proposed);
}

bool RaftNode::ForwardBatch(uint64_t leader, Batch batch) {
  Message message;
  peer::v1::WriteRequest& request = *message.mutable_write();
  const uint64_t id = next_request_++;
  request.set_id(id);
  if (batch.front().proposal.entry) {
    *request.mutable_entry() = *batch.front().proposal.entry;
  } else {
    for (const Waiting& waiting : batch) *request.add_commands() = waiting.proposal.command;
  }
  if (!host_.SendTo(leader, std::move(message))) {
    Requeue(std::move(batch));
    return false;
  }
  counters_.forwarded += batch.size();
  forwarded_.emplace(id, Forwarded{.batch = std::move(batch),
                                   .leader = leader,
                                   // The leader may have to wait for a majority as long as we do.
                                   .deadline_ms = HoldDeadline() + 1000});
  return true;
}

void RaftNode::OnWrite(uint64_t from, peer::v1::WriteRequest request) {
  // Answers once all have their outcome.
  struct Collected {
    peer::v1::WriteResult result;
    int missing = 0;
  };
  auto collected = std::make_shared<Collected>();
  collected->result.set_id(request.id());
  const int count = request.has_entry() ? 1 : request.commands_size();
  collected->missing = count;
  for (int i = 0; i < count; ++i) collected->result.add_outcomes();
  for (int i = 0; i < count; ++i) {
    Proposal proposal;
    if (request.has_entry()) {
      proposal.entry = std::move(*request.mutable_entry());
    } else {
      proposal.command = std::move(*request.mutable_commands(i));
    }
    proposal.done = [this, from, i, collected](const absl::StatusOr<uint64_t>& outcome) {
      auto& to = *collected->result.mutable_outcomes(i);
      *to.mutable_status() = ToProto(outcome.status());
      if (outcome.ok()) to.set_index(*outcome);
      if (--collected->missing > 0) return;
      Message message;
      *message.mutable_write_result() = std::move(collected->result);
      host_.SendTo(from, std::move(message));
    };
    Propose(std::move(proposal), /*from_peer=*/true);
  }
}

void RaftNode::OnWriteResult(const peer::v1::WriteResult& result) {
  const auto found = forwarded_.find(result.id());
  if (found == forwarded_.end()) return;
  Batch batch = std::move(found->second.batch);
  forwarded_.erase(found);
  Batch again;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (i >= static_cast<size_t>(result.outcomes_size())) {
      batch[i].proposal.done(OutcomeUnknown());
      continue;
    }
    const auto& outcome = result.outcomes(static_cast<int>(i));
    const absl::Status status = FromProto(outcome.status());
    if (status == NoLeader()) {
      again.push_back(std::move(batch[i]));  // Not done there; until its deadline it may be here.
    } else if (!status.ok()) {
      batch[i].proposal.done(status);
    } else {
      outcomes_.push_back({.index = outcome.index(),
                           .result = outcome.index(),
                           .done = std::move(batch[i].proposal.done),
                           .deadline_ms = HoldDeadline()});
    }
  }
  Requeue(std::move(again));
}

void RaftNode::PeerLost(uint64_t id) {
  for (auto at = forwarded_.begin(); at != forwarded_.end();) {
    if (at->second.leader != id) {
      ++at;
      continue;
    }
    Batch lost = std::move(at->second.batch);
    at = forwarded_.erase(at);
    Fail(lost, OutcomeUnknown());
  }
  AskReadsAnew();
}

// They change nothing.
void RaftNode::AskReadsAnew() {
  for (auto& [request, read] : std::exchange(asked_reads_, {})) reads_.push_back(std::move(read));
}

void RaftNode::NoticeLeader() {
  const uint64_t leader = engine_.leader();
  if (leader == 0 || std::exchange(last_leader_, leader) == leader) return;
  AskReadsAnew();
  // A former leader says what became of what it was asked as soon as it knows that it is one. From
  // one that is down or cut off nothing will come.
  const uint64_t soon = Now() + options_.engine.election_timeout_ms;
  for (auto& [request, forwarded] : forwarded_) {
    if (forwarded.leader != leader) {
      forwarded.deadline_ms = std::min(forwarded.deadline_ms, soon);
    }
  }
}

void RaftNode::Apply(uint64_t index, Octets octets) {
  const absl::StatusOr<log::v1::Entry> entry = DecodeEntry(octets);
  if (!entry.ok()) host_.OnFatal(std::string(entry.status().message()));
  const bool had_cluster_id = !state_machine_.cluster_id().empty();
  const absl::StatusOr<std::vector<absl::Status>> outcomes = state_machine_.Apply(index, *entry);
  if (!outcomes.ok()) host_.OnFatal(std::string(outcomes.status().message()));
  host_.OnApplied(index, octets);
  if (!had_cluster_id && !state_machine_.cluster_id().empty()) {
    host_.OnClusterId(state_machine_.cluster_id());
  }
  if (entry->proposer() != engine_.id()) return;
  const auto found = inflight_.find(entry->batch());
  if (found == inflight_.end()) return;
  Batch batch = std::move(found->second);
  inflight_.erase(found);
  CHECK(batch.size() == outcomes->size());
  for (size_t i = 0; i < batch.size(); ++i) {
    const absl::Status& outcome = (*outcomes)[i];
    outcomes_.push_back({.index = index,
                         .result = outcome.ok() ? absl::StatusOr<uint64_t>(index) : outcome,
                         .done = std::move(batch[i].proposal.done),
                         .deadline_ms = HoldDeadline()});
  }
}

// Reads ----------------------------------------------------------------------------------------

void RaftNode::Read(ReadMode mode, ReadDone done) {
  if (closing_) return done(Stopping());
  if (mode == ReadMode::kStale) return done(absl::OkStatus());
  if (reads_.size() + asked_reads_.size() >= kReadsMax) {
    return done(absl::ResourceExhaustedError("too many reads are waiting; try again"));
  }
  reads_.push_back({.mode = mode,
                    .deadline_ms = HoldDeadline(),
                    .index = std::nullopt,
                    .done = std::move(done),
                    .answer = nullptr});
}

uint64_t RaftNode::lease_until_ms() const {
  if (!is_ready() || engine_.transferring()) return 0;
  if (OtherVoters().empty()) return IsVoter(engine_.id()) ? UINT64_MAX : 0;
  return lease_until_ms_;
}

void RaftNode::PumpReads() {
  if (reads_.empty()) return;
  if (engine_.is_leader()) {
    if (!is_ready()) return;
    const bool alone = OtherVoters().empty() && IsVoter(engine_.id());
    const bool leased = Now() < lease_until_ms();
    std::vector<WaitingRead> to_confirm;
    for (WaitingRead& read : std::exchange(reads_, {})) {
      if (!read.index) read.index = engine_.commit_index();
      if (!alone && !(leased && read.mode == ReadMode::kDefault)) {
        to_confirm.push_back(std::move(read));
      } else if (read.answer != nullptr) {
        read.answer(*read.index);
      } else {
        applying_reads_.push_back(std::move(read));
      }
    }
    reads_ = std::move(to_confirm);
    // One round at a time carries reads; those that come meanwhile share the next.
    const bool under_way = std::any_of(rounds_.begin(), rounds_.end(), [](const auto& round) {
      return !round.second.reads.empty();
    });
    if (!reads_.empty() && !under_way) StartRound();
    if (!applying_reads_.empty()) AnswerVisible();
    return;
  }
  const uint64_t leader = engine_.leader();
  if (leader == 0 || leader == engine_.id()) return;
  bool sent = true;
  for (WaitingRead& read : std::exchange(reads_, {})) {
    if (read.answer != nullptr) {
      read.answer(NoLeader());
      continue;
    }
    const uint64_t id = next_request_++;
    Message message;
    message.mutable_read_index()->set_id(id);
    message.mutable_read_index()->set_consistent(read.mode == ReadMode::kConsistent);
    read.index.reset();
    sent = sent && host_.SendTo(leader, std::move(message));
    if (sent) {
      asked_reads_.emplace(id, std::move(read));
    } else {
      reads_.push_back(std::move(read));
    }
  }
}

void RaftNode::OnReadIndex(uint64_t from, const peer::v1::ReadIndexRequest& request) {
  const auto answer = [this, from, id = request.id()](const absl::StatusOr<uint64_t>& index) {
    Message message;
    peer::v1::ReadIndexResult& result = *message.mutable_read_index_result();
    result.set_id(id);
    *result.mutable_status() = ToProto(index.status());
    if (index.ok()) result.set_index(*index);
    host_.SendTo(from, std::move(message));
  };
  if (!engine_.is_leader()) return answer(NoLeader());
  if (reads_.size() >= kReadsMax) {
    return answer(absl::ResourceExhaustedError("too many reads are waiting; try again"));
  }
  reads_.push_back({.mode = request.consistent() ? ReadMode::kConsistent : ReadMode::kDefault,
                    .deadline_ms = HoldDeadline(),
                    .index = std::nullopt,
                    .done = nullptr,
                    .answer = answer});
}

void RaftNode::OnReadIndexResult(const peer::v1::ReadIndexResult& result) {
  const auto found = asked_reads_.find(result.id());
  if (found == asked_reads_.end()) return;
  WaitingRead read = std::move(found->second);
  asked_reads_.erase(found);
  const absl::Status status = FromProto(result.status());
  if (status.ok()) {
    read.index = result.index();
    applying_reads_.push_back(std::move(read));
  } else if (status == NoLeader()) {
    reads_.push_back(std::move(read));
  } else {
    read.done(status);
  }
}

std::vector<uint64_t> RaftNode::OtherVoters() const {
  std::vector<uint64_t> voters;
  for (const RaftServer& server : engine_.configuration()) {
    if (server.role == RaftRole::kVoter && server.id != engine_.id()) voters.push_back(server.id);
  }
  return voters;
}

bool RaftNode::IsVoter(uint64_t id) const {
  for (const RaftServer& server : engine_.configuration()) {
    if (server.id == id) return server.role == RaftRole::kVoter;
  }
  return false;
}

bool RaftNode::IsQuorum(const std::set<uint64_t>& others) const {
  size_t voters = 0, with_us = 0;
  for (const RaftServer& server : engine_.configuration()) {
    if (server.role != RaftRole::kVoter) continue;
    ++voters;
    if (server.id == engine_.id() || others.contains(server.id)) ++with_us;
  }
  return with_us > voters / 2;
}

// Asks all voters whether they still follow us in this term. Reads that an older round was to
// answer go along: the later a confirmation, the more it confirms.
void RaftNode::StartRound() {
  if (led_term_ == 0) return;
  ++counters_.confirm_rounds;
  Round round{.term = led_term_, .sent_ms = Now(), .followers = {}, .vouched_ms = {}, .reads = {}};
  for (auto& [number, older] : rounds_) {
    for (WaitingRead& read : older.reads) round.reads.push_back(std::move(read));
    older.reads.clear();
  }
  if (is_ready()) {
    for (WaitingRead& read : std::exchange(reads_, {})) {
      if (!read.index) read.index = engine_.commit_index();
      round.reads.push_back(std::move(read));
    }
  }
  while (rounds_.size() >= kRoundsMax) rounds_.erase(rounds_.begin());
  const uint64_t number = next_round_++;
  rounds_.emplace(number, std::move(round));
  for (const RaftServer& server : engine_.configuration()) {
    if (server.id == engine_.id()) continue;
    Message message;
    message.mutable_confirm()->set_number(number);
    message.mutable_confirm()->set_term(led_term_);
    host_.SendTo(server.id, std::move(message));
  }
}

void RaftNode::OnConfirm(uint64_t from, const peer::v1::Confirm& confirm) {
  Message message;
  peer::v1::ConfirmResult& result = *message.mutable_confirm_result();
  result.set_number(confirm.number());
  const bool follows = !engine_.is_leader() && engine_.leader() == from;
  result.set_term(follows ? engine_.term() : 0);
  const uint64_t ago = Now() - std::min(Now(), heard_leader_ms_);
  result.set_heard_ms_ago(static_cast<uint32_t>(std::min<uint64_t>(ago, UINT32_MAX)));
  result.set_last_index(engine_.last_index());
  host_.SendTo(from, std::move(message));
}

void RaftNode::OnConfirmResult(uint64_t from, const peer::v1::ConfirmResult& result) {
  const auto found = rounds_.find(result.number());
  if (found == rounds_.end() || led_term_ == 0) return;
  Contact& contact = contacts_[from];
  contact.heard_ms = Now();
  contact.last_index = result.last_index();
  contact.term = result.term();
  Round& round = found->second;
  if (round.term != led_term_ || result.term() != led_term_) return;
  round.followers.insert(from);
  round.vouched_ms[from] = round.sent_ms - std::min<uint64_t>(round.sent_ms, result.heard_ms_ago());
  if (!IsQuorum(round.followers) || !engine_.is_leader()) return;
  // The lease begins at the earliest word of those who make up the majority.
  uint64_t vouched = round.sent_ms;
  for (const auto& [id, at] : round.vouched_ms) {
    if (IsVoter(id)) vouched = std::min(vouched, at);
  }
  lease_until_ms_ =
      std::max(lease_until_ms_, vouched + options_.engine.election_timeout_ms / kLeaseParts);
  std::vector<WaitingRead> reads = std::move(round.reads);
  rounds_.erase(rounds_.begin(), std::next(found));
  for (WaitingRead& read : reads) {
    if (read.answer != nullptr) {
      read.answer(*read.index);
    } else {
      applying_reads_.push_back(std::move(read));
    }
  }
}

// Messages -------------------------------------------------------------------------------------

void RaftNode::Receive(uint64_t from, Message message) {
  if (closing_) return;
  if (led_term_ != 0) contacts_[from].heard_ms = Now();
  switch (message.message_case()) {
    case Message::kRaft:
      engine_.Receive(from, message.raft());
      if (message.raft().has_append_entries() && engine_.leader() == from &&
          message.raft().term() == engine_.term()) {
        heard_leader_ms_ = Now();
      }
      if (message.raft().has_append_entries_result() && led_term_ != 0) {
        contacts_[from].last_index =
            std::max(contacts_[from].last_index, engine_.match_index(from));
        contacts_[from].term = message.raft().term();
      }
      break;
    case Message::kWrite:
      OnWrite(from, std::move(*message.mutable_write()));
      break;
    case Message::kWriteResult:
      OnWriteResult(message.write_result());
      break;
    case Message::kReadIndex:
      OnReadIndex(from, message.read_index());
      break;
    case Message::kReadIndexResult:
      OnReadIndexResult(message.read_index_result());
      break;
    case Message::kConfirm:
      OnConfirm(from, message.confirm());
      break;
    case Message::kConfirmResult:
      OnConfirmResult(from, message.confirm_result());
      break;
    case Message::kMembership:
      OnMembership(from, message.membership());
      break;
    case Message::kMembershipResult:
      OnMembershipResult(message.membership_result());
      break;
    case Message::kAutopilot: {
      if (!engine_.is_leader()) break;
      Message answer;
      *answer.mutable_autopilot_result() = ToProto(autopilot_state());
      answer.mutable_autopilot_result()->set_id(message.autopilot().id());
      host_.SendTo(from, std::move(answer));
      break;
    }
    case Message::kAutopilotResult:
      OnAutopilotResult(message.autopilot_result());
      break;
    case Message::MESSAGE_NOT_SET:
      break;  // Of a newer version, which does without an answer.
  }
}

bool RaftNode::ReceiveSnapshot(uint64_t from, const peer::v1::InstallSnapshot& info,
                               RaftBuffer data) {
  if (closing_) return false;
  const bool taken = engine_.ReceiveSnapshot(from, info, std::move(data));
  if (engine_.leader() == from) heard_leader_ms_ = Now();
  return taken;
}

void RaftNode::Send(uint64_t to, peer::v1::Raft raft) {
  if (raft.has_append_entries()) {
    commit_sent_[to] = std::max(commit_sent_[to], raft.append_entries().leader_commit());
  }
  Message message;
  *message.mutable_raft() = std::move(raft);
  host_.SendTo(to, std::move(message));
}

// libraft tells followers what is committed with the next entries, or with the next heartbeat. When
// there are no next entries, a heartbeat now makes the change visible everywhere at once.
void RaftNode::Hint() {
  if (led_term_ == 0 || !engine_.is_leader() || !inflight_.empty()) return;
  const uint64_t commit = engine_.commit_index();
  if (commit <= ready_index_) return;  // Of an earlier term: its entry's term is not at hand.
  for (const RaftServer& server : engine_.configuration()) {
    if (server.id == engine_.id() || commit_sent_[server.id] >= commit) continue;
    const uint64_t match = engine_.match_index(server.id);
    if (match < commit) continue;
    ++counters_.hints;
    peer::v1::Raft raft;
    raft.set_term(led_term_);
    raft.mutable_append_entries()->set_prev_log_index(match);
    raft.mutable_append_entries()->set_prev_log_term(led_term_);
    raft.mutable_append_entries()->set_leader_commit(commit);
    Send(server.id, std::move(raft));
  }
}

void RaftNode::SendSnapshot(uint64_t to, peer::v1::InstallSnapshot info,
                            std::shared_ptr<const RaftBuffer> data) {
  host_.SendSnapshotTo(to, std::move(info), std::move(data));
}

std::function<std::vector<std::string>()> RaftNode::TakeImage() {
  if (!options_.makes_images) return [] { return std::vector<std::string>(); };
  return MakeImage(0);
}

std::function<std::vector<std::string>()> RaftNode::MakeImage(int64_t time_unix_ms) {
  // The image is of what is published, and those who wait for that must be told of it.
  PublishApplied();
  return state_machine_.TakeImage(engine_.term(), time_unix_ms);
}

absl::Status RaftNode::Restore(Octets image) {
  RETURN_IF_ERROR(state_machine_.Restore(image));
  host_.OnRestored(state_machine_.last_index());
  if (!state_machine_.cluster_id().empty()) host_.OnClusterId(state_machine_.cluster_id());
  return absl::OkStatus();
}

void RaftNode::RunElsewhere(std::function<void()> work, std::function<void()> done) {
  host_.RunElsewhere(std::move(work), std::move(done));
}

void RaftNode::OnFatal(const std::string& why) {
  host_.OnFatal(why);
  std::abort();
}

// Time -----------------------------------------------------------------------------------------

void RaftNode::Expire() {
  const uint64_t now = Now();
  while (!proposals_.empty() && proposals_.front().deadline_ms <= now) {
    const Waiting waiting = std::move(proposals_.front());
    proposals_.pop_front();
    waiting.proposal.done(NoLeader());
  }
  for (auto at = forwarded_.begin(); at != forwarded_.end();) {
    if (at->second.deadline_ms > now) {
      ++at;
      continue;
    }
    Batch lost = std::move(at->second.batch);
    at = forwarded_.erase(at);
    Fail(lost, OutcomeUnknown());
  }
  // What the leader has done is done, even if this server cannot see it.
  std::deque<Outcome> outcomes;
  outcomes.swap(outcomes_);
  for (Outcome& outcome : outcomes) {
    if (outcome.deadline_ms <= now) {
      outcome.done(std::move(outcome.result));
    } else {
      outcomes_.push_back(std::move(outcome));
    }
  }
  const auto expire = [now](std::vector<WaitingRead>& reads) {
    for (WaitingRead& read : std::exchange(reads, {})) {
      if (read.deadline_ms > now) {
        reads.push_back(std::move(read));
      } else if (read.answer != nullptr) {
        read.answer(NoLeader());
      } else {
        read.done(NoLeader());
      }
    }
  };
  expire(reads_);
  expire(applying_reads_);
  for (auto& [number, round] : rounds_) expire(round.reads);
  for (auto at = asked_reads_.begin(); at != asked_reads_.end();) {
    if (at->second.deadline_ms > now) {
      ++at;
      continue;
    }
    const WaitingRead read = std::move(at->second);
    at = asked_reads_.erase(at);
    read.done(NoLeader());
  }
  for (auto at = views_.begin(); at != views_.end();) {
    if (at->second.second > now) {
      ++at;
      continue;
    }
    const auto done = std::move(at->second.first);
    at = views_.erase(at);
    done(autopilot_state());
  }
  for (auto at = membership_.begin(); at != membership_.end();) {
    if (at->second.second > now) {
      ++at;
      continue;
    }
    const ReadDone done = std::move(at->second.first);
    at = membership_.erase(at);
    done(NoLeader());
  }
}

absl::Duration RaftNode::last_contact() const {
  if (engine_.is_leader()) return absl::ZeroDuration();
  const uint64_t since = heard_leader_ms_ == 0 ? started_ms_ : heard_leader_ms_;
  return absl::Milliseconds(static_cast<int64_t>(Now() - std::min(Now(), since)));
}

// Membership -----------------------------------------------------------------------------------

void RaftNode::Learn(const peer::v1::Server& server, bool alive) {
  if (server.raft_id() == 0) return;
  if (!known_.contains(server.raft_id()) && known_.size() >= kKnownServersMax) return;
  Known& known = known_[server.raft_id()];
  // What is only told of by others does not take the place of what the server said itself.
  if (alive || known.server.raft_id() == 0) known.server = server;
  if (alive) known.alive_ms = Now();
}

std::vector<peer::v1::Server> RaftNode::known_servers() const {
  std::vector<peer::v1::Server> servers;
  servers.reserve(known_.size());
  for (const auto& [id, known] : known_) servers.push_back(known.server);
  return servers;
}

std::optional<peer::v1::Server> RaftNode::FindServer(uint64_t raft_id) const {
  const auto found = known_.find(raft_id);
  if (found != known_.end()) return found->second.server;
  for (const RaftServer& server : engine_.configuration()) {
    if (server.id == raft_id) return DecodeServerAddress(server.id, server.address);
  }
  return std::nullopt;
}

AutopilotOptions RaftNode::autopilot() const {
  const log::v1::Autopilot& ours = state_machine_.autopilot();
  if (ours.modify_index() == 0) return options_.autopilot;
  AutopilotOptions options = FromProto(ours);
  options.dead_after = options_.autopilot.dead_after;
  return options;
}

AutopilotState RaftNode::autopilot_state() const {
  AutopilotState state;
  state.known = led_term_ != 0;
  const uint64_t now = Now();
  for (const RaftServer& member : engine_.configuration()) {
    AutopilotServer server;
    server.id = member.id;
    server.role = member.role;
    server.leader = member.id == engine_.leader();
    server.server = FindServer(member.id).value_or(DecodeServerAddress(member.id, member.address));
    const auto contact = contacts_.find(member.id);
    if (member.id == engine_.id()) {
      server.last_index = engine_.last_index();
      server.last_term = engine_.term();
      server.last_contact = last_contact();
    } else if (contact != contacts_.end()) {
      server.last_index = std::max(contact->second.last_index, engine_.match_index(member.id));
      server.last_term = contact->second.term;
      server.last_contact =
          absl::Milliseconds(static_cast<int64_t>(now - std::min(now, contact->second.heard_ms)));
    } else {
      server.last_contact = absl::InfiniteDuration();
    }
    const auto stable = stable_since_ms_.find(member.id);
    if (stable != stable_since_ms_.end()) {
      server.stable_for =
          absl::Milliseconds(static_cast<int64_t>(now - std::min(now, stable->second)));
    }
    state.servers.push_back(std::move(server));
  }
  JudgeHealth(autopilot(), engine_.last_index(), state);
  return state;
}

void RaftNode::AskAutopilot(std::function<void(AutopilotState)> done) {
  const uint64_t leader = engine_.leader();
  if (closing_ || engine_.is_leader() || leader == 0 || views_.size() >= kReadsMax) {
    return done(autopilot_state());
  }
  const uint64_t id = next_request_++;
  views_.emplace(id, std::pair(std::move(done), Now() + kViewMs));
  Message message;
  message.mutable_autopilot()->set_id(id);
  host_.SendTo(leader, std::move(message));
}

void RaftNode::OnAutopilotResult(const peer::v1::AutopilotResult& result) {
  const auto found = views_.find(result.id());
  if (found == views_.end()) return;
  const auto done = std::move(found->second.first);
  views_.erase(found);
  AutopilotState state = FromProto(result);
  uint64_t leader_last_index = 0;
  for (const AutopilotServer& server : state.servers) {
    if (server.leader) leader_last_index = server.last_index;
  }
  JudgeHealth(autopilot(), leader_last_index, state);
  done(std::move(state));
}

void RaftNode::RunAutopilot() {
  const uint64_t now = Now();
  if (!is_ready() || now < autopilot_ms_ + kAutopilotMs) return;
  autopilot_ms_ = now;
  const AutopilotState state = autopilot_state();
  std::set<uint64_t> members;
  for (const AutopilotServer& server : state.servers) {
    members.insert(server.id);
    if (!server.healthy) {
      stable_since_ms_.erase(server.id);
    } else {
      stable_since_ms_.try_emplace(server.id, now);
    }
  }
  if (engine_.change_pending() || engine_.transferring()) return;
  std::vector<uint64_t> candidates;
  for (const auto& [id, known] : known_) {
    if (!members.contains(id) && known.alive_ms != 0 && now - known.alive_ms < kAliveMs) {
      candidates.push_back(id);
    }
  }
  const std::optional<MembershipChange> change = NextChange(
      autopilot(), state, candidates, engine_.last_index(), options_.self.bootstrap_expect());
  if (!change) return;
  const peer::v1::Server server = FindServer(change->id).value_or(peer::v1::Server());
  const char* what = "";
  absl::Status started;
  // Nothing is tried again at once while the disks are full.
  const auto wait_for_room = [this](const absl::Status& status) {
    if (absl::IsResourceExhausted(status)) autopilot_ms_ = Now() + kFullDisksMs;
  };
  const auto done = [wait_for_room, name = server.name()](const absl::Status& status) {
    wait_for_room(status);
    if (!status.ok()) {
      PHAROS_LOG(kWarn, "agent.server", "a change of the servers failed: server=%s: %s", name,
                 std::string(status.message()));
    }
  };
  switch (change->kind) {
    case MembershipChange::Kind::kAdd:
      what = "adding server";
      started = engine_.Add(change->id, EncodeServerAddress(server), done);
      break;
    case MembershipChange::Kind::kFollow:
      what = "server begins to follow";
      started = engine_.Assign(change->id, RaftRole::kStandby, done);
      break;
    case MembershipChange::Kind::kVote:
      what = "promoting server to voter";
      started = engine_.Assign(change->id, RaftRole::kVoter, done);
      break;
    case MembershipChange::Kind::kRemove:
      what = "removing dead server";
      started = engine_.Remove(change->id, done);
      known_.erase(change->id);
      break;
  }
  wait_for_room(started);
  contacts_.try_emplace(change->id, Contact{.heard_ms = now, .last_index = 0, .term = 0});
  PHAROS_LOG(kInfo, "agent.server", "%s: server=%s address=%s%s", what, server.name(),
             server.address(), started.ok() ? "" : ": " + std::string(started.message()));
}

void RaftNode::DoChange(const peer::v1::MembershipRequest& request, const ReadDone& done) {
  absl::Status started;
  switch (request.change_case()) {
    case peer::v1::MembershipRequest::kAdd:
      Learn(request.add(), true);
      return done(absl::OkStatus());  // Autopilot does the rest.
    case peer::v1::MembershipRequest::kRemove: {
      const auto configuration = engine_.configuration();
      const bool member =
          std::any_of(configuration.begin(), configuration.end(),
                      [&](const RaftServer& server) { return server.id == request.remove(); });
      if (!member) {
        return done(absl::NotFoundError(absl::StrFormat(
            "id \"%d\" was not found in the Raft configuration", request.remove())));
      }
      known_.erase(request.remove());
      started = engine_.Remove(request.remove(), done);
      break;
    }
    case peer::v1::MembershipRequest::kTransferTo:
      started = engine_.Transfer(request.transfer_to(), done);
      break;
    case peer::v1::MembershipRequest::CHANGE_NOT_SET:
      started = absl::UnimplementedError("a change of the servers that this version does not know");
      break;
  }
  if (!started.ok()) done(started);
}

void RaftNode::ChangeMembership(peer::v1::MembershipRequest request, ReadDone done) {
  if (closing_) return done(Stopping());
  if (engine_.is_leader()) return DoChange(request, done);
  const uint64_t leader = engine_.leader();
  if (leader == 0) return done(NoLeader());
  const uint64_t id = next_request_++;
  request.set_id(id);
  membership_.emplace(id, std::pair(std::move(done), HoldDeadline()));
  Message message;
  *message.mutable_membership() = std::move(request);
  host_.SendTo(leader, std::move(message));
}

void RaftNode::TransferLeadership(uint64_t to, ReadDone done) {
  peer::v1::MembershipRequest request;
  request.set_transfer_to(to);
  ChangeMembership(std::move(request), std::move(done));
}

void RaftNode::OnMembership(uint64_t from, const peer::v1::MembershipRequest& request) {
  const auto answer = [this, from, id = request.id()](const absl::Status& status) {
    Message message;
    message.mutable_membership_result()->set_id(id);
    *message.mutable_membership_result()->mutable_status() = ToProto(status);
    host_.SendTo(from, std::move(message));
  };
  if (!engine_.is_leader()) return answer(NoLeader());
  DoChange(request, answer);
}

void RaftNode::OnMembershipResult(const peer::v1::MembershipResult& result) {
  const auto found = membership_.find(result.id());
  if (found == membership_.end()) return;
  const ReadDone done = std::move(found->second.first);
  membership_.erase(found);
  done(FromProto(result.status()));
}

}  // namespace pharos::cluster
