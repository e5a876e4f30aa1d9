#include "agent/local/store.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "http/shapes.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

constexpr size_t kFileOctetsMax = size_t{64} << 20;
constexpr const char* kTtlFolder = "/checks/state";

registry::Health HealthOf(const std::string& name) {
  if (name == "passing") return registry::Health::kPassing;
  if (name == "warning") return registry::Health::kWarning;
  return registry::Health::kCritical;
}

// {"ID": ..., "Body": ...}
std::string Encode(const std::string& id, std::string_view body) {
  JsonWriter writer(JsonWriter::Style::kIndented);
  writer.BeginObject();
  writer.Field("ID", id);
  writer.Field("Body", body);
  writer.EndObject();
  return writer.Take();
}

std::optional<KeptRegistration> Decode(const std::string& text) {
  const json value = json::parse(text, nullptr, false);
  if (!value.is_object() || !value.contains("ID") || !value["ID"].is_string() ||
      !value.contains("Body") || !value["Body"].is_string()) {
    return std::nullopt;
  }
  return KeptRegistration{value["ID"].get<std::string>(), value["Body"].get<std::string>()};
}

}  // namespace

std::string Store::FolderOf(Kept kept) const {
  switch (kept) {
    case Kept::kService:
      return data_dir_ + "/services";
    case Kept::kCheck:
      return data_dir_ + "/checks";
    case Kept::kLease:
      return data_dir_ + "/leases";
    case Kept::kMaintenance:
      break;
  }
  return data_dir_ + "/maintenance";
}

// An id may hold any octets and be long, so a file is named for its hash.
std::string Store::PathOf(const std::string& folder, const std::string& id) const {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(id.data()), id.size(), digest.data());
  const absl::string_view octets(reinterpret_cast<const char*>(digest.data()), digest.size());
  return absl::StrCat(folder, "/", absl::BytesToHexString(octets), ".json");
}

absl::Status Store::Put(Kept kept, const std::string& id, std::string_view body) {
  if (data_dir_.empty()) return absl::OkStatus();
  const std::string folder = FolderOf(kept);
  if (kept == Kept::kLease) {
    const std::string path = PathOf(folder, id);
    absl::Status put = ReplaceFileLoosely(path, Encode(id, body));
    if (!absl::IsNotFound(put)) return put;
    RETURN_IF_ERROR(CreateDirectories(folder));
    return ReplaceFileLoosely(path, Encode(id, body));
  }
  RETURN_IF_ERROR(CreateDirectories(folder));
  return ReplaceFile(PathOf(folder, id), Encode(id, body));
}

absl::Status Store::Remove(Kept kept, const std::string& id) {
  if (data_dir_.empty()) return absl::OkStatus();
  const std::string folder = FolderOf(kept);
  std::error_code none;
  if (kept == Kept::kLease) {
    std::filesystem::remove(PathOf(folder, id), none);
    return absl::OkStatus();
  }
  if (!std::filesystem::exists(folder)) return absl::OkStatus();
  return RemoveFile(PathOf(folder, id));
}

std::vector<KeptRegistration> Store::Load(Kept kept) const {
  std::vector<KeptRegistration> found;
  std::error_code none;
  if (data_dir_.empty()) return found;
  for (const auto& file : std::filesystem::directory_iterator(FolderOf(kept), none)) {
    const std::string path = file.path().string();
    if (!path.ends_with(".json")) continue;
    const absl::StatusOr<std::string> text = ReadFile(path, kFileOctetsMax);
    std::optional<KeptRegistration> kept_registration = text.ok() ? Decode(*text) : std::nullopt;
    if (kept_registration) {
      found.push_back(*std::move(kept_registration));
    } else {
      PHAROS_LOG(kError, "agent",
                 "%s cannot be read and its registration is left out: %s. Expected a file that "
                 "this agent wrote; remove it, or register again",
                 path, text.ok() ? "it is no JSON of ours" : std::string(text.status().message()));
    }
  }
  std::sort(found.begin(), found.end(),
            [](const KeptRegistration& a, const KeptRegistration& b) { return a.id < b.id; });
  return found;
}

void Store::PutTtl(const std::string& id, const KeptTtl& ttl) {
  if (data_dir_.empty()) return;
  const std::string folder = data_dir_ + kTtlFolder;
  JsonWriter writer;
  writer.BeginObject();
  writer.Field("CheckID", id);
  writer.Field("Status", http::HealthName(ttl.status));
  writer.Field("Output", ttl.output);
  writer.IntField("ExpiresUnixMs", absl::ToUnixMillis(ttl.deadline));
  writer.EndObject();
  absl::Status put = ReplaceFileLoosely(PathOf(folder, id), writer.Take());
  if (absl::IsNotFound(put) && CreateDirectories(folder).ok()) return PutTtl(id, ttl);
  if (!put.ok()) PHAROS_LOG(kError, "agent", "%s", std::string(put.message()));
}

void Store::RemoveTtl(const std::string& id) {
  std::error_code none;
  if (!data_dir_.empty()) std::filesystem::remove(PathOf(data_dir_ + kTtlFolder, id), none);
}

std::optional<KeptTtl> Store::LoadTtl(const std::string& id) const {
  if (data_dir_.empty()) return std::nullopt;
  const absl::StatusOr<std::string> text =
      ReadFile(PathOf(data_dir_ + kTtlFolder, id), kFileOctetsMax);
  if (!text.ok()) return std::nullopt;
  const json value = json::parse(*text, nullptr, false);
  if (!value.is_object() || value.value("CheckID", "") != id) return std::nullopt;
  return KeptTtl{.status = HealthOf(value.value("Status", "")),
                 .output = value.value("Output", ""),
                 .deadline = absl::FromUnixMillis(value.value("ExpiresUnixMs", int64_t{0}))};
}

}  // namespace pharos::agent
