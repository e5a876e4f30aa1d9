#include "cluster/catalog_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/log.h"

namespace pharos::cluster {
namespace {

// So many pulses after anybody took it, an image is forgotten: it is as large as the catalog.
constexpr uint64_t kImageKeptPulses = 15;

}  // namespace

CatalogStream::Follower::~Follower() {
  const std::lock_guard lock(stream_->mutex_);
  stream_->followers_.erase(this);
  stream_->counters_.followers = stream_->followers_.size();
}

std::vector<SharedOctets> CatalogStream::Follower::Next() { return stream_->Next(*this); }

CatalogStream::CatalogStream(std::string datacenter, std::function<void(ImageDone)> take_image)
    : datacenter_(std::move(datacenter)), take_image_(std::move(take_image)) {}

void CatalogStream::SetClusterId(const std::string& cluster_id) {
  const std::lock_guard lock(mutex_);
  cluster_id_ = cluster_id;
}

void CatalogStream::OnApplied(uint64_t index, Octets entry) {
  const std::lock_guard lock(mutex_);
  ring_.Add(index, entry);
  counters_.ring_octets = ring_.octets();
  counters_.ring_changes = ring_.size();
}

void CatalogStream::OnRestored(uint64_t index) {
  const std::lock_guard lock(mutex_);
  ring_.Reset(index);
}

void CatalogStream::SetPulse(const peer::v1::Pulse& pulse) {
  peer::v1::FollowResponse response;
  *response.mutable_pulse() = pulse;
  auto octets = std::make_shared<const std::string>(response.SerializeAsString());
  const std::lock_guard lock(mutex_);
  pulse_ = std::move(octets);
  ++pulse_number_;
  if (pulse_number_ - image_pulse_ > kImageKeptPulses) image_.reset();
}

absl::StatusOr<std::unique_ptr<CatalogStream::Follower>> CatalogStream::Follow(
    const peer::v1::FollowRequest& request, std::function<void()> ready) {
  if (request.datacenter() != datacenter_) {
    ++counters_.refused;
    return absl::FailedPreconditionError(
        absl::StrFormat("this server is of the datacenter \"%s\", and who asks of \"%s\"",
                        datacenter_, request.datacenter()));
  }
  std::unique_ptr<Follower> follower(new Follower);
  follower->stream_ = this;
  follower->ready_ = std::move(ready);
  follower->cluster_id_ = request.cluster_id();
  follower->at_least_ = std::max(request.at_least(), request.index());
  const std::lock_guard lock(mutex_);
  const bool full = followers_.size() >= kFollowersMax;
  if (!full) followers_.insert(follower.get());
  const bool resumes = request.index() > 0 && !cluster_id_.empty() &&
                       request.cluster_id() == cluster_id_ && ring_.Covers(request.index());
  if (request.pulses_only()) {
    follower->phase_ = Follower::Phase::kPulses;
  } else if (resumes) {
    follower->phase_ = Follower::Phase::kChanges;
    follower->index_ = request.index();
  }
  counters_.followers = followers_.size();
  if (!full) {
    if (resumes) ++counters_.resumed;
    return follower;
  }
  ++counters_.refused;
  return absl::ResourceExhaustedError(
      absl::StrFormat("this server has %d followers, as many as it takes", kFollowersMax));
}

bool CatalogStream::Helps(uint64_t index, const Follower& follower) const {
  // One that knows no cluster, or no entry of it, has nothing to tell yet.
  if (cluster_id_.empty() || index <= 1) return false;
  return follower.cluster_id_ != cluster_id_ || index >= follower.at_least_;
}

bool CatalogStream::HasImageFor(const Follower& follower) const {
  return image_ != nullptr && ring_.Covers(image_index_) && Helps(image_index_, follower);
}

bool CatalogStream::HasNext(const Follower& follower) const {
  if (follower.pulse_ != pulse_number_) return true;
  switch (follower.phase_) {
    case Follower::Phase::kWaitsForImage:
      return HasImageFor(follower) || (!image_wanted_ && Helps(ring_.last_index(), follower));
    case Follower::Phase::kImage:
      return true;
    case Follower::Phase::kChanges:
      return ring_.last_index() > follower.index_ || !ring_.Covers(follower.index_);
    case Follower::Phase::kPulses:
      return false;
  }
  return false;
}

std::vector<SharedOctets> CatalogStream::Next(Follower& follower) {
  const std::lock_guard lock(mutex_);
  using Phase = Follower::Phase;
  std::vector<SharedOctets> next;
  if (follower.phase_ == Phase::kChanges && !ring_.Covers(follower.index_)) {
    ++counters_.left_behind;
    follower.phase_ = Phase::kWaitsForImage;
  }
  if (follower.phase_ == Phase::kWaitsForImage) {
    if (HasImageFor(follower)) {
      follower.phase_ = Phase::kImage;
      follower.image_ = image_;
      follower.image_at_ = 0;
      follower.index_ = image_index_;
      image_pulse_ = pulse_number_;
      ++counters_.images_sent;
    } else if (Helps(ring_.last_index(), follower)) {
      RequestImage();
    }
  }
  if (follower.phase_ == Phase::kImage) {
    next.push_back((*follower.image_)[follower.image_at_++]);
    if (follower.image_at_ == follower.image_->size()) {
      follower.image_.reset();
      follower.phase_ = Phase::kChanges;
    }
  } else if (follower.phase_ == Phase::kChanges) {
    next = ring_.Take(follower.index_, kMessageOctetsMax);
  }
  if (follower.pulse_ != pulse_number_) {
    follower.pulse_ = pulse_number_;
    next.push_back(pulse_);
  }
  follower.idle_ = next.empty();
  if (!next.empty()) ++counters_.messages;
  for (const SharedOctets& octets : next) counters_.octets += octets->size();
  return next;
}

void CatalogStream::Wake() {
  std::vector<std::function<void()>> ready;
  {
    const std::lock_guard lock(mutex_);
    for (Follower* const follower : followers_) {
      if (!follower->idle_ || !HasNext(*follower)) continue;
      follower->idle_ = false;
      ready.push_back(follower->ready_);
    }
  }
  for (const auto& each : ready) each();
}

void CatalogStream::RequestImage() {
  if (std::exchange(image_wanted_, true)) return;
  take_image_([this](absl::StatusOr<Image> image) { TakeImage(std::move(image)); });
}

void CatalogStream::TakeImage(absl::StatusOr<Image> image) {
  auto parts = std::make_shared<std::vector<SharedOctets>>();
  if (image.ok()) {
    for (size_t i = 0; i < image->parts.size(); ++i) {
      peer::v1::FollowResponse response;
      peer::v1::ImagePart& part = *response.add_image();
      part.set_first(i == 0);
      part.set_last(i + 1 == image->parts.size());
      part.set_data(std::move(image->parts[i]));
      parts->push_back(std::make_shared<const std::string>(response.SerializeAsString()));
    }
  } else {
    PHAROS_LOG(kWarn, "agent.server", "No image of the catalog could be made for followers: %s",
               std::string(image.status().message()));
  }
  {
    const std::lock_guard lock(mutex_);
    image_wanted_ = false;
    if (parts->empty()) return;
    image_ = std::move(parts);
    image_index_ = image->index;
    image_pulse_ = pulse_number_;
    ++counters_.images_made;
  }
  Wake();
}

}  // namespace pharos::cluster
