#include "cluster/gossip/keyring_file.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/status_macros.h"

namespace pharos::gossip {
namespace {

constexpr size_t kFileOctetsMax = 64 << 10;

absl::Status BadFile(const std::string& path, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s: %s; expected a JSON list of keys in base64. Put it right, or remove it", path, why));
}

}  // namespace

absl::StatusOr<Keyring> LoadKeyring(const std::string& path, const std::string& configured) {
  Keyring keyring;
  bool kept = false;
  if (!path.empty()) {
    const absl::StatusOr<std::string> text = ReadFile(path, kFileOctetsMax);
    if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
    kept = text.ok();
    if (kept) {
      const auto list = nlohmann::json::parse(*text, nullptr, false);
      if (!list.is_array()) return BadFile(path, "not a list");
      for (const auto& key : list) {
        if (!key.is_string()) return BadFile(path, "a key that is no text");
        const absl::StatusOr<std::string> parsed = ParseKey(key.get<std::string>());
        if (!parsed.ok())
          return BadFile(path, absl::StrCat("a bad key: ", std::string(parsed.status().message())));
        RETURN_IF_ERROR(keyring.Install(*parsed));
      }
    }
  }
  if (!configured.empty()) {
    ASSIGN_OR_RETURN(std::string key, ParseKey(configured));
    // It may have been removed since.
    if (kept) return keyring;
    RETURN_IF_ERROR(keyring.Install(std::move(key)));
    if (!path.empty()) RETURN_IF_ERROR(SaveKeyring(path, keyring));
  }
  return keyring;
}

absl::Status SaveKeyring(const std::string& path, const Keyring& keyring) {
  JsonWriter json;
  json.BeginArray();
  for (const std::string& key : keyring.keys()) json.String(FormatKey(key));
  json.EndArray();
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) RETURN_IF_ERROR(CreateDirectories(path.substr(0, slash)));
  return ReplaceFile(path, json.Take() + "\n", 0600);
}

}  // namespace pharos::gossip
