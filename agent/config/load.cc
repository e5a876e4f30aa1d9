#include "agent/config/load.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/config/hcl.h"
#include "agent/config/json_reader.h"
#include "agent/config/map_builder.h"
#include "agent/config/merge.h"
#include "agent/config/schema.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

// The source of what -dev sets; no file's index is this one.
constexpr uint32_t kDevSource = 0;
constexpr std::string_view kDevDefaults = R"(
  bind_addr            = "127.0.0.1"
  server               = true
  log_level            = "DEBUG"
  disable_keyring_file = true
  enable_debug         = true
  ui_config   { enabled = true }
  connect     { enabled = true }
  ports       { grpc = 8502 }
  performance { raft_multiplier = 1 }
)";

// Reads sources one after the other and lays each over those before it.
class Sources {
 public:
  explicit Sources(const ConfigRequest& request) : request_(request), problems_(names_) {}

  void ReadAll() {
    names_.emplace_back("-dev");
    if (request_.dev_mode) Lay(ReadHcl(kDevDefaults, names_[kDevSource], kDevSource));
    for (const std::string& path : request_.paths) ReadPath(path);
    for (const std::string& text : request_.hcl) {
      const uint32_t source = AddName("-hcl");
      Lay(ReadHcl(text, names_[source], source));
    }
    for (const FlagSetting& setting : request_.flags) LayFlag(setting);
  }

  const Value& merged() const { return merged_; }
  const SourceNames& names() const { return names_; }
  Problems& problems() { return problems_; }
  std::vector<std::string>& warnings() { return warnings_; }

 private:
  uint32_t AddName(std::string name) {
    names_.push_back(std::move(name));
    return static_cast<uint32_t>(names_.size() - 1);
  }

  void Lay(const absl::StatusOr<Value>& tree) {
    if (!tree.ok()) {
      problems_.Add(std::string(tree.status().message()));
    } else {
      merged_ = Merge(std::move(merged_), CheckAgainstSchema(*tree, problems_));
    }
  }

  void ReadPath(const std::string& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return ReadFolder(path);
    if (!std::filesystem::exists(path, error)) {
      problems_.Add(absl::StrFormat("cannot read %s: No such file or directory", path));
      return;
    }
    if (FormatOf(path).empty()) {
      problems_.Add(absl::StrFormat(
          "%s: extension must be .hcl or .json, or config format must be set", path));
      return;
    }
    ReadOneFile(path);
  }

  void ReadFolder(const std::string& folder) {
    std::error_code error;
    std::vector<std::string> paths;
    std::filesystem::directory_iterator at(folder, error);
    for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
      std::error_code status_error;
      if (at->is_regular_file(status_error)) paths.push_back(at->path().string());
    }
    if (error) problems_.Add(absl::StrFormat("cannot read %s: %s", folder, error.message()));
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) {
      if (!FormatOf(path).empty()) {
        ReadOneFile(path);
      } else {
        warnings_.push_back(absl::StrFormat(
            "skipping file %s, extension must be .hcl or .json, or config format must be set",
            path));
      }
    }
  }

  void ReadOneFile(const std::string& path) {
    const absl::StatusOr<std::string> text = ReadFile(path, kConfigOctetsMax);
    if (!text.ok()) {
      problems_.Add(std::string(text.status().message()));
      return;
    }
    const uint32_t source = AddName(path);
    // HCL readers take JSON too, whatever the file is called.
    const size_t first = text->find_first_not_of(" \t\r\n");
    const bool is_json =
        FormatOf(path) == "json" || (first != std::string::npos && (*text)[first] == '{');
    Lay(is_json ? ReadJson(*text, path, source) : ReadHcl(*text, path, source));
  }

  // "hcl", "json", or empty for a file that is neither.
  std::string_view FormatOf(std::string_view path) const {
    if (!request_.format.empty()) return request_.format;
    if (path.ends_with(".hcl")) return "hcl";
    if (path.ends_with(".json")) return "json";
    return {};
  }

  void LayFlag(const FlagSetting& setting) {
    const uint32_t source = AddName(absl::StrFormat("flag %s", setting.flag));
    Value value = setting.value;
    SetSource(value, source);
    const std::vector<std::string> keys = absl::StrSplit(setting.path, '.');
    for (size_t i = keys.size(); i > 0; --i) {
      MapBuilder outer(Position{source, 0, 0});
      outer.Set(keys[i - 1], Position{source, 0, 0}, std::move(value));
      value = std::move(outer).Take();
    }
    Lay(std::move(value));
  }

  // A flag's value is at most a list or a map of texts.
  static void SetSource(Value& value, uint32_t source) {
    value.at = Position{source, 0, 0};
    for (Value& element : value.list) element.at = value.at;
    for (Entry& entry : value.map) entry.at = entry.value.at = value.at;
  }

  const ConfigRequest& request_;
  SourceNames names_;
  Problems problems_;
  std::vector<std::string> warnings_;
  Value merged_ = Value::Map({});
};

// The keys that someone set (not -dev) and nothing uses.
std::vector<std::string> NoEffectKeys(const Value& tree, std::vector<std::string> of_definitions) {
  std::vector<std::string> keys = std::move(of_definitions);
  for (const Key& key : ConfigKeys()) {
    const Value* value = tree.FindPath(key.path);
    if (key.effect == Effect::kNone && value != nullptr && value->at.source != kDevSource) {
      keys.emplace_back(key.path);
    }
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace

Machine ReadMachine() {
  Machine machine;
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0) machine.host_name = name;
  absl::StatusOr<std::vector<InterfaceAddress>> interfaces = ReadInterfaceAddresses();
  if (interfaces.ok()) machine.interfaces = *std::move(interfaces);
  return machine;
}

absl::StatusOr<LoadedConfig> LoadConfig(const ConfigRequest& request, const Machine& machine) {
  if (!request.format.empty() && request.format != "hcl" && request.format != "json") {
    return absl::InvalidArgumentError(
        absl::StrFormat("-config-format is \"%s\"; expected hcl or json", request.format));
  }
  Sources sources(request);
  sources.ReadAll();
  // With a file that could not be read, what is missing would only be a second complaint.
  RETURN_IF_ERROR(sources.problems().ToStatus());

  LoadedConfig loaded;
  BuildNotes notes;
  loaded.config = BuildConfig(sources.merged(), sources.names(), machine, request.dev_mode,
                              sources.problems(), notes);
  RETURN_IF_ERROR(sources.problems().ToStatus());
  loaded.warnings = std::move(sources.warnings());
  loaded.warnings.insert(loaded.warnings.end(), notes.warnings.begin(), notes.warnings.end());
  loaded.no_effect_keys = NoEffectKeys(sources.merged(), std::move(notes.no_effect_keys));
  loaded.settings = sources.merged();
  return loaded;
}

std::vector<std::string> KeysThatNeedRestart(const LoadedConfig& running,
                                             const LoadedConfig& fresh) {
  std::vector<std::string> keys;
  for (const Key& key : ConfigKeys()) {
    if (key.change == Change::kReload || key.effect == Effect::kNone) continue;
    const Value* before = running.settings.FindPath(key.path);
    const Value* after = fresh.settings.FindPath(key.path);
    const bool same =
        before == nullptr || after == nullptr ? before == after : SameContent(*before, *after);
    if (!same) keys.emplace_back(key.path);
  }
  return keys;
}

}  // namespace pharos::agent
