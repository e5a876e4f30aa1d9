// Parts of datacenters' catalogs, asked for when they are first needed and told from then on
// whenever they change, until nobody has used them for a while. Keeps them while the datacenter
// cannot be reached. Of other datacenters every agent has no more than that; of its own, one that
// was set up so (`own`). A thread of its own, `remote`. Start reading at Want.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/published.h"
#include "cluster/change_ring.h"
#include "cluster/part_watcher.h"
#include "cluster/path_finder.h"
#include "cluster/peer_channel.h"
#include "cluster/peer_tls.h"
#include "proto/peer.pb.h"
#include "registry/partial_catalog.h"
#include "registry/remote_catalogs.h"

namespace pharos::cluster {

struct RemoteCatalogOptions {
  std::string datacenter;  // This agent's own.
  PeerTls tls;
  bool translate = false;  // `translate_wan_addrs`
  absl::Duration max_stale = absl::InfiniteDuration();
  absl::Duration idle = absl::Minutes(10);  // Parts that were not used for so long are let go.
  absl::Duration wait = absl::Seconds(2);   // For the first word of a part.
  // For so long after the start there may be datacenters that were not heard of yet.
  absl::Duration settle = absl::ZeroDuration();
  // So many parts, and so many octets of them, are kept; beyond, those that were used longest ago
  // are let go, but for those that somebody watches.
  size_t parts_max = 4096;
  size_t octets_max = size_t{64} << 20;
  // Of its own datacenter, too, the agent has no more than parts; these ones at all times.
  bool own = false;
  std::vector<std::string> own_always;
  std::string data_dir;  // Where parts are kept; empty: nowhere.
};

struct RemoteCatalogCounters {
  std::atomic<uint64_t> parts{0}, part_octets{0}, wanted{0}, refused{0}, failed{0};
  std::atomic<uint64_t> idle{0}, evicted{0};
  std::atomic<uint64_t> messages{0}, octets{0}, http{0};
  std::atomic<uint64_t> kept{0}, keep_failures{0};
};

class RemoteCatalog {
 public:
  static constexpr size_t kHttpMax = 8192;  // Requests under way.

  // How often those who watch what is stale are told how old it is.
  static constexpr uint64_t kTellAgeMs = 30'000;
  // How often what is kept on disk is written at most, and at least while it may be believed.
  static constexpr uint64_t kKeepMs = 10'000;
  static constexpr uint64_t kStampMs = 60'000;

  // `paths` and `clock` are borrowed. What was kept on disk is there from the beginning.
  static absl::StatusOr<std::unique_ptr<RemoteCatalog>> Start(RemoteCatalogOptions options,
                                                              PathFinder& paths,
                                                              const Clock& clock);
  ~RemoteCatalog();

  // Any thread, as all below.
  const Published<registry::RemoteCatalogs>& published() const { return published_; }
  const RemoteCatalogCounters& counters() const { return counters_; }
  // Whether all datacenters that there are have been heard of.
  bool is_complete() const { return complete_.load(std::memory_order_relaxed); }
  int64_t now_unix_s() const { return absl::ToUnixSeconds(clock_.Now()); }
  PathFinder& paths() { return paths_; }

  // Has a part (registry/remote_catalogs.h) in what is published, and calls `done` on the thread
  // `remote` once it is, or why it is not: NotFound for a datacenter that is not known, Unavailable
  // for one that cannot be reached within `wait`, ResourceExhausted when all that is kept is
  // watched.
  using Done = std::function<void(const absl::Status&)>;
  void Want(const std::string& datacenter, const std::string& topic, const Done& done);

  // For who passes a part on: what it is now, and `ready` whenever it is another.
  // `ready` is called on the thread `remote`, also after the watcher has ended, which may be after
  // this has.
  std::unique_ptr<PartWatcher> Watch(const std::string& datacenter, const std::string& topic,
                                     std::function<void()> ready);

  // With `own`: what is there of the own datacenter, as a catalog; how far that may be believed;
  // who is told, on the thread `remote`, of each publication of it; and a change that is seen in it
  // before a server says so.
  const Published<registry::Snapshot>& own_published() const { return own_published_; }
  const registry::SharedFreshness& own_freshness() const { return own_freshness_; }
  using Observer = std::function<void(const registry::Changes&)>;
  int Subscribe(Observer observer);
  void Unsubscribe(int subscription);
  // Called on the thread `remote` whenever a server has told of what is always there after nobody
  // did. To be set to nothing before what it uses ends.
  void SetOnTold(std::function<void()> on_told);
  void ApplyHere(catalog::v1::Command command);

  // Has a request answered there. `done` on any thread; errors as those of Want. What is returned
  // gives the request up, on any thread and at any time; null: there is nothing to give up.
  using HttpDone = std::function<void(absl::StatusOr<peer::v1::HttpResponse>)>;
  std::function<void()> Http(peer::v1::HttpRequest request, HttpDone done);

 private:
  struct Server;
  struct Stream;
  struct Waiter {
    Done done;
    uint64_t deadline_ms;
  };
  // On the thread, but for what says otherwise.
  struct Part {
    std::shared_ptr<registry::PartUse> use = std::make_shared<registry::PartUse>();
    bool there = false;        // In the catalog.
    Stream* stream = nullptr;  // Deletes itself when it is done, maybe before that is known.
    std::shared_ptr<grpc::ClientContext> context;  // Its own, to cancel it by.
    uint64_t stream_number = 0;
    std::string address;
    uint64_t retry_ms = 0;
    std::vector<Waiter> waiters;
    bool always = false;
    size_t octets = 0;
    // Nobody says that it is as it was: since when, how old it was by then, and when who watches it
    // was told.
    bool stale = false;
    uint64_t since_ms = 0;  // 0: somebody does.
    int64_t age_ms = 0;
    uint64_t told_ms = 0;
    uint64_t heard_ms = 0;  // 0: the present stream has said nothing yet.
  };
  using Parts = std::map<std::string, Part>;
  struct Datacenter {
    std::unique_ptr<registry::PartialCatalog> catalog;
    std::shared_ptr<const registry::Snapshot> snapshot;
    std::shared_ptr<const registry::PartUses> uses;
    Parts parts;
    registry::Freshness freshness = registry::Freshness::kFresh;  // Of its newest part.
  };
  struct Watcher;
  // What watchers are given; any thread. Shared with them.
  struct Told {
    SharedOctets response;
    uint64_t version = 0;
    std::set<Watcher*> watchers;
  };
  struct Telling {
    std::mutex mutex;
    std::map<std::pair<std::string, std::string>, Told> told ABSL_GUARDED_BY(mutex);
  };

  RemoteCatalog(RemoteCatalogOptions options, PathFinder& paths, const Clock& clock);

  void LoadKept();
  void TakeKept(const peer::v1::KeptPart& kept);
  void Keep(bool last);
  static int64_t AgeMs(const Part& part, uint64_t now);
  void Tick();
  // Notes which datacenters there are; true if that has changed.
  bool UpdateKnown();
  // Parts that somebody watches and that are not there, as there was no room or no path for them.
  void AddWatched();
  bool IsComplete() const;
  Part* FindOrAdd(const std::string& datacenter, const std::string& topic, absl::Status& why);
  Part& Add(const std::string& datacenter, const std::string& topic);
  // Takes records in the place of those that the part had.
  void Take(const std::string& datacenter, const std::string& topic, Datacenter& of, Part& part,
            const peer::v1::WatchResponse& response);
  bool IsWatched(const std::string& datacenter, const std::string& topic);
  Parts::iterator LetGo(const std::string& datacenter, Datacenter& of, Parts::iterator part);
  // The part that was used longest ago, of those that nobody needs; false: all are needed.
  bool LetOldestGo();
  // Lets parts go until one more has room; false: those that are left are needed.
  bool MakeRoom();
  void Open(const std::string& datacenter, const std::string& topic, Part& part);
  void OnResponse(uint64_t number, const std::string& datacenter, const std::string& topic,
                  const peer::v1::WatchResponse& response);
  void OnEnded(uint64_t number, const std::string& datacenter, const std::string& topic,
               const absl::Status& why);
  void Tell(const std::string& datacenter, const std::string& topic,
            const peer::v1::WatchResponse& response);
  void TellAge(const std::string& datacenter, const std::string& topic, Part& part);
  // Of each part, and of all together.
  void SetFreshness(const std::string& datacenter, Datacenter& of);
  void Publish();
  void PublishOwn(Datacenter& of);
  std::shared_ptr<Server> ServerAt(const std::string& address);

  const RemoteCatalogOptions options_;
  PathFinder& paths_;
  const Clock& clock_;
  RemoteCatalogCounters counters_;
  PeerCalls calls_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Server>> servers_ ABSL_GUARDED_BY(mutex_);  // By address.
  std::atomic<size_t> http_running_{0};
  const std::shared_ptr<Telling> telling_ = std::make_shared<Telling>();

  Published<registry::RemoteCatalogs> published_;
  Published<registry::Snapshot> own_published_;
  registry::SharedFreshness own_freshness_{registry::Freshness::kFresh};
  std::map<int, Observer> observers_;
  std::function<void()> on_told_;
  int next_subscription_ = 0;
  std::map<std::string, Datacenter> datacenters_;
  size_t part_count_ = 0, part_octets_ = 0;
  bool unkept_ = false;  // Something has changed since it was last written.
  bool keeping_ = false;
  uint64_t kept_ms_ = 0;
  std::string kept_path_;
  uint64_t streams_ = 0;
  bool closing_ = false;
  // Datacenters, the nearest first, and since when nobody has told of them; 0: somebody does.
  std::vector<std::pair<std::string, uint64_t>> known_;
  std::atomic<bool> complete_{false};
  uint64_t adopted_ms_ = 0;
  const uint64_t started_ms_;
  std::unique_ptr<LoopTimer> ticker_;
  std::unique_ptr<Loop> keep_loop_;  // Writes what is kept, which takes a while.
  std::unique_ptr<Loop> loop_;
};

}  // namespace pharos::cluster
