#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace pharos {
namespace {

std::atomic<bool> json_lines{false};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// The level as log processors made for Consul expect it, padded to one width.
std::string_view LevelWord(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "[TRACE] ";
    case LogLevel::kDebug:
      return "[DEBUG] ";
    case LogLevel::kInfo:
      return "[INFO]  ";
    case LogLevel::kWarn:
      return "[WARN]  ";
    case LogLevel::kError:
      return "[ERROR] ";
  }
  return "";
}

std::string EscapeControls(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&clean, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      clean.push_back(c);
    }
  }
  return clean;
}

std::string JsonEscape(std::string_view text) {
  std::string clean;
  for (const char c : text) {
    if (c == '"' || c == '\\') clean.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&clean, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      clean.push_back(c);
    }
  }
  return clean;
}

class LogFileSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogFileSink(std::unique_ptr<LogFile> file) : file_(std::move(file)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    file_->Write({line.data(), line.size()}, absl::FromChrono(message.time));
  }
  void flush_() override {}  // Every line is.

 private:
  std::unique_ptr<LogFile> file_;
};

std::optional<int> FacilityOf(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, int>, 20> kFacilities = {
      {{"KERN", LOG_KERN},     {"USER", LOG_USER},         {"MAIL", LOG_MAIL},
       {"DAEMON", LOG_DAEMON}, {"AUTH", LOG_AUTH},         {"SYSLOG", LOG_SYSLOG},
       {"LPR", LOG_LPR},       {"NEWS", LOG_NEWS},         {"UUCP", LOG_UUCP},
       {"CRON", LOG_CRON},     {"AUTHPRIV", LOG_AUTHPRIV}, {"FTP", LOG_FTP},
       {"LOCAL0", LOG_LOCAL0}, {"LOCAL1", LOG_LOCAL1},     {"LOCAL2", LOG_LOCAL2},
       {"LOCAL3", LOG_LOCAL3}, {"LOCAL4", LOG_LOCAL4},     {"LOCAL5", LOG_LOCAL5},
       {"LOCAL6", LOG_LOCAL6}, {"LOCAL7", LOG_LOCAL7}}};
  for (const auto& [word, facility] : kFacilities) {
    if (word == name) return facility;
  }
  return std::nullopt;
}

struct Listening {
  int id;
  LogLevel level;
  LogListener listener;
};

constexpr int kNoListener = 1000;

std::mutex listeners_mutex;
std::vector<Listening> listeners ABSL_GUARDED_BY(listeners_mutex);
int last_listener ABSL_GUARDED_BY(listeners_mutex) = 0;
// The lowest level that a listener wants, for those who log: nothing is ordered by it.
std::atomic<int> listeners_level{kNoListener};

void SetListenersLevel() ABSL_EXCLUSIVE_LOCKS_REQUIRED(listeners_mutex) {
  int lowest = kNoListener;
  for (const Listening& one : listeners) lowest = std::min(lowest, static_cast<int>(one.level));
  listeners_level = lowest;
}

void TellListeners(LogLevel level, std::string_view component, std::string_view message) {
  const std::string line = absl::StrFormat(
      "%s %s%s: %s", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()),
      LevelWord(level), component, EscapeControls(message));
  const std::lock_guard lock(listeners_mutex);
  for (const Listening& one : listeners) {
    if (level >= one.level) one.listener(line);
  }
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view text) {
  const std::string upper = absl::AsciiStrToUpper(std::string(text));
  if (upper == "TRACE") return LogLevel::kTrace;
  if (upper == "DEBUG") return LogLevel::kDebug;
  if (upper == "INFO") return LogLevel::kInfo;
  if (upper == "WARN" || upper == "WARNING") return LogLevel::kWarn;
  if (upper == "ERR" || upper == "ERROR") return LogLevel::kError;
  return std::nullopt;
}

bool IsSyslogFacility(std::string_view name) { return FacilityOf(name).has_value(); }

absl::Status SetUpLog(const LogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks;
  if (options.file.path.empty()) {
    sinks.push_back(std::make_shared<spdlog::sinks::stdout_sink_mt>());
  } else {
    absl::StatusOr<std::unique_ptr<LogFile>> file = LogFile::Open(options.file, absl::Now());
    RETURN_IF_ERROR(file.status());
    sinks.push_back(std::make_shared<LogFileSink>(*std::move(file)));
  }
  sinks.back()->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      options.json ? R"({"@timestamp":"%Y-%m-%dT%H:%M:%S.%fZ",%v})"
                   : "    %Y-%m-%dT%H:%M:%S.%eZ %v",
      spdlog::pattern_time_type::utc));
  if (const std::optional<int> facility = FacilityOf(options.syslog_facility)) {
    // It has times of its own.
    sinks.push_back(std::make_shared<spdlog::sinks::syslog_sink_mt>("pharos", LOG_PID, *facility,
                                                                    /*enable_formatting=*/true));
    sinks.back()->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        options.json ? "{%v}" : "%v", spdlog::pattern_time_type::utc, ""));
  }
  auto logger = std::make_shared<spdlog::logger>("pharos", sinks.begin(), sinks.end());
  json_lines = options.json;
  logger->set_level(ToSpdlog(options.level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

void SetLogLevel(LogLevel level) { spdlog::default_logger_raw()->set_level(ToSpdlog(level)); }

bool LogEnabled(LogLevel level) {
  return static_cast<int>(level) >= listeners_level.load(std::memory_order_relaxed) ||
         spdlog::default_logger_raw()->should_log(ToSpdlog(level));
}

int AddLogListener(LogLevel level, LogListener listener) {
  const std::lock_guard lock(listeners_mutex);
  listeners.push_back({++last_listener, level, std::move(listener)});
  SetListenersLevel();
  return last_listener;
}

void RemoveLogListener(int id) {
  const std::lock_guard lock(listeners_mutex);
  std::erase_if(listeners, [id](const Listening& one) { return one.id == id; });
  SetListenersLevel();
}

void WriteLog(LogLevel level, std::string_view component, std::string_view message) {
  if (static_cast<int>(level) >= listeners_level.load(std::memory_order_relaxed)) {
    TellListeners(level, component, message);
  }
  if (json_lines) {
    const std::string_view word = LevelWord(level);
    const std::string name = absl::AsciiStrToLower(std::string(word.substr(1, word.find(']') - 1)));
    spdlog::default_logger_raw()->log(
        ToSpdlog(level), absl::StrFormat(R"("@level":"%s","@module":"%s","@message":"%s")", name,
                                         component, JsonEscape(message)));
    return;
  }
  spdlog::default_logger_raw()->log(
      ToSpdlog(level),
      absl::StrFormat("%s%s: %s", LevelWord(level), component, EscapeControls(message)));
}

}  // namespace pharos
