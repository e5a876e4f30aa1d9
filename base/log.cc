#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

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

absl::Status SetUpLog(const LogOptions& options) {
  std::shared_ptr<spdlog::logger> logger;
  try {
    if (options.file.empty()) {
      logger = std::make_shared<spdlog::logger>("pharos",
                                                std::make_shared<spdlog::sinks::stdout_sink_mt>());
    } else {
      logger = std::make_shared<spdlog::logger>(
          "pharos", std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file));
    }
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InvalidArgumentError(
        absl::StrFormat("log_file \"%s\" cannot be opened: %s", options.file, error.what()));
  }
  json_lines = options.json;
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      options.json ? R"({"@timestamp":"%Y-%m-%dT%H:%M:%S.%fZ",%v})"
                   : "    %Y-%m-%dT%H:%M:%S.%eZ %v",
      spdlog::pattern_time_type::utc));
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
