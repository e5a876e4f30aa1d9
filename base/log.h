// The log: one line an event, `TIME [LEVEL] COMPONENT: MESSAGE: key=value ...`, on standard output
// or a file, and to syslog if that is wanted. spdlog stands behind it and is seen nowhere else.
// Thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/log_file.h"

namespace pharos {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };

// TRACE DEBUG INFO WARN ERR (or ERROR, WARNING), any case; nullopt for anything else.
std::optional<LogLevel> ParseLogLevel(std::string_view text);

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool json = false;
  LogFileOptions file;          // With an empty path: standard output.
  std::string syslog_facility;  // USER, DAEMON, LOCAL0 ..., in upper case; empty: no syslog.
};
// Whether syslog has the facility.
bool IsSyslogFacility(std::string_view name);

// Sets where lines go from now on. Called by main before threads start, and on reload. Until then
// lines of kInfo and above go to standard output.
absl::Status SetUpLog(const LogOptions& options);
// Changes the level alone (reload).
void SetLogLevel(LogLevel level);
bool LogEnabled(LogLevel level);
// Writes one line; `component` is e.g. "agent.dns". Control characters in the message are written
// as escapes, so that a name from the network cannot forge a line.
void WriteLog(LogLevel level, std::string_view component, std::string_view message);

// Calls `listener` with each line of `level` and above, without its end, whatever the log's own
// level; on the thread that logs, which it must not keep waiting nor make log. Returns what Remove
// takes.
using LogListener = std::function<void(std::string_view line)>;
int AddLogListener(LogLevel level, LogListener listener);
// No call of the listener runs or will run any more.
void RemoveLogListener(int id);

// PHAROS_LOG(kInfo, "agent.dns", "started: address=%s", address);
#define PHAROS_LOG(level, component, ...)                                                       \
  do {                                                                                          \
    if (::pharos::LogEnabled(::pharos::LogLevel::level)) {                                      \
      ::pharos::WriteLog(::pharos::LogLevel::level, component, ::absl::StrFormat(__VA_ARGS__)); \
    }                                                                                           \
  } while (false)

}  // namespace pharos
