#include "base/log_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "pharos.log";

// What stands before and behind the time in the name of a file that was put aside.
struct NameParts {
  std::string before, behind;
};

NameParts PartsOf(const fs::path& path) {
  const std::string extension = path.extension().string();
  return {.before = path.stem().string() + "-",
          .behind = extension.empty() ? std::string(".log") : extension};
}

bool IsPutAside(const std::string& name, const NameParts& parts) {
  if (name.size() <= parts.before.size() + parts.behind.size() || !name.starts_with(parts.before) ||
      !name.ends_with(parts.behind)) {
    return false;
  }
  const std::string_view time = std::string_view(name).substr(
      parts.before.size(), name.size() - parts.before.size() - parts.behind.size());
  return std::all_of(time.begin(), time.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Open(const LogFileOptions& options,
                                                       absl::Time now) {
  std::unique_ptr<LogFile> file(new LogFile(options));
  std::string& path = file->options_.path;
  if (path.ends_with('/')) path += kFileName;
  RETURN_IF_ERROR(file->OpenFile(now));
  return file;
}

absl::Status LogFile::OpenFile(absl::Time now) {
  file_.reset(std::fopen(options_.path.c_str(), "ae"));
  if (file_ == nullptr) {
    return absl::InvalidArgumentError(absl::StrFormat("log_file \"%s\" cannot be opened: %s",
                                                      options_.path, std::strerror(errno)));
  }
  std::error_code unknown;
  const auto octets = fs::file_size(options_.path, unknown);
  octets_ = unknown ? 0 : static_cast<int64_t>(octets);
  begun_ = now;
  return absl::OkStatus();
}

void LogFile::Write(std::string_view line, absl::Time now) {
  const bool large = options_.octets_max > 0 && octets_ > 0 &&
                     octets_ + static_cast<int64_t>(line.size()) > options_.octets_max;
  if (large || now - begun_ >= options_.age_max) Rotate(now);
  if (file_ == nullptr) return;
  octets_ += static_cast<int64_t>(std::fwrite(line.data(), 1, line.size(), file_.get()));
  std::fflush(file_.get());
}

void LogFile::Rotate(absl::Time now) {
  const fs::path path = options_.path;
  std::error_code failed;
  if (octets_ > 0) {
    const NameParts parts = PartsOf(path);
    const fs::path aside =
        path.parent_path() /
        absl::StrFormat("%s%d%s", parts.before, absl::ToUnixNanos(now), parts.behind);
    fs::rename(path, aside, failed);
    if (!failed) RemoveOld();
  }
  // Where it could not be put aside it is written on, and tried again after as long.
  (void)OpenFile(now);
}

void LogFile::RemoveOld() const {
  if (options_.kept_max == 0) return;
  const fs::path path = options_.path;
  const NameParts parts = PartsOf(path);
  std::vector<fs::path> aside;
  std::error_code failed;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (fs::directory_iterator file(folder, failed), end; !failed && file != end;
       file.increment(failed)) {
    if (IsPutAside(file->path().filename().string(), parts)) aside.push_back(file->path());
  }
  // Their times have the same number of digits, so the newest come last.
  std::sort(aside.begin(), aside.end());
  const size_t kept = std::min(aside.size(), static_cast<size_t>(std::max(options_.kept_max, 0)));
  for (size_t i = 0; i < aside.size() - kept; ++i) fs::remove(aside[i], failed);
}

}  // namespace pharos
