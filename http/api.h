// The HTTP API of one thread: its routes, and the requests that wait on it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/loop.h"
#include "base/loop_mailbox.h"
#include "base/random.h"
#include "cluster/catalog_access.h"
#include "http/cache_marks.h"
#include "http/near.h"
#include "http/read_options.h"
#include "http/router.h"
#include "http/service_query_counts.h"
#include "http/watchers.h"
#include "proto/catalog.pb.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {
class RemoteCatalog;
}

namespace pharos::http {

// What an agent can answer by itself.
enum class Answers {
  kAll,           // It is a server.
  kWhatIsCopied,  // All but what only servers do.
  kWhatIsItsOwn,  // What is about the agent: it has no more than parts of the catalog.
};

// What every thread's API shares; all of it outlives them.
struct ApiContext {
  cluster::CatalogAccess& consensus;
  const Clock& clock;
  ReadDefaults defaults;
  RouterOptions router;
  CacheMarks& cache_marks;
  std::string node_name;  // This agent's, in lower case.
  Answers answers = Answers::kAll;
  // Any thread: all datacenters that are known, the nearest first.
  std::function<std::vector<std::string>()> datacenters;
  // Has a request answered by another agent, of the datacenter that it says; null: by nobody. What
  // it returns is called when the client has gone; maybe null.
  std::function<std::function<void()>(peer::v1::HttpRequest,
                                      std::function<void(absl::StatusOr<peer::v1::HttpResponse>)>)>
      forward;
  // Parts of other datacenters' catalogs; null: there are none.
  cluster::RemoteCatalog* remote = nullptr;
  // Any thread: where nodes are in the network; null: nobody knows.
  std::function<std::shared_ptr<const Coordinates>()> coordinates = [] { return nullptr; };

  // From the node that `near` names, `_agent` being this agent's.
  Distances DistancesFrom(const std::string& near) const;
};

class Api : public ThreadHandler {
 public:
  // Has the routes of the catalog, health and status; others add theirs to router().
  Api(Loop& loop, const ApiContext& context);
  ~Api() override;

  // By another agent, where one is to answer.
  void Handle(std::shared_ptr<Exchange> exchange) override;

  Router& router() { return router_; }
  Watchers& watchers() { return watchers_; }
  const ApiContext& context() const { return context_; }
  // On the API's thread, for requests to come.
  void SetReadDefaults(ReadDefaults defaults) { context_.defaults = std::move(defaults); }
  // For work that other threads have for this one; closed when the API ends.
  const std::shared_ptr<LoopMailbox>& mailbox() const { return mailbox_; }

  // A writer in the style that the request (or the agent) wants.
  JsonWriter MakeJson(const Request& request) const;
  // Proposes the command, and answers when it is done: as given, or the error.
  void Propose(const std::shared_ptr<Exchange>& exchange, catalog::v1::Command command,
               Response done);
  Random& random() { return random_; }
  // Which services reads asked for.
  ServiceQueryCounts& service_queries() { return service_queries_; }

  // Calls `then` on this thread with the state of the cluster.
  void WithStatus(std::function<void(cluster::ConsensusStatus)> then,
                  cluster::CatalogAccess::View view = cluster::CatalogAccess::View::kOwn);
  // Calls `then` on this thread once the catalog is as new as the read wants, maybe at once; else
  // answers with the error.
  void WhenReadable(const std::shared_ptr<Exchange>& exchange, const ReadOptions& options,
                    std::function<void()> then);

  // Adds a route for reads of the catalog: `make` says what one request reads, by its options and
  // its argument.
  using MakeReading = std::function<absl::StatusOr<Reading>(
      const Request& request, const ReadOptions& options, const std::string& argument)>;
  void AddRead(const std::string& path, MakeReading make);

 private:
  ApiContext context_;
  std::shared_ptr<LoopMailbox> mailbox_;
  Random random_;
  ServiceQueryCounts service_queries_;
  Router router_;
  Watchers watchers_;
};

// The routes of each group, one file each.
void AddStatusRoutes(Api& api);
void AddCatalogRoutes(Api& api);
void AddHealthRoutes(Api& api);
void AddQueryRoutes(Api& api);
void AddConfigEntryRoutes(Api& api);
void AddOperatorRoutes(Api& api);
inline constexpr const char* kSnapshotPath = "/v1/snapshot";
void AddSnapshotRoutes(Api& api);

}  // namespace pharos::http
