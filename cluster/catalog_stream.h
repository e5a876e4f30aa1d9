// The server's side of the catalog stream: the catalog and its changes, to each follower as fast as
// it takes them. Nothing is queued for anybody: a follower has a place in the ring of changes, and
// one that the ring has left behind gets the catalog anew. Start reading at Next.
//
// Knows no sockets: what is sent, and that there is something to send, is told to whoever does.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "cluster/change_ring.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

// Counted since the start; any thread may read them.
struct CatalogStreamCounters {
  std::atomic<uint64_t> followers{0}, refused{0}, resumed{0}, images_made{0}, images_sent{0};
  std::atomic<uint64_t> left_behind{0}, octets{0}, messages{0};
  std::atomic<uint64_t> ring_octets{0}, ring_changes{0};
};

class CatalogStream {
 public:
  // One more is refused.
  static constexpr size_t kFollowersMax = 4096;
  // Of one message, but for a single change that is longer.
  static constexpr size_t kMessageOctetsMax = size_t{1} << 20;

  struct Image {
    uint64_t index = 0;
    std::vector<std::string> parts;
  };
  using ImageDone = std::function<void(absl::StatusOr<Image>)>;

  // One follower; its owner tells when it ends, by destroying it.
  class Follower {
   public:
    ~Follower();
    // The next message: serialized FollowResponses to be sent as one. Empty: there is nothing now,
    // and `ready` is called once there is.
    std::vector<SharedOctets> Next();

   private:
    friend class CatalogStream;
    enum class Phase : uint8_t { kWaitsForImage, kImage, kChanges, kPulses };
    CatalogStream* stream_ = nullptr;
    std::function<void()> ready_;
    Phase phase_ = Phase::kWaitsForImage;
    uint64_t index_ = 0;      // Everything up to here was sent.
    std::string cluster_id_;  // Of the catalog that it has, which is of this entry.
    uint64_t at_least_ = 0;
    std::shared_ptr<const std::vector<SharedOctets>> image_;
    size_t image_at_ = 0;
    uint64_t pulse_ = 0;  // The last one that was sent.
    bool idle_ = false;   // `ready_` is to be called.
  };

  // `take_image` makes an image of the catalog as it is, and calls back on any thread, once.
  CatalogStream(std::string datacenter, std::function<void(ImageDone)> take_image);

  // On the raft thread.
  void SetClusterId(const std::string& cluster_id);
  void OnApplied(uint64_t index, Octets entry);
  // The catalog is another one, of which no change is known.
  void OnRestored(uint64_t index);
  // Sent to everybody with what is next.
  void SetPulse(const peer::v1::Pulse& pulse);

  // Any thread. `ready` is called on the threads that call Wake, or after the follower has ended;
  // it returns soon. FailedPrecondition for who is of another datacenter, ResourceExhausted when
  // there are too many.
  absl::StatusOr<std::unique_ptr<Follower>> Follow(const peer::v1::FollowRequest& request,
                                                   std::function<void()> ready);
  // Any thread: calls `ready` of those for whom there is something.
  void Wake();

  const CatalogStreamCounters& counters() const { return counters_; }
  CatalogStreamCounters& counters() { return counters_; }

 private:
  std::vector<SharedOctets> Next(Follower& follower);
  bool HasNext(const Follower& follower) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RequestImage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeImage(absl::StatusOr<Image> image);
  // Whether an image of an entry would not take the follower back, or tell it that there is
  // nothing.
  bool Helps(uint64_t index, const Follower& follower) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the present image can be sent to the follower.
  bool HasImageFor(const Follower& follower) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string datacenter_;
  const std::function<void(ImageDone)> take_image_;
  CatalogStreamCounters counters_;
  mutable std::mutex mutex_;
  ChangeRing ring_ ABSL_GUARDED_BY(mutex_);
  std::string cluster_id_ ABSL_GUARDED_BY(mutex_);
  std::set<Follower*> followers_ ABSL_GUARDED_BY(mutex_);
  SharedOctets pulse_ ABSL_GUARDED_BY(mutex_);
  uint64_t pulse_number_ ABSL_GUARDED_BY(mutex_) = 0;
  // The newest image, for all who need one while the ring has what follows it.
  std::shared_ptr<const std::vector<SharedOctets>> image_ ABSL_GUARDED_BY(mutex_);
  uint64_t image_index_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t image_pulse_ ABSL_GUARDED_BY(mutex_) = 0;   // The newest pulse when somebody took it.
  bool image_wanted_ ABSL_GUARDED_BY(mutex_) = false;  // One is being made.
};

}  // namespace pharos::cluster
