#include "cluster/raft_engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/libraft.h"
#include "cluster/raft_messages.h"

namespace pharos::cluster {
namespace {

// Entries on their way to one server; libraft counts entries, not octets.
constexpr unsigned kInflightEntriesMax = 256;
// Of a snapshot whose end libraft does not hear of. A big catalog may take longer; it is then not
// sent again, as one is on its way.
constexpr unsigned kInstallTimeoutMs = 30 * 1000;
constexpr unsigned kCatchUpRoundMs = 30 * 1000;
// raft_uv gives a snapshot to the disk in buffers of at most 2 GiB.
constexpr size_t kImageBufferOctets = size_t{64} << 20;
// How often libraft may take a snapshot of its own accord; ours is the choice when.
constexpr unsigned kNeverTakeSnapshot = 1U << 30;

// What a change of the configuration, and so on, says when libraft refuses.
absl::Status StatusOf(int code, const char* message) {
  if (code == 0) return absl::OkStatus();
  const std::string text = message == nullptr || *message == '\0' ? raft_strerror(code) : message;
  switch (code) {
    case RAFT_NOTLEADER:
      return absl::FailedPreconditionError("this server does not lead");
    case RAFT_LEADERSHIPLOST:
    case RAFT_SHUTDOWN:
    case RAFT_CANCELED:
      return absl::AbortedError(
          "the leader changed before the outcome was known; the change may or may not come to be");
    case RAFT_CANTCHANGE:
      return absl::FailedPreconditionError("a change of the servers is under way already");
    case RAFT_CANTBOOTSTRAP:
      return absl::FailedPreconditionError("there is a cluster already");
    case RAFT_NOSPACE:
      return absl::ResourceExhaustedError(
          "the disks of a majority of the servers are full; nothing was changed");
    case RAFT_CORRUPT:
    case RAFT_MALFORMED:
      return absl::DataLossError(text);
    case RAFT_NOTFOUND:
    case RAFT_BADID:
      return absl::NotFoundError(text);
    case RAFT_NOCONNECTION:
      return absl::UnavailableError("the server did not catch up in time");
    case RAFT_DUPLICATEID:
    case RAFT_DUPLICATEADDRESS:
      return absl::AlreadyExistsError(text);
    default:
      return absl::InternalError(text);
  }
}

RaftRole RoleOf(int role) {
  return role == RAFT_VOTER     ? RaftRole::kVoter
         : role == RAFT_STANDBY ? RaftRole::kStandby
                                : RaftRole::kSpare;
}
int RoleOf(RaftRole role) {
  return role == RaftRole::kVoter     ? RAFT_VOTER
         : role == RaftRole::kStandby ? RAFT_STANDBY
                                      : RAFT_SPARE;
}

class Configuration {
 public:
  Configuration() { raft_configuration_init(&value_); }
  explicit Configuration(const std::vector<RaftServer>& servers) : Configuration() {
    for (const RaftServer& server : servers) {
      CHECK(raft_configuration_add(&value_, server.id, server.address.c_str(),
                                   RoleOf(server.role)) == 0);
    }
  }
  ~Configuration() { raft_configuration_close(&value_); }
  Configuration(const Configuration&) = delete;
  Configuration& operator=(const Configuration&) = delete;
  raft_configuration* get() { return &value_; }
  raft_configuration Release() {
    const raft_configuration released = value_;
    raft_configuration_init(&value_);
    return released;
  }

 private:
  raft_configuration value_;
};

std::vector<RaftServer> ServersOf(const raft_configuration& configuration) {
  std::vector<RaftServer> servers;
  servers.reserve(configuration.n);
  for (unsigned i = 0; i < configuration.n; ++i) {
    const raft_server& server = configuration.servers[i];
    servers.push_back({.id = server.id, .address = server.address, .role = RoleOf(server.role)});
  }
  return servers;
}

}  // namespace

RaftBuffer::RaftBuffer(size_t size) : base_(raft_malloc(std::max<size_t>(size, 1))), size_(size) {
  CHECK(base_ != nullptr);
}

RaftBuffer::~RaftBuffer() { raft_free(base_); }

struct RaftEngine::Impl {
  explicit Impl(RaftEngine& of) : engine(of) {}

  static Impl& Of(raft_io* io) {
    return *static_cast<Impl*>(static_cast<struct raft*>(io->data)->data);
  }
  static Impl& Of(raft_fsm* fsm) { return *static_cast<Impl*>(fsm->data); }

  void Install() {
    io = engine.disk_.io();
    disk_load = io->load;
    disk_start = io->start;
    disk_set_term = io->set_term;
    disk_set_vote = io->set_vote;
    disk_append = io->append;
    disk_truncate = io->truncate;
    disk_snapshot_put = io->snapshot_put;
    disk_snapshot_get = io->snapshot_get;
    io->load = Load;
    io->start = Start;
    io->set_term = SetTerm;
    io->set_vote = SetVote;
    io->append = Append;
    io->truncate = Truncate;
    io->send = Send;
    io->snapshot_put = SnapshotPut;
    io->snapshot_get = SnapshotGet;
    fsm.version = 1;
    fsm.data = this;
    fsm.apply = Apply;
    fsm.snapshot = Snapshot;
    fsm.restore = Restore;
  }

  static int Start(raft_io* io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv) {
    Impl& self = Of(io);
    self.tick = tick;
    self.recv = recv;
    return self.disk_start(io, msecs, Tick, recv);
  }

  static void Tick(raft_io* io) {
    Impl& self = Of(io);
    const auto& follower = self.raft.follower_state;
    if (self.raft.state == RAFT_FOLLOWER && self.IsOnlyVoter(self.raft.configuration) &&
        io->time(io) - self.raft.election_timer_start >= follower.randomized_election_timeout) {
      self.raft.current_term = self.BeginTerm(self.raft.current_term + 1);
      self.raft.voted_for = 0;
    }
    self.tick(io);
  }

  bool IsOnlyVoter(const raft_configuration& configuration) const {
    bool is_voter = false;
    for (unsigned i = 0; i < configuration.n; ++i) {
      if (configuration.servers[i].role != RAFT_VOTER) continue;
      if (configuration.servers[i].id != engine.options_.id) return false;
      is_voter = true;
    }
    return is_voter;
  }

  uint64_t BeginTerm(uint64_t term) {
    CHECK(SetTerm(io, term) == 0);
    return term;
  }

  // libraft lets a server that is the only voter lead without an election, in the term that it
  // finds. In that term it may have led before and sent to others what it does not have any more,
  // and then puts something else in the same place. So it has a new term each time.
  static int Load(raft_io* io, raft_term* term, raft_id* voted_for, raft_snapshot** snapshot,
                  raft_index* start_index, raft_entry** entries, size_t* count) {
    Impl& self = Of(io);
    const int code = self.disk_load(io, term, voted_for, snapshot, start_index, entries, count);
    if (code != 0) return code;
    self.stored_term = *term;
    self.last_stored = *count > 0             ? *start_index + *count - 1
                       : *snapshot == nullptr ? 0
                                              : (*snapshot)->index;
    const raft_entry* change = nullptr;
    for (size_t i = 0; i < *count; ++i) {
      if ((*entries)[i].type == RAFT_CHANGE) change = &(*entries)[i];
    }
    Configuration last;
    if (change != nullptr && raft_configuration_decode(&change->buf, last.get()) != 0) {
      return RAFT_MALFORMED;
    }
    const bool from_snapshot = change == nullptr && *snapshot != nullptr;
    if (self.IsOnlyVoter(from_snapshot ? (*snapshot)->configuration : *last.get())) {
      *term = self.BeginTerm(*term + 1);
      *voted_for = 0;
    }
    return 0;
  }

  // libraft stores a term once more with every vote, whereby the vote is lost for a moment.
  static int SetTerm(raft_io* io, raft_term term) {
    Impl& self = Of(io);
    if (term == self.stored_term) return 0;
    self.CheckWritten(self.disk_set_term(io, term));
    self.stored_term = term;
    return 0;
  }
  static int SetVote(raft_io* io, raft_id id) {
    Impl& self = Of(io);
    self.CheckWritten(self.disk_set_vote(io, id));
    return 0;
  }
  static int Append(raft_io* io, raft_io_append* request, const raft_entry entries[],
                    unsigned count, raft_io_append_cb done) {
    Impl& self = Of(io);
    self.last_stored += count;
    self.CheckWritten(self.disk_append(io, request, entries, count, done));
    return 0;
  }
  static int Truncate(raft_io* io, raft_index index) {
    Impl& self = Of(io);
    self.last_stored = index - 1;
    self.CheckWritten(self.disk_truncate(io, index));
    return 0;
  }

  // libraft goes on when the disk refuses something, with a log that is not the one on the disk.
  void CheckWritten(int code) {
    if (code == 0 || closing) return;
    engine.host_.OnFatal(absl::StrFormat("the disk of the Raft log failed: %s: %s",
                                         raft_strerror(code), io->errmsg));
  }

  // Always takes the message: libraft leaves the rest of a step undone when it cannot be sent. As
  // all of it is copied, or taken over, libraft may have its memory back at once.
  static int Send(raft_io* io, raft_io_send* request, const raft_message* message,
                  raft_io_send_cb done) {
    RaftEngine& engine = Of(io).engine;
    request->cb = done;
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
      // The message is libraft's copy for this request alone, and it frees what is left in it.
      SendSnapshot(engine, Of(io).loaded_term, *const_cast<raft_message*>(message));
    } else {
      peer::v1::Raft out = MessageToProto(*message);
      // A refusal to vote has to tell the candidate of a later term; libraft's repeats what term
      // was asked for, and two servers that refuse each other would do so for ever.
      if (out.request_vote_result().pre_vote() && !out.request_vote_result().vote_granted()) {
        out.set_term(std::max(out.term(), engine.term()));
      }
      engine.host_.Send(message->server_id, std::move(out));
    }
    done(request, 0);
    return 0;
  }

  static void SendSnapshot(RaftEngine& engine, uint64_t loaded_term, raft_message& message) {
    raft_install_snapshot& from = message.install_snapshot;
    // One copy on its way is enough, however often libraft thinks that it is lost.
    if (!engine.snapshots_sending_.insert(message.server_id).second) return;
    ++engine.counters_.snapshots_sent;
    peer::v1::InstallSnapshot info;
    info.set_term(from.term);
    info.set_last_index(from.last_index);
    // libraft sends the term of the snapshot that it had when it began to read this one.
    info.set_last_term(loaded_term);
    raft_buffer encoded{};
    CHECK(raft_configuration_encode(&from.conf, &encoded) == 0);
    info.set_configuration(encoded.base, encoded.len);
    raft_free(encoded.base);
    info.set_configuration_index(from.conf_index);
    info.set_octets(from.data.len);
    auto data = std::make_shared<const RaftBuffer>(std::exchange(from.data.base, nullptr),
                                                   std::exchange(from.data.len, 0));
    engine.host_.SendSnapshot(message.server_id, std::move(info), std::move(data));
  }

  static int Apply(raft_fsm* fsm, const raft_buffer* buffer, void** result) {
    *result = nullptr;
    Impl& self = Of(fsm);
    // libraft does not say which index it is at.
    const uint64_t index = raft_last_applied(&self.raft) + 1;
    self.engine.log_octets_ += buffer->len;
    self.engine.host_.Apply(index, {static_cast<const uint8_t*>(buffer->base), buffer->len});
    return 0;
  }

  // Takes the state as it is now; the image is made of it elsewhere (SnapshotPut). libraft wants
  // some data nevertheless.
  static int Snapshot(raft_fsm* fsm, raft_buffer* buffers[], unsigned* count) {
    Impl& self = Of(fsm);
    self.make_image = self.engine.host_.TakeImage();
    *count = 1;
    *buffers = static_cast<raft_buffer*>(raft_malloc(sizeof(raft_buffer)));
    CHECK(*buffers != nullptr);
    (*buffers)->base = raft_calloc(1, kEntryAlignment);
    (*buffers)->len = kEntryAlignment;
    self.engine.taking_snapshot_ = true;
    return 0;
  }

  static int Restore(raft_fsm* fsm, raft_buffer* buffer) {
    Impl& self = Of(fsm);
    self.engine.image_octets_ = buffer->len;
    self.engine.log_octets_ = 0;
    const absl::Status restored =
        self.engine.host_.Restore({static_cast<const uint8_t*>(buffer->base), buffer->len});
    if (!restored.ok()) {
      if (self.started) self.engine.host_.OnFatal(std::string(restored.message()));
      self.restore_error = restored;
      return RAFT_CORRUPT;
    }
    raft_free(buffer->base);
    return 0;
  }

  // A snapshot of our own: the image is made on another thread, and only then given to the disk.
  struct Put {
    Impl& impl;
    unsigned trailing;
    raft_io_snapshot_put* request;
    raft_io_snapshot_put_cb done;
    raft_snapshot snapshot;
    std::function<std::vector<std::string>()> make_image;
    std::vector<raft_buffer> buffers;
    raft_io_snapshot_put disk_request;
  };

  static int SnapshotPut(raft_io* io, unsigned trailing, raft_io_snapshot_put* request,
                         const raft_snapshot* snapshot, raft_io_snapshot_put_cb done) {
    Impl& self = Of(io);
    // With nothing to be kept behind it, it came from the leader and is complete.
    if (trailing == 0) {
      ++self.engine.counters_.snapshots_installed;
      self.engine.snapshot_index_ = snapshot->index;
      self.last_stored = snapshot->index;
      return self.PutInstalled(request, snapshot, done);
    }
    auto* const put = new Put{.impl = self,
                              .trailing = trailing,
                              .request = request,
                              .done = done,
                              .snapshot = *snapshot,
                              .make_image = std::exchange(self.make_image, nullptr),
                              .buffers = {},
                              .disk_request = {}};
    request->cb = done;
    ++self.puts;
    self.engine.host_.RunElsewhere([put] { MakeImage(*put); }, [put] { PutImage(put); });
    return 0;
  }

  struct Installation {
    Impl& impl;
    raft_io_snapshot_put* request;
    raft_io_snapshot_put_cb done;
    raft_io_snapshot_put disk_request;
  };

  // libraft would wait for ever for one that cannot be written.
  int PutInstalled(raft_io_snapshot_put* request, const raft_snapshot* snapshot,
                   raft_io_snapshot_put_cb done) {
    auto* const put =
        new Installation{.impl = *this, .request = request, .done = done, .disk_request = {}};
    put->disk_request.data = put;
    request->cb = done;
    CheckWritten(disk_snapshot_put(
        io, 0, &put->disk_request, snapshot, [](raft_io_snapshot_put* disk_request, int status) {
          const std::unique_ptr<Installation> of(static_cast<Installation*>(disk_request->data));
          of->impl.CheckWritten(status);
          of->done(of->request, status);
        }));
    return 0;
  }

  static void MakeImage(Put& put) {
    std::vector<std::string> chunks = std::exchange(put.make_image, nullptr)();
    for (size_t next = 0; next < chunks.size();) {
      size_t octets = 0, end = next;
      while (end < chunks.size() &&
             (end == next || octets + chunks[end].size() <= kImageBufferOctets)) {
        octets += chunks[end++].size();
      }
      auto* const base = static_cast<char*>(raft_malloc(std::max<size_t>(octets, 1)));
      CHECK(base != nullptr);
      put.buffers.push_back({.base = base, .len = octets});
      size_t offset = 0;
      for (; next < end; ++next) {
        std::string chunk = std::move(chunks[next]);
        std::copy(chunk.begin(), chunk.end(), base + offset);
        offset += chunk.size();
      }
    }
  }

  static void PutImage(Put* put) {
    Impl& self = put->impl;
    put->snapshot.bufs = put->buffers.data();
    put->snapshot.n_bufs = static_cast<unsigned>(put->buffers.size());
    put->disk_request.data = put;
    int code = RAFT_CANCELED;
    if (!self.closing) {
      code = self.disk_snapshot_put(self.io, put->trailing, &put->disk_request, &put->snapshot,
                                    [](raft_io_snapshot_put* request, int status) {
                                      FinishPut(static_cast<Put*>(request->data), status);
                                    });
    }
    if (code != 0) FinishPut(put, code);
  }

  static void FinishPut(Put* put, int status) {
    Impl& self = put->impl;
    RaftEngine& engine = self.engine;
    uint64_t octets = 0;
    for (const raft_buffer& buffer : put->buffers) {
      octets += buffer.len;
      raft_free(buffer.base);
    }
    engine.taking_snapshot_ = false;
    if (status == 0) {
      ++engine.counters_.snapshots_taken;
      engine.image_octets_ = octets;
      engine.snapshot_index_ = put->snapshot.index;
    }
    // Forbids the next one until there is a reason for it.
    engine.snapshot_wanted_ = false;
    raft_set_snapshot_threshold(&self.raft, kNeverTakeSnapshot);
    raft_io_snapshot_put* const request = put->request;
    const raft_io_snapshot_put_cb done = put->done;
    delete put;
    --self.puts;
    done(request, status);
    self.MaybeClose();
  }

  struct Get {
    Impl& impl;
    raft_io_snapshot_get* request;
    raft_io_snapshot_get_cb done;
    raft_io_snapshot_get disk_request;
  };

  static int SnapshotGet(raft_io* io, raft_io_snapshot_get* request, raft_io_snapshot_get_cb done) {
    Impl& self = Of(io);
    auto* const get = new Get{.impl = self, .request = request, .done = done, .disk_request = {}};
    request->cb = done;
    get->disk_request.data = get;
    ++self.engine.snapshots_loading_;
    const int code = self.disk_snapshot_get(
        io, &get->disk_request,
        [](raft_io_snapshot_get* loaded, raft_snapshot* snapshot, int status) {
          const std::unique_ptr<Get> of(static_cast<Get*>(loaded->data));
          Impl& impl = of->impl;
          --impl.engine.snapshots_loading_;
          // libraft would free what it has not set yet, where it should free its request alone.
          if (status != 0) {
            raft_free(of->request->data);
            PHAROS_LOG(kError, "agent.raft", "A snapshot cannot be read: %s", impl.io->errmsg);
            return;
          }
          impl.loaded_term = snapshot->term;
          of->done(of->request, snapshot, status);
        });
    if (code != 0) {
      --self.engine.snapshots_loading_;
      delete get;
    }
    return code;
  }

  // libraft is closed only when no image is being made for it any more.
  void MaybeClose() {
    if (!closing || puts > 0 || closed_raft) return;
    closed_raft = true;
    raft_close(&raft, [](struct raft* closed) {
      auto& self = *static_cast<Impl*>(closed->data);
      self.initialized = false;
      std::exchange(self.on_closed, nullptr)();
    });
  }

  // A server that votes by the candidate's configuration and not by its own, which ends before its
  // promotion, is to vote (thesis, section 4.2.2): without it, a cluster that was growing from one
  // voter to two would never have a leader again. libraft refuses. And it takes the last leader of
  // a server that does not vote, or has not written all its entries, for one that leads for ever.
  void ReceiveRequestVote(raft_message& message) {
    raft_configuration& configuration = raft.configuration;
    raft_server* const end = configuration.servers + configuration.n;
    raft_server* const self =
        std::find_if(configuration.servers, end,
                     [this](const raft_server& server) { return server.id == raft.id; });
    if (raft.state != RAFT_FOLLOWER || self == end ||
        engine.NowMs() - heard_leader_ms < engine.options_.election_timeout_ms) {
      recv(io, &message);
      return;
    }
    auto& leader = raft.follower_state.current_leader;
    leader.id = 0;
    raft_free(std::exchange(leader.address, nullptr));
    const int role = std::exchange(self->role, RAFT_VOTER);
    recv(io, &message);
    self->role = role;
  }

  // Every other message.
  void ReceiveMessage(raft_message& message) {
    recv(io, &message);
    // One that is elected while the disks are full leads without the knowledge of that part of
    // libraft which tells those who wait for an outcome that it leads no more.
    if (raft.state == RAFT_LEADER) raft.legacy.prev_state = RAFT_LEADER;
    // It does not give to the disk an entry that was taken away while it was written and comes back
    // meanwhile, but believes that it has.
    if (!closing && !raft.snapshot.installing && raft_last_index(&raft) != last_stored) {
      engine.host_.OnFatal(
          absl::StrFormat("the Raft log should end at entry %d, but what was written ends at %d",
                          raft_last_index(&raft), last_stored));
    }
  }

  // The entries of `append`, which is sound, in messages that libraft bears.
  void ReceiveEntries(raft_message& message, uint64_t term, const peer::v1::AppendEntries& append) {
    const int count = append.terms_size();
    int begin = 0;
    // What the snapshot has is committed and thus the leader's, too. libraft, which has forgotten
    // the terms of these entries, would reject for ever what comes from among them.
    const uint64_t snapshot_index = raft.trail.snapshot.index;
    if (!raft.snapshot.installing && append.prev_log_index() < snapshot_index) {
      const uint64_t known = snapshot_index - append.prev_log_index();
      begin = static_cast<int>(std::min(known, static_cast<uint64_t>(count)));
    }
    // libraft takes each configuration of a message for its first entry. One that comes later
    // would get the index of an entry that may be committed already, never be committed itself,
    // and stay out of every snapshot. So each begins a message of its own.
    do {
      int end = std::min(begin + 1, count);
      while (end < count && append.types(end) != RAFT_CHANGE) ++end;
      // That an earlier one is committed it has to learn before, or it never does.
      const bool is_change = begin < count && append.types(begin) == RAFT_CHANGE;
      if (is_change && raft.configuration_uncommitted_index != 0) {
        ReceivePart(message, term, append, begin, begin);
      }
      ReceivePart(message, term, append, begin, end);
      begin = end;
    } while (begin < count);
  }

  void ReceivePart(raft_message& message, uint64_t term, const peer::v1::AppendEntries& append,
                   int begin, int end) {
    const auto& snapshot = raft.trail.snapshot;
    raft_append_entries& entries = message.append_entries;
    entries = EntriesFromProto(append, begin, end);
    entries.term = term;
    if (!raft.snapshot.installing && entries.prev_log_index < snapshot.index) {
      entries.prev_log_index = snapshot.index;
      entries.prev_log_term = snapshot.term;
    }
    // libraft would go back to the end of a message that ends before what is committed.
    const raft_index last = entries.prev_log_index + entries.n_entries;
    if (last < raft.commit_index) entries.leader_commit = 0;
    ReceiveMessage(message);
  }

  // A promotion that the disks had no room for at its end is given up; libraft has forgotten it,
  // and would have no other change before it leads again.
  void EndForgottenChange() {
    if (raft.legacy.change != &change || change.catch_up_id != 0 ||
        raft.configuration_uncommitted_index != 0) {
      return;
    }
    raft.legacy.change = nullptr;
    change.cb(&change, RAFT_NOSPACE);
  }

  struct PendingApply {
    struct raft_apply request {};
    Done done;
  };

  RaftEngine& engine;
  raft_io* io = nullptr;
  raft_fsm fsm{};
  struct raft raft {};
  decltype(raft_io::load) disk_load = nullptr;
  decltype(raft_io::start) disk_start = nullptr;
  decltype(raft_io::set_term) disk_set_term = nullptr;
  decltype(raft_io::set_vote) disk_set_vote = nullptr;
  decltype(raft_io::append) disk_append = nullptr;
  decltype(raft_io::truncate) disk_truncate = nullptr;
  decltype(raft_io::snapshot_put) disk_snapshot_put = nullptr;
  decltype(raft_io::snapshot_get) disk_snapshot_get = nullptr;
  raft_io_tick_cb tick = nullptr;
  raft_io_recv_cb recv = nullptr;
  std::function<std::vector<std::string>()> make_image;
  absl::Status restore_error;
  size_t puts = 0;
  uint64_t stored_term = 0;
  uint64_t last_stored = 0;      // The last entry that the disk has, or was given.
  uint64_t loaded_term = 0;      // Of the snapshot that was read last.
  uint64_t heard_leader_ms = 0;  // At which time the leader's last message came.
  bool started = false;
  bool initialized = false, closing = false, closed_raft = false;
  std::function<void()> on_closed;
  raft_change change{};
  struct raft_transfer transfer {};
};

RaftEngine::RaftEngine(const RaftEngineOptions& options, RaftDisk& disk, RaftEngineHost& host)
    : options_(options), disk_(disk), host_(host), impl_(std::make_unique<Impl>(*this)) {
  CHECK(options_.id != 0);
  impl_->Install();
  struct raft& raft = impl_->raft;
  CHECK(raft_init(&raft, impl_->io, &impl_->fsm, options_.id, options_.address.c_str()) == 0);
  impl_->initialized = true;
  raft.data = impl_.get();
  raft.tracer = nullptr;  // It formats every line, whether or not anybody reads it.
  raft_set_election_timeout(&raft, options_.election_timeout_ms);
  raft_set_heartbeat_timeout(&raft, options_.heartbeat_ms);
  raft_set_install_snapshot_timeout(&raft, kInstallTimeoutMs);
  raft_set_max_catch_up_round_duration(&raft, kCatchUpRoundMs);
  raft_set_max_inflight_entries(&raft, kInflightEntriesMax);
  raft_set_pre_vote(&raft, true);
  raft_set_snapshot_threshold(&raft, kNeverTakeSnapshot);
  raft_set_snapshot_trailing(&raft, std::max<uint32_t>(options_.trailing_entries, 1));
}

RaftEngine::~RaftEngine() { CHECK(!impl_->initialized || impl_->tick == nullptr); }

absl::Status RaftEngine::Bootstrap(const std::vector<RaftServer>& servers) {
  Configuration configuration(servers);
  return StatusOf(raft_bootstrap(&impl_->raft, configuration.get()), raft_errmsg(&impl_->raft));
}

absl::Status RaftEngine::Recover(const std::vector<RaftServer>& servers) {
  Configuration configuration(servers);
  return StatusOf(raft_recover(&impl_->raft, configuration.get()), raft_errmsg(&impl_->raft));
}

absl::Status RaftEngine::Start() {
  const int code = raft_start(&impl_->raft);
  if (!impl_->restore_error.ok()) return impl_->restore_error;
  snapshot_index_ = impl_->raft.trail.snapshot.index;
  impl_->started = code == 0;
  return StatusOf(code, raft_errmsg(&impl_->raft));
}

void RaftEngine::Close(std::function<void()> closed) {
  CHECK(!impl_->closing);
  impl_->closing = true;
  // One that is under way is waited for, and none begins any more.
  raft_set_snapshot_threshold(&impl_->raft, kNeverTakeSnapshot);
  impl_->on_closed = [this, closed = std::move(closed)] {
    impl_->tick = nullptr;
    closed();
  };
  impl_->MaybeClose();
}

void RaftEngine::Tick() {
  if (impl_->closing || impl_->tick == nullptr) return;
  Impl::Tick(impl_->io);
  LegacyFireCompletedRequests(&impl_->raft);
}

void RaftEngine::Receive(uint64_t from, const peer::v1::Raft& message) {
  if (impl_->closing || impl_->recv == nullptr) return;
  std::optional<raft_message> in = MessageFromProto(message, from);
  if (!in) return;
  // What libraft knows a server by; it keeps a copy where it keeps it at all.
  const std::string address = absl::StrFormat("%d", from);
  in->server_id = from;
  in->server_address = address.c_str();
  switch (in->type) {
    case RAFT_REQUEST_VOTE:
      return impl_->ReceiveRequestVote(*in);
    case RAFT_APPEND_ENTRIES:
      impl_->ReceiveEntries(*in, message.term(), message.append_entries());
      if (leader() == from) impl_->heard_leader_ms = NowMs();
      return;
    case RAFT_APPEND_ENTRIES_RESULT: {
      raft_append_entries_result& result = in->append_entries_result;
      // A server that waits for a snapshot rejects heartbeats, and each rejection would make
      // libraft send another copy. It is a sign of life and no more.
      const bool awaits_snapshot = snapshots_loading_ > 0 || snapshots_sending_.contains(from);
      // Neither is one of what the server has taken since: libraft would then send from there,
      // count fewer than no entries as on their way, and never send any again.
      const bool overtaken = result.rejected <= match_index(from);
      if (result.rejected != 0 && (awaits_snapshot || overtaken)) {
        result.rejected = 0;
        result.last_log_index = 0;
        ++counters_.rejections_softened;
      }
      break;
    }
    default:
      break;
  }
  impl_->ReceiveMessage(*in);
}

bool RaftEngine::ReceiveSnapshot(uint64_t from, const peer::v1::InstallSnapshot& info,
                                 RaftBuffer data) {
  if (impl_->closing || impl_->recv == nullptr) return false;
  // libraft forgets which of the two it was about, and crashes; or the second one's memory.
  if (taking_snapshot_ || impl_->raft.snapshot.installing) {
    ++counters_.snapshots_refused;
    return false;
  }
  Configuration configuration;
  raft_buffer encoded{.base = const_cast<char*>(info.configuration().data()),
                      .len = info.configuration().size()};
  if (raft_configuration_decode(&encoded, configuration.get()) != 0) return false;
  raft_message in{};
  const std::string address = absl::StrFormat("%d", from);
  in.type = RAFT_INSTALL_SNAPSHOT;
  in.server_id = from;
  in.server_address = address.c_str();
  raft_install_snapshot& install = in.install_snapshot;
  install.version = 0;
  install.term = info.term();
  install.last_index = info.last_index();
  install.last_term = info.last_term();
  install.conf = configuration.Release();
  install.conf_index = info.configuration_index();
  install.data.len = data.size();
  install.data.base = data.Release();
  impl_->ReceiveMessage(in);
  if (leader() == from) impl_->heard_leader_ms = NowMs();
  return true;
}

void RaftEngine::SnapshotSent(uint64_t to) { snapshots_sending_.erase(to); }

absl::Status RaftEngine::Propose(RaftBuffer entry, Done done) {
  // libraft would refuse another length only after it has freed the entry.
  CHECK(entry.size() % kEntryAlignment == 0);
  auto* const pending = new Impl::PendingApply{.request = {}, .done = std::move(done)};
  pending->request.data = pending;
  const raft_buffer buffer{.base = entry.data(), .len = entry.size()};
  const int code = raft_apply(&impl_->raft, &pending->request, &buffer, 1,
                              [](struct raft_apply* request, int status, void*) {
                                const std::unique_ptr<Impl::PendingApply> of(
                                    static_cast<Impl::PendingApply*>(request->data));
                                of->done(StatusOf(status, nullptr));
                              });
  if (code == 0) {
    entry.Release();
    return absl::OkStatus();
  }
  delete pending;
  return StatusOf(code, raft_errmsg(&impl_->raft));
}

namespace {

template <typename Call>
absl::Status Change(std::unique_ptr<RaftEngine::Done>& slot, RaftEngine::Done done,
                    raft_change& change, struct raft& raft, Call call) {
  if (slot != nullptr) return StatusOf(RAFT_CANTCHANGE, nullptr);
  if (raft_state(&raft) != RAFT_LEADER) return StatusOf(RAFT_NOTLEADER, nullptr);
  change = {};
  change.data = &slot;
  const int code = call(&change, [](raft_change* request, int status) {
    auto& of = *static_cast<std::unique_ptr<RaftEngine::Done>*>(request->data);
    const std::unique_ptr<RaftEngine::Done> finished = std::move(of);
    // libraft may remember a change that it has refused.
    if (finished != nullptr) (*finished)(StatusOf(status, nullptr));
  });
  if (code != 0) return StatusOf(code, raft_errmsg(&raft));
  slot = std::make_unique<RaftEngine::Done>(std::move(done));
  return absl::OkStatus();
}

}  // namespace

absl::Status RaftEngine::Add(uint64_t id, const std::string& address, Done done) {
  return Change(change_done_, std::move(done), impl_->change, impl_->raft,
                [&](raft_change* request, raft_change_cb callback) {
                  return raft_add(&impl_->raft, request, id, address.c_str(), callback);
                });
}

absl::Status RaftEngine::Assign(uint64_t id, RaftRole role, Done done) {
  return Change(change_done_, std::move(done), impl_->change, impl_->raft,
                [&](raft_change* request, raft_change_cb callback) {
                  return raft_assign(&impl_->raft, request, id, RoleOf(role), callback);
                });
}

absl::Status RaftEngine::Remove(uint64_t id, Done done) {
  return Change(change_done_, std::move(done), impl_->change, impl_->raft,
                [&](raft_change* request, raft_change_cb callback) {
                  return raft_remove(&impl_->raft, request, id, callback);
                });
}

absl::Status RaftEngine::Transfer(uint64_t id, Done done) {
  if (transfer_done_ != nullptr) {
    return absl::FailedPreconditionError("leadership is being transferred already");
  }
  impl_->transfer = {};
  impl_->transfer.data = this;
  const int code =
      raft_transfer(&impl_->raft, &impl_->transfer, id, [](struct raft_transfer* request) {
        auto& engine = *static_cast<RaftEngine*>(request->data);
        const std::unique_ptr<Done> finished = std::move(engine.transfer_done_);
        (*finished)(engine.is_leader() ? absl::UnavailableError("nobody took the leadership over")
                                       : absl::OkStatus());
      });
  if (code == RAFT_NOTFOUND) {
    return absl::FailedPreconditionError("there is no other voting server to lead");
  }
  if (code != 0) return StatusOf(code, raft_errmsg(&impl_->raft));
  transfer_done_ = std::make_unique<Done>(std::move(done));
  return absl::OkStatus();
}

void RaftEngine::RequestSnapshot() {
  snapshot_wanted_ = true;
  raft_set_snapshot_threshold(&impl_->raft, 1);
}

void RaftEngine::Settle() {
  impl_->EndForgottenChange();
  if (taking_snapshot_ || snapshot_wanted_) return;
  const uint64_t since = commit_index() - std::min(commit_index(), snapshot_index_);
  if (since >= options_.snapshot_entries ||
      log_octets_ >= std::max(options_.snapshot_octets, image_octets_ / 2)) {
    log_octets_ = 0;
    RequestSnapshot();
  }
}

RaftState RaftEngine::state() const {
  switch (raft_state(&impl_->raft)) {
    case RAFT_FOLLOWER:
      return RaftState::kFollower;
    case RAFT_CANDIDATE:
      return RaftState::kCandidate;
    case RAFT_LEADER:
      return RaftState::kLeader;
    default:
      return RaftState::kUnavailable;
  }
}

bool RaftEngine::transferring() const { return is_leader() && raft_transferee(&impl_->raft) != 0; }

uint64_t RaftEngine::term() const { return raft_current_term(&impl_->raft); }

uint64_t RaftEngine::leader() const {
  raft_id id = 0;
  const char* address = nullptr;
  raft_leader(&impl_->raft, &id, &address);
  return id;
}

uint64_t RaftEngine::commit_index() const { return raft_commit_index(&impl_->raft); }
uint64_t RaftEngine::last_index() const { return raft_last_index(&impl_->raft); }
uint64_t RaftEngine::last_applied() const { return raft_last_applied(&impl_->raft); }

uint64_t RaftEngine::match_index(uint64_t id) const {
  raft_index index = 0;
  if (!is_leader() || raft_match_index(&impl_->raft, id, &index) != 0) return 0;
  return index;
}

std::vector<RaftServer> RaftEngine::configuration() const {
  return ServersOf(impl_->raft.configuration);
}

bool RaftEngine::has_configuration() const { return impl_->raft.configuration.n > 0; }

}  // namespace pharos::cluster
