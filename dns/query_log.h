// The query log: a sample of the queries and what became of them, a line each, in a file of its
// own. DNS threads leave entries in a ring each; a thread `query-log` writes them out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop.h"
#include "base/ring.h"
#include "dns/observer_options.h"
#include "dns/query_log_line.h"
#include "dns/query_observer.h"

namespace pharos::dns {

class QueryLog {
 public:
  // Entries of one DNS thread that wait to be written; beyond, they are dropped and counted.
  static constexpr size_t kWaitingMax = 4096;

  // Opens the file to append to it (made with mode 0640), for so many DNS threads. The error says
  // why it cannot be had.
  static absl::StatusOr<std::unique_ptr<QueryLog>> Open(const QueryLogOptions& options,
                                                        int threads);
  // Writes what waits. Observers are gone by then.
  ~QueryLog();

  // For DNS thread `thread`; of one thread there is one at a time.
  std::unique_ptr<QueryObserver> MakeObserver(int thread);
  // Closes the file and opens what is there now under its name, for who rotates it. An error leaves
  // the old one in use. Not from a thread of its own.
  absl::Status Reopen();

  const QueryLogOptions& options() const { return options_; }
  // From any thread.
  uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  // As the ring was full, or the file took no more.
  uint64_t dropped() const;

 private:
  class Observer;
  struct Source {
    Ring<QueryLogEntry> ring{kWaitingMax};
    std::atomic<uint64_t> dropped{0};  // Its DNS thread writes; a count orders nothing.
  };

  QueryLog(const QueryLogOptions& options, int threads, int file);
  // On the log's thread.
  void WriteOut();
  bool Write(const std::string& lines);

  const QueryLogOptions options_;
  std::vector<std::unique_ptr<Source>> sources_;
  int file_;              // Of the log's thread.
  bool failing_ = false;  // The last write came to nothing.
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> unwritten_{0};
  Loop loop_{"query-log"};
  std::unique_ptr<LoopTimer> timer_;
};

}  // namespace pharos::dns
