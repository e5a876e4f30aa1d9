// Who follows which view, and streams that do.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "rpc/context.h"
#include "rpc/view.h"

namespace pharos::rpc {

class WatchStream;

// On the thread `grpc`.
class Watches {
 public:
  // What a view without watchers is kept for, so that whoever comes back can resume.
  static constexpr uint64_t kLingerNs = 60'000'000'000;
  static constexpr size_t kViewsMax = 20'000;

  explicit Watches(const Context& context) : context_(context) {}
  ~Watches();
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;

  // Lets the stream follow the view of the key, which `make` makes where there is none. It is sent
  // what it lacks, once what that is made from is there. ResourceExhausted when there are too many
  // views.
  absl::Status Follow(WatchStream& stream, const std::string& key,
                      const std::function<std::unique_ptr<View>()>& make, uint64_t resume_index);
  void Leave(WatchStream& stream);
  // The stream can take a message: sends the next, if it lacks any.
  void SendNext(WatchStream& stream);
  // Now and then: drops views that nobody came back to.
  void Sweep(uint64_t now_ns);

 private:
  friend class WatchStream;
  struct Followed {
    std::unique_ptr<View> view;
    uint64_t wake_id = 0;
    uint64_t deserted_ns = 0;  // Since when it has no watcher.
    absl::flat_hash_set<WatchStream*> streams;
  };

  void Begin(WatchStream& stream, uint64_t resume_index);
  void Refresh(Followed& followed, const std::set<std::string>& topics);

  const Context& context_;
  absl::flat_hash_map<std::string, std::unique_ptr<Followed>> views_;
};

// One Watch or WatchServices stream, whose messages the view makes. Takes its steps on the thread
// `grpc`; owns itself until gRPC is done with it.
class WatchStream final : public ::grpc::ServerWriteReactor<::grpc::ByteBuffer>,
                          public Stream,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  using Begin = std::function<absl::Status(WatchStream&)>;
  // `begin` is called on the thread `grpc` and makes it follow a view; an error ends the stream.
  static WatchStream* Start(const Context& context, Watches& watches,
                            ::grpc::CallbackServerContext* call, Begin begin);

  WatchStream(const Context& context, Watches& watches, ::grpc::CallbackServerContext* call);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void Stop() override;
  void CheckProgress(uint64_t now_ns) override;

 private:
  friend class Watches;
  template <typename Step>
  void Post(Step step);
  void Send(const ::grpc::ByteBuffer& message);
  void End(const absl::Status& status);

  const Context& context_;
  Watches& watches_;
  ::grpc::CallbackServerContext* call_;
  StreamCount count_;
  std::shared_ptr<WatchStream> self_;
  Watches::Followed* followed_ = nullptr;
  uint64_t version_ = 0;        // That the client has, or is being sent.
  ::grpc::ByteBuffer message_;  // Being sent.
  bool begun_ = false;
  bool sending_ = false;
  bool finished_ = false;
  uint64_t sending_since_ns_ = 0;
};

}  // namespace pharos::rpc
