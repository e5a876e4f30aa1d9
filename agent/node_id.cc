#include "agent/node_id.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

constexpr size_t kFileOctetsMax = 256;

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool good =
        dash ? text[i] == '-' : absl::ascii_isxdigit(static_cast<unsigned char>(text[i]));
    if (!good) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::string> LoadNodeId(const std::string& given, const std::string& data_dir) {
  if (data_dir.empty()) return given.empty() ? NewUuid() : given;
  const std::string path = data_dir + "/node-id";
  std::string id = given;
  absl::StatusOr<std::string> kept = ReadFile(path, kFileOctetsMax);
  if (!kept.ok() && !absl::IsNotFound(kept.status())) return kept.status();
  if (kept.ok()) {
    std::string text(absl::StripAsciiWhitespace(*kept));
    if (id.empty() && !IsUuid(text)) {
      return absl::DataLossError(absl::StrFormat(
          "%s holds \"%s\"; expected the UUID of this node. Put it back, or remove the file for a "
          "new one",
          path, text.substr(0, 64)));
    }
    if (id.empty() || id == text) return text;
  }
  if (id.empty()) id = NewUuid();
  RETURN_IF_ERROR(CreateDirectories(data_dir));
  RETURN_IF_ERROR(ReplaceFile(path, id + "\n"));
  return id;
}

}  // namespace pharos::agent
