// Files: whole reads with a bound, and replacement that is atomic and durable.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pharos {

// The whole file, at most `octets_max` (InvalidArgument beyond). Errors name the path and the
// reason.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t octets_max);

// Replaces the file's content so that after a crash either the old or the new content is there,
// whole: writes beside it, fsyncs, renames, fsyncs the directory. `mode` is as chmod(2).
absl::Status ReplaceFile(const std::string& path, std::string_view content, int mode = 0600);

// The same without fsync: atomic when the process dies, not when the machine does. For what is soon
// known again.
absl::Status ReplaceFileLoosely(const std::string& path, std::string_view content);

// Removes the file, durably; one that is not there is no error.
absl::Status RemoveFile(const std::string& path);

// Creates `path` and its missing parents (0700).
absl::Status CreateDirectories(const std::string& path);

}  // namespace pharos
