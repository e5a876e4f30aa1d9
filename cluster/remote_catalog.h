// Parts of other datacenters' catalogs, asked for when they are first needed and told from then on
// whenever they change, until nobody has used them for a while. Keeps them while the datacenter
// cannot be reached. A thread of its own, `remote`. Start reading at Want.
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
};

struct RemoteCatalogCounters {
  std::atomic<uint64_t> parts{0}, wanted{0}, refused{0}, failed{0}, idle{0};
  std::atomic<uint64_t> messages{0}, octets{0}, http{0};
};

class RemoteCatalog {
 public:
  // One more part is refused with ResourceExhausted.
  static constexpr size_t kPartsMax = 4096;
  static constexpr size_t kHttpMax = 1024;  // Requests under way.

  // `paths` and `clock` are borrowed.
  static absl::StatusOr<std::unique_ptr<RemoteCatalog>> Start(RemoteCatalogOptions options,
                                                              PathFinder& paths,
                                                              const Clock& clock);
  ~RemoteCatalog();

  // Any thread, as all below.
  const Published<registry::RemoteCatalogs>& published() const { return published_; }
  const RemoteCatalogCounters& counters() const { return counters_; }
  PathFinder& paths() { return paths_; }

  // Has a part (registry/remote_catalogs.h) in what is published, and calls `done` on the thread
  // `remote` once it is, or why it is not: NotFound for a datacenter that is not known, Unavailable
  // for one that cannot be reached within `wait`, ResourceExhausted at the bound.
  using Done = std::function<void(const absl::Status&)>;
  void Want(const std::string& datacenter, const std::string& topic, Done done);

  // For who passes a part on: what it is now, and `ready` whenever it is another.
  // `ready` is called on the thread `remote`, also after the watcher has ended, which may be after
  // this has.
  std::unique_ptr<PartWatcher> Watch(const std::string& datacenter, const std::string& topic,
                                     std::function<void()> ready);

  // Has a request answered there. `done` on any thread; errors as those of Want.
  using HttpDone = std::function<void(absl::StatusOr<peer::v1::HttpResponse>)>;
  void Http(peer::v1::HttpRequest request, HttpDone done);

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
    bool stale = false;
    int64_t age_ms = 0;
    uint64_t heard_ms = 0;
  };
  struct Datacenter {
    std::unique_ptr<registry::PartialCatalog> catalog;
    std::shared_ptr<const registry::Snapshot> snapshot;
    std::shared_ptr<const registry::PartUses> uses;
    std::map<std::string, Part> parts;
    registry::Freshness freshness = registry::Freshness::kFresh;
    uint64_t cut_off_ms = 0;  // Since when nobody there was heard; 0: somebody is.
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

  void Tick();
  Part* FindOrAdd(const std::string& datacenter, const std::string& topic, absl::Status& why);
  void Open(const std::string& datacenter, const std::string& topic, Part& part);
  void OnResponse(uint64_t number, const std::string& datacenter, const std::string& topic,
                  const peer::v1::WatchResponse& response);
  void OnEnded(uint64_t number, const std::string& datacenter, const std::string& topic,
               const absl::Status& why);
  void Tell(const std::string& datacenter, const std::string& topic,
            const peer::v1::WatchResponse& response);
  void TellAge(const std::string& datacenter, Datacenter& of);
  void SetFreshness(Datacenter& of);
  void Publish();
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
  std::map<std::string, Datacenter> datacenters_;
  size_t part_count_ = 0;
  uint64_t streams_ = 0;
  bool closing_ = false;
  std::vector<std::string> known_;
  std::unique_ptr<LoopTimer> ticker_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace pharos::cluster
