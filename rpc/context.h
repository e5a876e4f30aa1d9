// What the gRPC services work with. All of it outlives them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/loop_mailbox.h"
#include "cluster/catalog_access.h"
#include "rpc/counters.h"
#include "rpc/registrar.h"
#include "rpc/streams.h"
#include "rpc/topic_hub.h"

namespace pharos::rpc {

struct Context {
  cluster::CatalogAccess& consensus;
  Registrar& registrar;
  std::string datacenter;  // Lower case.
  // Tells the catalog indexes of this process from those of another; not 0.
  uint64_t epoch = 0;
  // To the thread `grpc`, where streams take their steps.
  std::shared_ptr<LoopMailbox> mailbox;
  // Of that thread.
  TopicHub& hub;
  Streams& streams;
  RpcCounters& counters;
  // The agent is stopping: streams end, and what they hold stays.
  const std::atomic<bool>& stopping;
};

// Calls `then` once what the topics are about is there: at once and on this thread where it is
// already, else on the thread `grpc`, and not at all when the server has ended by then.
void WhenThere(const Context& context, const std::vector<std::string>& topics,
               cluster::CatalogAccess::StatusDone then);

}  // namespace pharos::rpc
