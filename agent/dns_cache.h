// The answers of upstreams that the DNS threads keep, as the API shows and empties them.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/json_writer.h"
#include "dns/name.h"
#include "dns/server.h"
#include "dns/uv_resolver.h"

namespace pharos::agent {

// The resolver of one of the server's threads; on that thread.
dns::UvResolver& ResolverOf(dns::ThreadHandler& handler);

// From any thread but the DNS threads, which are asked one after the other.
class DnsCache {
 public:
  // Null for none: there is nothing then. What is given outlives this or the next call.
  void SetServer(dns::Server* dns);

  // {"Entries": 12, ..., "Upstreams": [{"Address": "1.1.1.1:53", "State": "up", ...}]}, summed over
  // the threads.
  std::string Stats(JsonWriter json);
  // Forgets what is known of a name and those below it, or everything. Returns how many answers and
  // failures that were.
  size_t Flush(const std::optional<dns::Name>& domain);

 private:
  // Held while the server is asked, so that it does not end meanwhile.
  std::mutex mutex_;
  dns::Server* dns_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace pharos::agent
