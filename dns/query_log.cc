#include "dns/query_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/random.h"

namespace pharos::dns {
namespace {

// How late a line may be. Waking the thread for each would cost the DNS threads a system call.
constexpr absl::Duration kWriteInterval = absl::Milliseconds(100);

absl::StatusOr<int> OpenFile(const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (file >= 0) return file;
  return absl::InvalidArgumentError(absl::StrFormat("query_log.file \"%s\" cannot be opened: %s",
                                                    path, std::generic_category().message(errno)));
}

// A random number is below it as often as the sample wants.
uint64_t Threshold(double sample) {
  if (sample >= 1) return std::numeric_limits<uint64_t>::max();
  return static_cast<uint64_t>(std::ldexp(sample, 64));
}

}  // namespace

class QueryLog::Observer : public QueryObserver {
 public:
  Observer(Source& source, double sample)
      : source_(source), random_(SecureRandomU64()), threshold_(Threshold(sample)) {}

  void OnQuery(const ReplyPath& /*path*/, Octets /*message*/, absl::Time /*now*/) override {}
  void OnAnswered(const AnsweredQuery& answered) override {
    if (random_.Next() > threshold_) return;
    QueryLogEntry entry{
        .time = answered.answered,
        .client = answered.path.client,
        .transport = answered.path.transport,
        .qname = {},
        .qtype = answered.query.qtype,
        .rcode = {},
        .reply_octets = static_cast<uint32_t>(answered.reply.size()),
        .latency = std::max(answered.answered - answered.asked, absl::ZeroDuration()),
        .source = answered.source};
    if (!answered.query.question.empty()) entry.qname = answered.query.qname;
    entry.rcode = ReadRcode(answered.reply);
    if (source_.ring.Push(entry)) return;
    source_.dropped.store(source_.dropped.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
  }

 private:
  Source& source_;
  Random random_;
  const uint64_t threshold_;
};

absl::StatusOr<std::unique_ptr<QueryLog>> QueryLog::Open(const QueryLogOptions& options,
                                                         int threads) {
  const absl::StatusOr<int> file = OpenFile(options.file);
  if (!file.ok()) return file.status();
  return std::unique_ptr<QueryLog>(new QueryLog(options, threads, *file));
}

QueryLog::QueryLog(const QueryLogOptions& options, int threads, int file)
    : options_(options), file_(file) {
  for (int i = 0; i < threads; ++i) sources_.push_back(std::make_unique<Source>());
  loop_.PostAndWait([this] {
    timer_ = std::make_unique<LoopTimer>(loop_.uv());
    timer_->Every(kWriteInterval, [this] { WriteOut(); });
  });
}

QueryLog::~QueryLog() {
  loop_.PostAndWait([this] {
    WriteOut();
    timer_.reset();
  });
  loop_.Stop();
  close(file_);
}

std::unique_ptr<QueryObserver> QueryLog::MakeObserver(int thread) {
  return std::make_unique<Observer>(*sources_[static_cast<size_t>(thread)], options_.sample);
}

absl::Status QueryLog::Reopen() {
  const absl::StatusOr<int> file = OpenFile(options_.file);
  if (!file.ok()) return file.status();
  loop_.PostAndWait([this, next = *file] {
    WriteOut();  // What came before belongs to the old file.
    close(std::exchange(file_, next));
  });
  return absl::OkStatus();
}

uint64_t QueryLog::dropped() const {
  uint64_t count = unwritten_.load(std::memory_order_relaxed);
  for (const auto& source : sources_) count += source->dropped.load(std::memory_order_relaxed);
  return count;
}

void QueryLog::WriteOut() {
  QueryLogEntry entry;
  for (const auto& source : sources_) {
    std::string lines;
    uint64_t count = 0;
    // No more than was there at first, or a busy thread would keep the others waiting.
    while (count < source->ring.capacity() && source->ring.Pop(entry)) {
      lines += FormatQueryLogLine(entry, options_.format);
      ++count;
    }
    if (count > 0) (Write(lines) ? written_ : unwritten_).fetch_add(count);
  }
}

bool QueryLog::Write(const std::string& lines) {
  size_t at = 0;
  while (at < lines.size()) {
    const ssize_t put = write(file_, lines.data() + at, lines.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      if (!std::exchange(failing_, true)) {
        PHAROS_LOG(kError, "agent.dns", "query log: cannot write: file=%s error=%s", options_.file,
                   std::generic_category().message(errno));
      }
      return false;
    }
    at += static_cast<size_t>(put);
  }
  failing_ = false;
  return true;
}

}  // namespace pharos::dns
