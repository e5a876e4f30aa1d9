// A Raft disk on files, by libraft's raft_uv, whose own messages between servers are not used.
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/disk_traces.h"
#include "cluster/libraft.h"
#include "cluster/log_segment.h"
#include "cluster/raft_disk.h"

namespace pharos::cluster {
namespace {

// Its capacity is counted in kilobytes by 16 bits, so 32 MiB would wrap to none.
constexpr size_t kSegmentOctets = size_t{8} << 20;
constexpr unsigned kDiskRetryMs = 1000;

class UvRaftDisk : public RaftDisk {
 public:
  explicit UvRaftDisk(std::function<void(const std::string&)> fatal) : fatal_(std::move(fatal)) {}
  ~UvRaftDisk() override {
    if (opened_) raft_uv_close(&io_);
  }

  absl::Status Open(uv_loop_t* loop, const std::string& directory) {
    loop_ = loop;
    transport_.version = 1;
    transport_.data = nullptr;
    transport_.impl = this;
    transport_.init = [](raft_uv_transport*, raft_id, const char*) { return 0; };
    transport_.listen = [](raft_uv_transport*, raft_uv_accept_cb) { return 0; };
    transport_.connect = [](raft_uv_transport*, raft_uv_connect*, raft_id, const char*,
                            raft_uv_connect_cb) { return int{RAFT_NOCONNECTION}; };
    transport_.close = [](raft_uv_transport* transport, raft_uv_transport_close_cb closed) {
      closed(transport);
    };
    if (const int code = raft_uv_init(&io_, loop, directory.c_str(), &transport_); code != 0) {
      return absl::InternalError(
          absl::StrFormat("cannot keep the Raft log in %s: %s", directory,
                          io_.errmsg[0] != '\0' ? io_.errmsg : raft_strerror(code)));
    }
    opened_ = true;
    tracer_.impl = this;
    tracer_.version = 2;
    tracer_.emit = [](raft_tracer* tracer, int type, const void* info) {
      if (type == RAFT_TRACER_DIAGNOSTIC) {
        static_cast<UvRaftDisk*>(tracer->impl)
            ->OnTrace(static_cast<const raft_tracer_info*>(info)->diagnostic);
      }
    };
    raft_uv_set_tracer(&io_, &tracer_);
    raft_uv_set_segment_size(&io_, kSegmentOctets);
    raft_uv_set_disk_retry(&io_, kDiskRetryMs);
    // On, it would put damaged parts of the log aside, and with them what was acknowledged.
    raft_uv_set_auto_recovery(&io_, false);
    return absl::OkStatus();
  }

  raft_io* io() override { return &io_; }
  bool needs_ticks() const override { return false; }
  uint64_t NowMs() const override { return uv_hrtime() / 1'000'000; }
  uint64_t full_count() const override { return full_.load(std::memory_order_relaxed); }

 private:
  void OnTrace(const decltype(raft_tracer_info::diagnostic)& trace) {
    const std::string message = trace.message;
    switch (traces_.Judge(message)) {
      case DiskTraces::Verdict::kNothing:
        return;
      case DiskTraces::Verdict::kWriteFailed:
        return fatal_(absl::StrFormat("a write to the Raft log failed: %s", message));
      case DiskTraces::Verdict::kFailed:
        return fatal_(
            absl::StrFormat("the Raft log cannot be written: %s: %s", message, io_.errmsg));
      case DiskTraces::Verdict::kRetried:
        if (full_.fetch_add(1, std::memory_order_relaxed) != 0) return;
        PHAROS_LOG(kError, "agent.raft", "The disk of the Raft log is full or fails: %s: %s",
                   message, io_.errmsg);
    }
  }

  std::function<void(const std::string&)> fatal_;
  uv_loop_t* loop_ = nullptr;
  raft_io io_{};
  raft_uv_transport transport_{};
  raft_tracer tracer_{};
  DiskTraces traces_;
  bool opened_ = false;
  std::atomic<uint64_t> full_{0};
};

}  // namespace

absl::StatusOr<std::unique_ptr<RaftDisk>> OpenUvRaftDisk(
    uv_loop_t* loop, const std::string& directory, std::function<void(const std::string&)> fatal) {
  RETURN_IF_ERROR(CheckOpenSegments(directory));
  RETURN_IF_ERROR(UndoTruncation(directory));
  auto disk = std::make_unique<UvRaftDisk>(std::move(fatal));
  if (absl::Status opened = disk->Open(loop, directory); !opened.ok()) return opened;
  return disk;
}

}  // namespace pharos::cluster
