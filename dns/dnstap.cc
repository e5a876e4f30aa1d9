#include "dns/dnstap.h"

#include <fstrm.h>

#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "proto/dnstap.pb.h"

#ifdef PHAROS_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace pharos::dns {
namespace {

namespace pb = ::pharos::dnstap::v1;

constexpr std::string_view kContentType = "protobuf:dnstap.Dnstap";
// How soon the collector is looked for again, and how long a frame may wait for others.
constexpr unsigned kReopenSeconds = 1;
constexpr unsigned kFlushSeconds = 1;

fstrm_res Result(bool good) { return good ? fstrm_res_success : fstrm_res_failure; }

DnstapStream& StreamOf(void* object) { return *static_cast<DnstapStream*>(object); }

// TSan does not see how libfstrm hands a frame from thread to thread: that it is written before it
// is sent and freed.
void NoteSubmit([[maybe_unused]] void* frame) {
#ifdef PHAROS_TSAN
  __tsan_release(frame);
#endif
}
void NoteTaken([[maybe_unused]] void* frame) {
#ifdef PHAROS_TSAN
  __tsan_acquire(frame);
#endif
}

// A writer whose stream is `stream`, in both directions; owned by the caller.
fstrm_writer* MakeWriter(DnstapStream& stream) {
  fstrm_rdwr* rdwr = fstrm_rdwr_init(&stream);
  fstrm_rdwr_set_open(rdwr, [](void* object) { return Result(StreamOf(object).Open()); });
  fstrm_rdwr_set_close(rdwr, [](void* object) { return Result(StreamOf(object).Close()); });
  fstrm_rdwr_set_read(rdwr, [](void* object, void* target, size_t octets) {
    return Result(StreamOf(object).Read(static_cast<uint8_t*>(target), octets));
  });
  fstrm_rdwr_set_write(rdwr, [](void* object, const iovec* pieces, int count) {
    for (int i = 0; i < count; ++i) NoteTaken(pieces[i].iov_base);
    return Result(StreamOf(object).Write(pieces, static_cast<size_t>(count)));
  });
  fstrm_writer_options* options = fstrm_writer_options_init();
  fstrm_writer_options_add_content_type(options, kContentType.data(), kContentType.size());
  fstrm_writer* writer = fstrm_writer_init(options, &rdwr);
  fstrm_writer_options_destroy(&options);
  return writer;
}

void SetAddress(const IpAddress& address, std::string& target) {
  target.assign(AsText(address.octets()));
}

}  // namespace

// The library's thread and the queues that lead to it.
struct Dnstap::Library {
  Library(DnstapStream& stream, int threads) {
    fstrm_writer* writer = MakeWriter(stream);
    fstrm_iothr_options* options = fstrm_iothr_options_init();
    fstrm_iothr_options_set_num_input_queues(options, static_cast<unsigned>(threads));
    fstrm_iothr_options_set_input_queue_size(options, kWaitingMax);
    fstrm_iothr_options_set_queue_model(options, FSTRM_IOTHR_QUEUE_MODEL_SPSC);
    fstrm_iothr_options_set_reopen_interval(options, kReopenSeconds);
    fstrm_iothr_options_set_flush_timeout(options, kFlushSeconds);
    thread = fstrm_iothr_init(options, &writer);
    fstrm_iothr_options_destroy(&options);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { fstrm_iothr_destroy(&thread); }

  fstrm_iothr* thread;
};

class Dnstap::Observer : public QueryObserver {
 public:
  Observer(Dnstap& dnstap, int thread)
      : dnstap_(dnstap),
        queue_(
            fstrm_iothr_get_input_queue_idx(dnstap.library_->thread, static_cast<size_t>(thread))) {
    CHECK(queue_ != nullptr);
    frame_.set_identity(dnstap.options_.identity);
    frame_.set_version(dnstap.options_.version);
    frame_.set_type(pb::Dnstap::TYPE_MESSAGE);
  }

  void OnQuery(const ReplyPath& path, Octets message, absl::Time now) override {
    if (!dnstap_.options_.queries) return;
    pb::Message& told = Begin(pb::Message::TYPE_CLIENT_QUERY, path, now);
    told.mutable_query_message()->assign(AsText(message));
    Submit();
  }

  void OnAnswered(const AnsweredQuery& answered) override {
    if (!dnstap_.options_.responses || answered.reply.empty()) return;
    pb::Message& told = Begin(pb::Message::TYPE_CLIENT_RESPONSE, answered.path, answered.asked);
    const timespec time = absl::ToTimespec(answered.answered);
    told.set_response_time_sec(static_cast<uint64_t>(time.tv_sec));
    told.set_response_time_nsec(static_cast<uint32_t>(time.tv_nsec));
    told.mutable_response_message()->assign(AsText(answered.reply));
    Submit();
  }

 private:
  // The message with all that is the same for both. Its memory is used again and again.
  pb::Message& Begin(pb::Message::Type type, const ReplyPath& path, absl::Time asked) {
    pb::Message& told = *frame_.mutable_message();
    told.Clear();
    told.set_type(type);
    told.set_socket_family(path.client.ip.is_v4() ? pb::Message::SOCKET_FAMILY_INET
                                                  : pb::Message::SOCKET_FAMILY_INET6);
    told.set_socket_protocol(path.transport == Transport::kTcp ? pb::Message::SOCKET_PROTOCOL_TCP
                                                               : pb::Message::SOCKET_PROTOCOL_UDP);
    SetAddress(path.client.ip, *told.mutable_query_address());
    told.set_query_port(path.client.port);
    const SocketAddress local = path.listener->LocalAddress();
    const IpAddress& asked_ip = path.local_ip_known ? path.local_ip : local.ip;
    // A TCP connection to a wildcard address does not say which of ours it came to.
    if (!asked_ip.IsUnspecified()) SetAddress(asked_ip, *told.mutable_response_address());
    told.set_response_port(local.port);
    const timespec time = absl::ToTimespec(asked);
    told.set_query_time_sec(static_cast<uint64_t>(time.tv_sec));
    told.set_query_time_nsec(static_cast<uint32_t>(time.tv_nsec));
    return told;
  }

  void Submit() {
    const size_t octets = frame_.ByteSizeLong();
    void* data = std::malloc(octets);
    if (data == nullptr) return;
    frame_.SerializeWithCachedSizesToArray(static_cast<uint8_t*>(data));
    NoteSubmit(data);
    const fstrm_res submitted =
        fstrm_iothr_submit(dnstap_.library_->thread, queue_, data, octets, Free, &dnstap_);
    if (submitted == fstrm_res_success) return;
    std::free(data);
    dnstap_.queue_full_.fetch_add(1, std::memory_order_relaxed);
  }

  // The library is done with a frame: it was written, or there was nobody to write it to.
  static void Free(void* data, void* object) {
    NoteTaken(data);
    std::free(data);
    auto& dnstap = *static_cast<Dnstap*>(object);
    (dnstap.stream_.connected() ? dnstap.sent_ : dnstap.unconnected_)
        .fetch_add(1, std::memory_order_relaxed);
  }

  Dnstap& dnstap_;
  fstrm_iothr_queue* const queue_;
  pb::Dnstap frame_;
};

absl::StatusOr<std::unique_ptr<Dnstap>> Dnstap::Start(const DnstapOptions& options, int threads) {
  std::unique_ptr<Dnstap> dnstap(new Dnstap(options));
  dnstap->library_ = std::make_unique<Library>(dnstap->stream_, threads);
  if (dnstap->library_->thread != nullptr) return dnstap;
  return absl::InternalError("dnstap: cannot start its thread");
}

Dnstap::Dnstap(const DnstapOptions& options) : options_(options), stream_(options.socket) {}

Dnstap::~Dnstap() = default;

std::unique_ptr<QueryObserver> Dnstap::MakeObserver(int thread) {
  return std::make_unique<Observer>(*this, thread);
}

DnstapCounts Dnstap::counts() const {
  return {.sent = sent_.load(std::memory_order_relaxed),
          .dropped_queue_full = queue_full_.load(std::memory_order_relaxed),
          .dropped_unconnected = unconnected_.load(std::memory_order_relaxed),
          .connected = stream_.connected()};
}

}  // namespace pharos::dns
