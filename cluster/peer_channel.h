// Connections to servers, as gRPC makes them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"

namespace grpc {
class Channel;
class ChannelCredentials;
class ClientContext;
}  // namespace grpc

namespace pharos::cluster {

// One that notices within 4 s that nothing comes back. It is shared with nothing else that goes to
// the address for another `purpose`.
std::shared_ptr<grpc::Channel> MakePeerChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const std::string& purpose);

// The calls that are under way, so that their owner can end them and wait for that. Any thread.
class PeerCalls {
 public:
  // False once they were stopped: the call must not begin.
  bool Begin(grpc::ClientContext* context);
  // The last thing that the call does; its context is still there.
  void End(grpc::ClientContext* context);
  // Cancels what is under way, and waits until all has ended.
  void Stop();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos::cluster
