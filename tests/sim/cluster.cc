#include "tests/sim/cluster.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "registry/image.h"

namespace pharos::sim {
namespace {

constexpr uint64_t kHeartbeatMs = 100;
constexpr uint32_t kElectionMs = 500;
constexpr int kClients = 4;
constexpr uint64_t kMs = 1'000;
constexpr size_t kHistoryMax = 400;

std::string KeyName(int key) { return absl::StrCat("r", key); }

}  // namespace

// One machine: its disk stays when the server on it crashes.
class Cluster::Server : public cluster::RaftNodeHost {
 public:
  Server(Cluster& cluster, int number) : cluster_(cluster), number_(number) {}
  ~Server() override {
    if (node_ != nullptr) Stop(0);
  }

  uint64_t id() const { return static_cast<uint64_t>(number_) + 1; }
  bool is_up() const { return node_ != nullptr; }
  bool is_silent() const { return is_silent_; }
  cluster::RaftNode& node() { return *node_; }
  uint64_t incarnation() const { return incarnation_; }
  cluster::MemoryDisk& disk() { return *disk_; }
  void JumpClock(uint64_t ms) { clock_ahead_ms_ += ms; }

  void Start() {
    ++incarnation_;
    disk_ = std::make_unique<cluster::MemoryDisk>(
        &content_, [this] { return cluster_.now_us_ / kMs + clock_ahead_ms_; },
        [this](std::function<void()> work) {
          // A disk writes in order.
          disk_free_us_ = std::max(disk_free_us_, cluster_.now_us_) +
                          cluster_.random_.Below(slow_disk_ ? 40 * kMs : 5 * kMs);
          cluster_.At(disk_free_us_ - cluster_.now_us_,
                      [this, incarnation = incarnation_, work = std::move(work)] {
                        if (incarnation != incarnation_ || node_ == nullptr) return;
                        work();
                        cluster_.CheckLog(number_, content_);
                        node_->Settle();
                      });
        },
        cluster_.random_.Next());
    cluster::RaftNodeOptions options;
    options.self.set_raft_id(id());
    options.self.set_name(absl::StrCat("server-", number_));
    options.self.set_address(absl::StrCat("10.0.0.", number_, ":8300"));
    options.self.set_datacenter("dc1");
    options.self.set_bootstrap_expect(cluster_.options_.servers);
    options.engine = {.id = id(),
                      .address = cluster::EncodeServerAddress(options.self),
                      .election_timeout_ms = kElectionMs,
                      .heartbeat_ms = kHeartbeatMs,
                      .snapshot_entries = 40,
                      .trailing_entries = 10};
    options.hold = absl::Seconds(3);
    options.seed = cluster_.random_.Next();
    node_ = std::make_unique<cluster::RaftNode>(options, *disk_, *this);
    if (number_ == 0 && content_.term == 0) CHECK(node_->Bootstrap().ok());
    CHECK(node_->Start().ok());
  }

  // The machine goes down with `written` of what it was about to write on its disk. Silently, the
  // others do not notice; else their connections to it end.
  void Stop(size_t written, bool silently = true) {
    is_silent_ = silently;
    disk_->Crash(written);
    // What ran elsewhere is over; the engine waits for it.
    auto node = std::move(node_);
    node_ = nullptr;
    bool closed = false;
    node->Close([&closed] { closed = true; });
    // What ends may begin another snapshot, which is then given up.
    for (int i = 0; i < 10 && !closed; ++i) {
      for (auto& [work, done] : std::exchange(elsewhere_, {})) {
        work();
        done();
      }
      disk_->Finish();
    }
    CHECK(closed);
    node.reset();
    disk_.reset();
  }

  void SetSlowDisk(bool slow) { slow_disk_ = slow; }

  bool SendTo(uint64_t to, peer::v1::Message message) override {
    // A machine that is down says nothing any more.
    if (node_ == nullptr || !Reaches(to)) return false;
    const int target = static_cast<int>(to) - 1;
    cluster_.Deliver(number_, target, message);
    return true;
  }
  bool Reaches(uint64_t to) override {
    const Server& other = *cluster_.servers_[to - 1];
    return other.is_up() || other.is_silent_;
  }
  void SendSnapshotTo(uint64_t to, peer::v1::InstallSnapshot info,
                      std::shared_ptr<const cluster::RaftBuffer> data) override {
    if (node_ == nullptr) return;
    const int target = static_cast<int>(to) - 1;
    const uint64_t delay = 10 * kMs + cluster_.random_.Below(400 * kMs);
    cluster_.At(delay, [this, target, info, data] {
      Server& other = *cluster_.servers_[static_cast<size_t>(target)];
      if (!cluster_.IsCut(number_, target) && other.is_up()) {
        cluster::RaftBuffer copy(data->size());
        std::copy(data->data(), data->data() + data->size(), copy.data());
        other.node().ReceiveSnapshot(id(), info, std::move(copy));
        other.node().Settle();
      }
    });
    cluster_.At(delay + kMs, [this, to, incarnation = incarnation_] {
      if (incarnation == incarnation_ && node_ != nullptr) node_->SnapshotSent(to);
    });
  }
  void RunElsewhere(std::function<void()> work, std::function<void()> done) override {
    elsewhere_.emplace_back(std::move(work), std::move(done));
    cluster_.At(cluster_.random_.Below(300 * kMs), [this, incarnation = incarnation_] {
      if (incarnation != incarnation_ || elsewhere_.empty()) return;
      auto [job, finished] = std::move(elsewhere_.front());
      elsewhere_.pop_front();
      job();
      finished();
      node_->Settle();
    });
  }
  void OnPublished(const registry::Changes&) override {}
  void OnClusterId(const std::string&) override {}
  std::string NewClusterId() override { return absl::StrCat("cluster-", cluster_.options_.seed); }
  void OnApplied(uint64_t index, Octets entry) override {
    // While a server that has crashed is cleared away, it may do what nobody sees.
    if (node_ == nullptr) return;
    const size_t hash = std::hash<std::string_view>()(AsText(entry));
    const auto [at, is_new] = cluster_.entry_at_.try_emplace(index, hash);
    if (!is_new && at->second != hash) {
      cluster_.Fail(absl::StrFormat("server %d applied another entry at index %d", number_, index));
    }
  }
  [[noreturn]] void OnFatal(const std::string& why) override {
    std::fprintf(stderr, "server %d stops: %s\n", number_, why.c_str());
    std::abort();
  }

 private:
  Cluster& cluster_;
  const int number_;
  uint64_t incarnation_ = 0;
  uint64_t clock_ahead_ms_ = 1'000;
  uint64_t disk_free_us_ = 0;
  bool slow_disk_ = false;
  bool is_silent_ = false;
  cluster::MemoryDiskContent content_;
  std::unique_ptr<cluster::MemoryDisk> disk_;
  std::unique_ptr<cluster::RaftNode> node_;
  std::deque<std::pair<std::function<void()>, std::function<void()>>> elsewhere_;
};

Cluster::Cluster(const ClusterOptions& options) : options_(options), random_(options.seed) {
  histories_.resize(static_cast<size_t>(options_.keys));
  for (int i = 0; i < options_.servers; ++i) servers_.push_back(std::make_unique<Server>(*this, i));
}

Cluster::~Cluster() = default;

void Cluster::At(uint64_t delay_us, std::function<void()> what) {
  events_.emplace(std::pair(now_us_ + delay_us, sequence_++), std::move(what));
}

void Cluster::Fail(const std::string& why) {
  if (report_.failure.empty()) {
    report_.failure = absl::StrFormat("at %.3f s: %s", static_cast<double>(now_us_) / 1e6, why);
  }
}

uint64_t Cluster::Delay() {
  // Mostly quick, now and then late, so that messages overtake each other.
  return random_.Below(20) == 0 ? random_.Below(300 * kMs) : random_.Below(10 * kMs);
}

void Cluster::Deliver(int from, int to, const peer::v1::Message& message) {
  if (to < 0 || to >= options_.servers) return;
  const auto chance = [this](double of) { return random_.Below(10'000) < of * 10'000; };
  if (IsCut(from, to) || chance(drop_)) return;
  // A stream between servers doubles nothing; Raft's own messages bear it anyway.
  const bool once = message.has_write() || message.has_membership();
  const int copies = !once && chance(duplicate_) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    At(Delay(), [this, from, to, message] {
      Server& target = *servers_[static_cast<size_t>(to)];
      if (!target.is_up()) return;
      target.node().Receive(static_cast<uint64_t>(from) + 1, message);
      target.node().Settle();
    });
  }
}

void Cluster::StartServer(int server) {
  Server& target = *servers_[static_cast<size_t>(server)];
  if (target.is_up()) return;
  target.Start();
  Introduce(server);
  At(random_.Below(kHeartbeatMs * kMs),
     [this, server, incarnation = target.incarnation()] { TickServer(server, incarnation); });
}

// As servers do by asking each other, which is not what is tried here.
void Cluster::Introduce(int server) {
  for (int other = 0; other < options_.servers; ++other) {
    if (other == server || IsCut(server, other) || IsCut(other, server)) continue;
    Server& a = *servers_[static_cast<size_t>(server)];
    Server& b = *servers_[static_cast<size_t>(other)];
    if (!a.is_up() || !b.is_up()) continue;
    a.node().Learn(b.node().self(), true);
    b.node().Learn(a.node().self(), true);
  }
}

void Cluster::TickServer(int server, uint64_t incarnation) {
  Server& target = *servers_[static_cast<size_t>(server)];
  if (!target.is_up() || target.incarnation() != incarnation) return;
  target.node().Tick();
  if (random_.Below(10) == 0) Introduce(server);
  At(kHeartbeatMs * kMs, [this, server, incarnation] { TickServer(server, incarnation); });
}

void Cluster::Crash(int server) {
  Server& target = *servers_[static_cast<size_t>(server)];
  if (!target.is_up()) return;
  ++report_.crashes;
  report_.snapshots_installed += target.node().engine().counters().snapshots_installed;
  report_.entries += target.node().counters().entries;
  target.Stop(random_.Below(static_cast<uint32_t>(target.disk().unwritten()) + 1),
              random_.Below(2) == 0);
  if (!target.is_silent()) {
    for (const auto& other : servers_) {
      At(Delay(), [&other, id = target.id(), incarnation = other->incarnation()] {
        if (!other->is_up() || other->incarnation() != incarnation) return;
        other->node().PeerLost(id);
        other->node().Settle();
      });
    }
  }
  const uint64_t down_us = random_.Below(4'000 * kMs);
  At(down_us, [this, server] { StartServer(server); });
}

void Cluster::ScheduleFault() {
  if (peace_) return;
  At(200 * kMs + random_.Below(1'500 * kMs), [this] {
    if (!peace_) DoFault();
    ScheduleFault();
  });
}

void Cluster::DoFault() {
  const auto number = static_cast<uint32_t>(options_.servers);
  const auto one = [&] { return static_cast<int>(random_.Below(number)); };
  switch (random_.Below(10)) {
    case 0:
    case 1:
      return Crash(one());
    case 2:
      for (int i = 0; i < options_.servers; ++i) Crash(i);
      return;
    case 3: {  // One is cut off.
      const int alone = one();
      for (int i = 0; i < options_.servers; ++i) {
        if (i == alone) continue;
        cuts_.insert({alone, i});
        cuts_.insert({i, alone});
      }
      ++report_.cuts;
      return;
    }
    case 4:  // One way.
      cuts_.insert({one(), one()});
      ++report_.cuts;
      return;
    case 5:
    case 6:
      cuts_.clear();
      return;
    case 7:
      drop_ = random_.Below(2) == 0 ? 0 : 0.15;
      duplicate_ = random_.Below(2) == 0 ? 0 : 0.15;
      return;
    case 8: {
      Server& server = *servers_[static_cast<size_t>(one())];
      server.SetSlowDisk(random_.Below(2) == 0);
      if (server.is_up()) server.disk().SetCapacity(random_.Below(2) == 0 ? 0 : 32'768);
      return;
    }
    default:
      servers_[static_cast<size_t>(one())]->JumpClock(random_.Below(2'000));
  }
}

void Cluster::Heal() {
  peace_ = true;
  cuts_.clear();
  drop_ = duplicate_ = 0;
  for (int i = 0; i < options_.servers; ++i) {
    servers_[static_cast<size_t>(i)]->SetSlowDisk(false);
    if (servers_[static_cast<size_t>(i)]->is_up()) {
      servers_[static_cast<size_t>(i)]->disk().SetCapacity(32'768);
    }
    StartServer(i);
  }
}

int Cluster::RandomAlive() {
  std::vector<int> alive;
  for (int i = 0; i < options_.servers; ++i) {
    if (servers_[static_cast<size_t>(i)]->is_up()) alive.push_back(i);
  }
  if (alive.empty()) return -1;
  return alive[random_.Below(static_cast<uint32_t>(alive.size()))];
}

void Cluster::RunClient(int client) {
  if (peace_) return;
  const int key = static_cast<int>(random_.Below(static_cast<uint32_t>(options_.keys)));
  const int server = RandomAlive();
  if (server < 0 || histories_[static_cast<size_t>(key)].size() >= kHistoryMax) {
    At(100 * kMs, [this, client] { RunClient(client); });
    return;
  }
  if (random_.Below(2) == 0) {
    Write(client, key);
  } else {
    Read(client, key);
  }
}

void Cluster::Write(int client, int key) {
  const int server = RandomAlive();
  std::vector<Operation>& history = histories_[static_cast<size_t>(key)];
  const size_t at = history.size();
  const int64_t value = next_value_++ % 60'000;
  history.push_back({.is_write = true, .value = value, .begun = now_us_});
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  command.set_time_unix_ms(1'700'000'000'000 + static_cast<int64_t>(now_us_ / kMs));
  change.mutable_node()->set_name("alpha");
  change.mutable_node()->set_address("10.0.0.1");
  catalog::v1::Service& service = *change.add_services();
  service.set_name(KeyName(key));
  service.set_port(static_cast<uint32_t>(value));
  auto told = std::make_shared<bool>(false);
  const auto go_on = [this, client] {
    At(random_.Below(80 * kMs), [this, client] { RunClient(client); });
  };
  cluster::RaftNode& node = servers_[static_cast<size_t>(server)]->node();
  node.Propose({.command = std::move(command),
                .entry = std::nullopt,
                .done = [this, key, at, told, go_on](const absl::StatusOr<uint64_t>& outcome) {
                  *told = true;
                  Operation& operation = histories_[static_cast<size_t>(key)][at];
                  if (outcome.ok()) {
                    operation.ended = now_us_;
                    ++report_.acknowledged;
                  } else if (absl::IsUnknown(outcome.status())) {
                    ++report_.unknown;
                  } else {
                    // It says that nothing was done, and must not have been: as if it were never
                    // begun, and a read that sees it would be a failure.
                    operation.is_write = false;
                    operation.ended = Operation::kNever;
                    ++report_.refused;
                  }
                  go_on();
                }});
  node.Settle();
}

void Cluster::Read(int client, int key) {
  const int server = RandomAlive();
  const uint64_t begun = now_us_;
  cluster::RaftNode& node = servers_[static_cast<size_t>(server)]->node();
  node.Read(cluster::ReadMode::kConsistent,
            [this, client, key, server, begun](const absl::Status& status) {
              At(random_.Below(80 * kMs), [this, client] { RunClient(client); });
              Server& target = *servers_[static_cast<size_t>(server)];
              if (!status.ok() || !target.is_up()) return;
              ++report_.reads;
              const Published<registry::Snapshot>::ReadGuard snapshot(
                  target.node().state_machine().published());
              const registry::ServiceEntry* entry = snapshot->FindService(KeyName(key));
              histories_[static_cast<size_t>(key)].push_back(
                  {.is_write = false,
                   .value = entry == nullptr ? 0 : entry->instances[0]->service->port,
                   .begun = begun,
                   .ended = now_us_});
            });
  node.Settle();
}

void Cluster::CheckInvariants() {
  for (const auto& server : servers_) {
    if (!server->is_up() || !server->node().engine().is_leader()) continue;
    const uint64_t term = server->node().engine().term();
    const auto [at, is_new] = leader_of_term_.try_emplace(term, server->id());
    if (is_new) ++report_.leaders;
    if (at->second != server->id()) {
      Fail(
          absl::StrFormat("servers %d and %d both led in term %d", at->second, server->id(), term));
    }
  }
}

// Raft, section 5.3: an entry of the same index and term is the same everywhere, and so is what
// stands before it. The latter follows when the entry before it is of the same term everywhere.
void Cluster::CheckLog(int server, const cluster::MemoryDiskContent& content) {
  uint64_t previous_term = 0;  // Not known.
  for (size_t i = 0; i < content.entries.size(); ++i) {
    const cluster::MemoryDiskContent::Entry& entry = content.entries[i];
    const uint64_t index = content.start_index + i;
    const LogEntry seen{.hash = std::hash<std::string>()(entry.data), .after_term = previous_term};
    LogEntry& known = log_at_.try_emplace({index, entry.term}, seen).first->second;
    if (known.after_term == 0) known.after_term = seen.after_term;
    if (known.hash != seen.hash || (seen.after_term != 0 && known.after_term != seen.after_term)) {
      Fail(absl::StrFormat("the log of server %d has another entry %d of term %d than others",
                           server, index, entry.term));
    }
    previous_term = entry.term;
  }
}

std::string Cluster::Digest(int server) const {
  std::vector<std::string> records;
  const Published<registry::Snapshot>::ReadGuard snapshot(
      servers_[static_cast<size_t>(server)]->node().state_machine().published());
  registry::WriteImage(*snapshot, [&records](const std::string& octets) {
    catalog::v1::ImageChunk chunk;
    CHECK(chunk.ParseFromString(octets));
    for (const auto& record : chunk.records()) records.push_back(record.SerializeAsString());
  });
  std::sort(records.begin(), records.end());
  std::string all;
  for (const std::string& record : records) absl::StrAppend(&all, record.size(), ":", record);
  return all;
}

void Cluster::FinalCheck() {
  int leaders = 0;
  for (int i = 0; i < options_.servers; ++i) {
    cluster::RaftNode& node = servers_[static_cast<size_t>(i)]->node();
    report_.snapshots_installed += node.engine().counters().snapshots_installed;
    report_.entries += node.counters().entries;
    if (node.engine().is_leader()) ++leaders;
    if (Digest(i) != Digest(0)) {
      Fail(absl::StrFormat(
          "server %d (applied %d, leader %d) and server 0 (applied %d, leader %d) "
          "do not have the same catalog",
          i, node.engine().last_applied(), node.engine().leader(),
          servers_[0]->node().engine().last_applied(), servers_[0]->node().engine().leader()));
    }
  }
  if (leaders != 1) Fail(absl::StrFormat("%d servers lead", leaders));
  for (int key = 0; key < options_.keys; ++key) {
    std::vector<Operation> history;
    for (const Operation& operation : histories_[static_cast<size_t>(key)]) {
      if (operation.is_write || operation.ended != Operation::kNever) history.push_back(operation);
    }
    const Published<registry::Snapshot>::ReadGuard snapshot(
        servers_[0]->node().state_machine().published());
    const registry::ServiceEntry* entry = snapshot->FindService(KeyName(key));
    history.push_back({.is_write = false,
                       .value = entry == nullptr ? 0 : entry->instances[0]->service->port,
                       .begun = now_us_,
                       .ended = now_us_ + 1});
    if (!IsLinearizable(history, 0)) {
      Fail(absl::StrFormat("the %d operations on register %d are not linearizable", history.size(),
                           key));
    }
  }
}

ClusterReport Cluster::Run() {
  for (int i = 0; i < options_.servers; ++i) StartServer(i);
  for (int client = 0; client < kClients; ++client) {
    At(2'000 * kMs + random_.Below(500 * kMs), [this, client] { RunClient(client); });
  }
  At(3'000 * kMs, [this] { ScheduleFault(); });
  At((3'000 + options_.fault_ms) * kMs, [this] { Heal(); });
  const uint64_t end_us = (3'000 + options_.fault_ms + options_.peace_ms) * kMs;
  while (report_.failure.empty() && !events_.empty() && events_.begin()->first.first < end_us) {
    const auto first = events_.begin();
    now_us_ = first->first.first;
    const std::function<void()> event = std::move(first->second);
    events_.erase(first);
    event();
    CheckInvariants();
  }
  if (report_.failure.empty()) FinalCheck();
  return report_;
}

}  // namespace pharos::sim
