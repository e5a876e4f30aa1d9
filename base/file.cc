#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos {
namespace {

absl::Status ErrnoStatus(std::string_view doing, const std::string& path, int error) {
  const std::string message =
      absl::StrFormat("cannot %s %s: %s", doing, path, std::generic_category().message(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

absl::Status WriteAll(int file, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t put = write(file, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoStatus("write", path, errno);
    content.remove_prefix(static_cast<size_t>(put));
  }
  return absl::OkStatus();
}

// Writes beside the file and renames.
absl::Status Replace(const std::string& path, std::string_view content, int mode, bool sync) {
  const std::string beside = path + ".tmp";
  const int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file < 0) return ErrnoStatus("write", beside, errno);
  absl::Status written = WriteAll(file, content, beside);
  if (sync && written.ok() && fsync(file) != 0) written = ErrnoStatus("fsync", beside, errno);
  if (close(file) != 0 && written.ok()) written = ErrnoStatus("close", beside, errno);
  if (written.ok() && rename(beside.c_str(), path.c_str()) != 0) {
    written = ErrnoStatus("rename to", path, errno);
  }
  if (!written.ok()) unlink(beside.c_str());
  return written;
}

// Makes what names the file durable.
absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int directory = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (directory < 0) return ErrnoStatus("open", folder, errno);
  absl::Cleanup close_directory = [directory] { close(directory); };
  if (fsync(directory) != 0) return ErrnoStatus("fsync", folder, errno);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t octets_max) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return ErrnoStatus("read", path, errno);
  absl::Cleanup close_file = [file] { close(file); };
  struct stat status;
  if (fstat(file, &status) != 0) return ErrnoStatus("read", path, errno);
  if (S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrFormat("cannot read %s: it is a directory", path));
  }
  std::string content;
  char chunk[65536];
  while (true) {
    const ssize_t got = read(file, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path, errno);
    if (got == 0) return content;
    content.append(chunk, static_cast<size_t>(got));
    if (content.size() > octets_max) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s is larger than the %d octets that are read", path, octets_max));
    }
  }
}

absl::Status ReplaceFile(const std::string& path, std::string_view content, int mode) {
  RETURN_IF_ERROR(Replace(path, content, mode, true));
  return SyncDirectoryOf(path);
}

absl::Status ReplaceFileLoosely(const std::string& path, std::string_view content) {
  return Replace(path, content, 0600, false);
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0) return SyncDirectoryOf(path);
  return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("remove", path, errno);
}

absl::Status CreateDirectories(const std::string& path) {
  std::error_code error;
  const mode_t before = umask(0077);
  std::filesystem::create_directories(path, error);
  umask(before);
  if (error) return ErrnoStatus("create the directory", path, error.value());
  return absl::OkStatus();
}

}  // namespace pharos
