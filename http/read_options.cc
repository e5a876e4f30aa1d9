#include "http/read_options.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "base/go_duration.h"
#include "base/status_macros.h"

namespace pharos::http {
namespace {

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

absl::Status CheckScope(const Request& request, const ReadDefaults& defaults) {
  const std::string_view dc = request.Parameter("dc").value_or("");
  if (!dc.empty() &&
      absl::AsciiStrToLower(absl::string_view(dc.data(), dc.size())) != defaults.datacenter) {
    return absl::InternalError("No path to datacenter");
  }
  return absl::OkStatus();
}

absl::Status ParseConsistency(const Request& request, const ReadDefaults& defaults,
                              ReadOptions& options) {
  const bool stale = request.HasParameter("stale"), consistent = request.HasParameter("consistent");
  if (stale && consistent) {
    return absl::InvalidArgumentError(
        "Cannot specify ?stale with ?consistent, conflicting semantics.");
  }
  if (stale || defaults.stale) options.consistency = Consistency::kStale;
  if (consistent) options.consistency = Consistency::kConsistent;
  const std::string_view max_stale = request.Parameter("max_stale").value_or("");
  if (!max_stale.empty()) {
    const absl::StatusOr<absl::Duration> given = ParseGoDuration(max_stale);
    if (!given.ok()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("Invalid max_stale value \"%s\"", max_stale));
    }
    options.max_stale = *given;
  }
  options.cached = defaults.use_cache && request.HasParameter("cached");
  if (options.cached && options.consistency == Consistency::kConsistent) {
    return absl::InvalidArgumentError(
        "Cannot specify ?cached with ?consistent, conflicting semantics.");
  }
  const std::string_view control = request.Header("cache-control").value_or("");
  options.must_revalidate = control.find("must-revalidate") != std::string_view::npos ||
                            control.find("max-age=0") != std::string_view::npos;
  return absl::OkStatus();
}

absl::Status ParseBlocking(const Request& request, const ReadDefaults& defaults,
                           ReadOptions& options) {
  const std::string_view index = request.Parameter("index").value_or("");
  if (!index.empty()) {
    const char* end = index.data() + index.size();
    const auto [read_to, error] = std::from_chars(index.data(), end, options.index);
    if (error != std::errc() || read_to != end) {
      return absl::InvalidArgumentError("Invalid index");
    }
  }
  options.wait = defaults.wait;
  const std::string_view wait = request.Parameter("wait").value_or("");
  if (!wait.empty()) {
    const absl::StatusOr<absl::Duration> given = ParseGoDuration(wait);
    if (!given.ok()) return absl::InvalidArgumentError("Invalid wait time");
    if (*given > absl::ZeroDuration()) options.wait = *given;
  }
  options.wait = std::min(options.wait, defaults.wait_max);
  options.hash = request.Parameter("hash").value_or("");
  return absl::OkStatus();
}

}  // namespace

std::optional<bool> ParseBool(std::string_view text) {
  if (IsOneOf(text, {"1", "t", "T", "true", "TRUE", "True"})) return true;
  if (IsOneOf(text, {"0", "f", "F", "false", "FALSE", "False"})) return false;
  return std::nullopt;
}

bool WantsPretty(const Request& request, const ReadDefaults& defaults) {
  return defaults.pretty || request.HasParameter("pretty");
}

absl::StatusOr<ReadOptions> ParseReadOptions(const Request& request, const ReadDefaults& defaults) {
  ReadOptions options;
  RETURN_IF_ERROR(ParseConsistency(request, defaults, options));
  RETURN_IF_ERROR(ParseBlocking(request, defaults, options));
  RETURN_IF_ERROR(CheckScope(request, defaults));
  options.pretty = WantsPretty(request, defaults);
  options.translate = defaults.translate;
  for (const auto& [name, value] : request.query) {
    if (name == "filter") options.filter = value;
    if (name == "near") options.near = value;
    if (name == "tag" && !value.empty()) options.tags.push_back(value);
    if (name != "node-meta") continue;
    const size_t colon = value.find(':');
    options.node_meta.emplace_back(value.substr(0, colon),
                                   colon == std::string::npos ? "" : value.substr(colon + 1));
  }
  return options;
}

}  // namespace pharos::http
