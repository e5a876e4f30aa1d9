#include "cluster/raft_messages.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "cluster/raft_engine.h"

namespace pharos::cluster {
namespace {

constexpr unsigned char kMessageVersion = 2;
constexpr unsigned char kResultVersion = 1;

// Whether what a message says of its entries fits together.
bool IsSound(const peer::v1::AppendEntries& from) {
  const int count = from.terms_size();
  if (from.types_size() != count || from.octets_size() != count) return false;
  uint64_t octets = 0;
  for (const uint32_t of_one : from.octets()) {
    if (of_one % RaftEngine::kEntryAlignment != 0) return false;
    octets += of_one;
  }
  for (const uint32_t type : from.types()) {
    if (type != RAFT_COMMAND && type != RAFT_BARRIER && type != RAFT_CHANGE) return false;
  }
  return octets == from.data().size();
}

}  // namespace

peer::v1::Raft MessageToProto(const raft_message& message) {
  peer::v1::Raft out;
  switch (message.type) {
    case RAFT_REQUEST_VOTE: {
      const raft_request_vote& from = message.request_vote;
      out.set_term(from.term);
      auto& to = *out.mutable_request_vote();
      to.set_last_log_index(from.last_log_index);
      to.set_last_log_term(from.last_log_term);
      to.set_disrupt_leader(from.disrupt_leader);
      to.set_pre_vote(from.pre_vote);
      break;
    }
    case RAFT_REQUEST_VOTE_RESULT: {
      const raft_request_vote_result& from = message.request_vote_result;
      out.set_term(from.term);
      auto& to = *out.mutable_request_vote_result();
      to.set_vote_granted(from.vote_granted);
      to.set_pre_vote(from.pre_vote);
      to.set_features(from.features);
      to.set_capacity(from.capacity);
      break;
    }
    case RAFT_APPEND_ENTRIES: {
      const raft_append_entries& from = message.append_entries;
      out.set_term(from.term);
      auto& to = *out.mutable_append_entries();
      to.set_prev_log_index(from.prev_log_index);
      to.set_prev_log_term(from.prev_log_term);
      to.set_leader_commit(from.leader_commit);
      size_t octets = 0;
      for (unsigned i = 0; i < from.n_entries; ++i) octets += from.entries[i].buf.len;
      std::string& data = *to.mutable_data();
      data.reserve(octets);
      for (unsigned i = 0; i < from.n_entries; ++i) {
        const raft_entry& entry = from.entries[i];
        to.add_terms(entry.term);
        to.add_types(entry.type);
        to.add_octets(static_cast<uint32_t>(entry.buf.len));
        data.append(static_cast<const char*>(entry.buf.base), entry.buf.len);
      }
      break;
    }
    case RAFT_APPEND_ENTRIES_RESULT: {
      const raft_append_entries_result& from = message.append_entries_result;
      out.set_term(from.term);
      auto& to = *out.mutable_append_entries_result();
      to.set_rejected(from.rejected);
      to.set_last_log_index(from.last_log_index);
      to.set_features(from.features);
      to.set_capacity(from.capacity);
      break;
    }
    case RAFT_TIMEOUT_NOW: {
      const raft_timeout_now& from = message.timeout_now;
      out.set_term(from.term);
      out.mutable_timeout_now()->set_last_log_index(from.last_log_index);
      out.mutable_timeout_now()->set_last_log_term(from.last_log_term);
      break;
    }
    case RAFT_INSTALL_SNAPSHOT:
      break;
  }
  return out;
}

std::optional<raft_message> MessageFromProto(const peer::v1::Raft& message, uint64_t from) {
  raft_message to{};
  switch (message.message_case()) {
    case peer::v1::Raft::kRequestVote: {
      const auto& vote = message.request_vote();
      to.type = RAFT_REQUEST_VOTE;
      to.request_vote = {.version = kMessageVersion,
                         .term = message.term(),
                         .candidate_id = from,
                         .last_log_index = vote.last_log_index(),
                         .last_log_term = vote.last_log_term(),
                         .disrupt_leader = vote.disrupt_leader(),
                         .pre_vote = vote.pre_vote()};
      return to;
    }
    case peer::v1::Raft::kRequestVoteResult: {
      const auto& result = message.request_vote_result();
      to.type = RAFT_REQUEST_VOTE_RESULT;
      to.request_vote_result = {.version = kMessageVersion,
                                .term = message.term(),
                                .vote_granted = result.vote_granted(),
                                .pre_vote = result.pre_vote(),
                                .features = static_cast<uint16_t>(result.features()),
                                .capacity = static_cast<uint16_t>(result.capacity())};
      return to;
    }
    case peer::v1::Raft::kAppendEntries:
      if (!IsSound(message.append_entries())) return std::nullopt;
      to.type = RAFT_APPEND_ENTRIES;
      return to;
    case peer::v1::Raft::kAppendEntriesResult: {
      const auto& result = message.append_entries_result();
      to.type = RAFT_APPEND_ENTRIES_RESULT;
      to.append_entries_result = {.version = kResultVersion,
                                  .term = message.term(),
                                  .rejected = result.rejected(),
                                  .last_log_index = result.last_log_index(),
                                  .features = static_cast<uint16_t>(result.features()),
                                  .capacity = static_cast<uint16_t>(result.capacity())};
      return to;
    }
    case peer::v1::Raft::kTimeoutNow:
      to.type = RAFT_TIMEOUT_NOW;
      to.timeout_now = {.version = 0,
                        .term = message.term(),
                        .last_log_index = message.timeout_now().last_log_index(),
                        .last_log_term = message.timeout_now().last_log_term()};
      return to;
    case peer::v1::Raft::MESSAGE_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

raft_append_entries EntriesFromProto(const peer::v1::AppendEntries& from, int begin, int end) {
  raft_append_entries to{};
  to.prev_log_index = from.prev_log_index() + static_cast<uint64_t>(begin);
  to.prev_log_term = begin == 0 ? from.prev_log_term() : from.terms(begin - 1);
  to.leader_commit = from.leader_commit();
  to.n_entries = static_cast<unsigned>(end - begin);
  if (begin == end) return to;
  size_t offset = 0, octets = 0;
  for (int i = 0; i < begin; ++i) offset += from.octets(i);
  for (int i = begin; i < end; ++i) octets += from.octets(i);
  to.entries = static_cast<raft_entry*>(raft_calloc(to.n_entries, sizeof(raft_entry)));
  auto* const batch = static_cast<uint8_t*>(raft_malloc(std::max<size_t>(octets, 1)));
  CHECK(to.entries != nullptr && batch != nullptr);
  std::copy_n(from.data().begin() + static_cast<ptrdiff_t>(offset), octets, batch);
  offset = 0;
  for (int i = begin; i < end; ++i) {
    raft_entry& entry = to.entries[i - begin];
    entry.term = from.terms(i);
    entry.type = static_cast<raft_entry_type>(from.types(i));
    entry.buf = {.base = batch + offset, .len = from.octets(i)};
    entry.batch = batch;
    offset += from.octets(i);
  }
  return to;
}

}  // namespace pharos::cluster
