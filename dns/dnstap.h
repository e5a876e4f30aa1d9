// dnstap (https://dnstap.info): every query and reply goes to a collector at a Unix socket, as
// protocol buffers in Frame Streams. libfstrm has the queues and the thread that sends; a DNS
// thread never waits for either.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "dns/dnstap_stream.h"
#include "dns/observer_options.h"
#include "dns/query_observer.h"

namespace pharos::dns {

struct DnstapCounts {
  uint64_t sent = 0;
  uint64_t dropped_queue_full = 0;
  uint64_t dropped_unconnected = 0;  // Nobody listened, or had stopped reading.
  bool connected = false;
};

class Dnstap {
 public:
  // Frames of one DNS thread that wait to be sent; beyond, they are dropped and counted.
  static constexpr unsigned kWaitingMax = 4096;

  // For so many DNS threads. Connects when the socket is there, and again after it went away.
  // Internal when there is no memory or thread to be had.
  static absl::StatusOr<std::unique_ptr<Dnstap>> Start(const DnstapOptions& options, int threads);
  // Sends what waits, within seconds. Observers are gone by then.
  ~Dnstap();

  // For DNS thread `thread`; of one thread there is one at a time.
  std::unique_ptr<QueryObserver> MakeObserver(int thread);

  const DnstapOptions& options() const { return options_; }
  // From any thread.
  DnstapCounts counts() const;

 private:
  class Observer;
  struct Library;

  explicit Dnstap(const DnstapOptions& options);

  const DnstapOptions options_;
  // Outlives the library's thread, which works on it.
  DnstapStream stream_;
  std::unique_ptr<Library> library_;
  // Several threads add; a count orders nothing.
  std::atomic<uint64_t> queue_full_{0}, sent_{0}, unconnected_{0};
};

}  // namespace pharos::dns
