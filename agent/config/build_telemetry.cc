#include "agent/config/build_telemetry.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "agent/config/template_hint.h"

namespace pharos::agent {
namespace {

void BuildLogFile(const Settings& settings, LogFileOptions& file) {
  settings.Read("log_file", file.path);
  file.age_max = absl::Hours(24);
  settings.Read("log_rotate_duration", file.age_max);
  // As in Consul, where none is no limit.
  if (file.age_max == absl::ZeroDuration()) file.age_max = absl::Hours(24);
  settings.ReadInt("log_rotate_bytes", 0, std::numeric_limits<int64_t>::max(), file.octets_max);
  settings.ReadInt("log_rotate_max_files", -1, std::numeric_limits<int>::max(), file.kept_max);
}

void BuildSyslog(const Settings& settings, LogOptions& log) {
  bool enabled = false;
  std::string facility = "LOCAL0";
  settings.Read("enable_syslog", enabled);
  settings.Read("syslog_facility", facility);
  absl::AsciiStrToUpper(&facility);
  if (!IsSyslogFacility(facility)) {
    settings.Problem("syslog_facility",
                     absl::StrFormat("syslog_facility is \"%s\"; expected USER, DAEMON, LOCAL0 to "
                                     "LOCAL7 or another facility of syslog",
                                     facility));
  } else if (enabled) {
    log.syslog_facility = facility;
  }
}

}  // namespace

void BuildLog(const Settings& settings, Config& config) {
  std::string level = "INFO";
  settings.Read("log_level", level);
  settings.Read("log_json", config.log.json);
  BuildLogFile(settings, config.log.file);
  BuildSyslog(settings, config.log);
  const std::optional<LogLevel> parsed = ParseLogLevel(level);
  if (parsed) {
    config.log.level = *parsed;
    return;
  }
  const std::string message = absl::StrFormat(
      "Invalid log level: %s. Valid log levels are: [TRACE DEBUG INFO WARN ERR]", level);
  settings.Problem("log_level", WithTemplateHint(message, level));
}

void BuildTelemetry(const Settings& settings, Config& config, BuildNotes& notes) {
  TelemetryConfig& telemetry = config.telemetry;
  settings.Read("telemetry.metrics_prefix", telemetry.metrics_prefix);
  settings.Read("telemetry.disable_hostname", telemetry.disable_hostname);
  settings.Read("telemetry.filter_default", telemetry.filter_default);
  std::vector<std::string> rules;
  settings.Read("telemetry.prefix_filter", rules);
  for (std::string& rule : rules) {
    if (rule.starts_with('+') || rule.starts_with('-')) {
      telemetry.prefix_filter.push_back(std::move(rule));
      continue;
    }
    notes.warnings.push_back(settings.Located(
        "telemetry.prefix_filter",
        absl::StrFormat("Filter rule must begin with either '+' or '-': \"%s\"", rule)));
  }
}

}  // namespace pharos::agent
