#include "cluster/state_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "cluster/image_file.h"
#include "registry/image.h"

namespace pharos::cluster {
namespace {

constexpr uint32_t kEntryMagic = 0x50480001;  // "PH", form 1.
constexpr uint32_t kEntryFamily = 0x50480000;
constexpr size_t kEntryHeaderOctets = 8;
constexpr size_t kEntryAlignment = 8;
constexpr size_t kRestoreOctetsMax = size_t{2} << 30;

constexpr char kUpgrade[] =
    "the log holds a change at index %d that this version of Pharos does not know; it was made by "
    "a "
    "newer one. Upgrade this server";

bool IsKnown(const catalog::v1::Command& command) {
  if (command.change_case() == catalog::v1::Command::CHANGE_NOT_SET) return false;
  return std::all_of(command.batch().commands().begin(), command.batch().commands().end(), IsKnown);
}

}  // namespace

std::string EncodeEntry(const log::v1::Entry& entry) {
  std::string octets(kEntryHeaderOctets, '\0');
  CHECK(entry.AppendToString(&octets));
  auto* const header = reinterpret_cast<uint8_t*>(octets.data());
  StoreU32(header, kEntryMagic);
  StoreU32(header + 4, static_cast<uint32_t>(octets.size() - kEntryHeaderOctets));
  octets.append((kEntryAlignment - octets.size() % kEntryAlignment) % kEntryAlignment, '\0');
  return octets;
}

absl::StatusOr<log::v1::Entry> DecodeEntry(Octets octets) {
  if (octets.size() < kEntryHeaderOctets) return absl::DataLossError("an entry is cut short");
  const uint32_t magic = LoadU32(octets.data());
  if (magic != kEntryMagic) {
    if ((magic & 0xffff0000) != kEntryFamily) {
      return absl::DataLossError("an entry of the log is none of Pharos");
    }
    return absl::FailedPreconditionError(absl::StrFormat(
        "an entry of the log has form %d; this version of Pharos knows form 1. Upgrade this server",
        magic & 0xffff));
  }
  const uint32_t size = LoadU32(octets.data() + 4);
  if (size > octets.size() - kEntryHeaderOctets) {
    return absl::DataLossError("an entry of the log is shorter than it says");
  }
  log::v1::Entry entry;
  if (!entry.ParseFromArray(octets.data() + kEntryHeaderOctets, static_cast<int>(size))) {
    return absl::DataLossError("an entry of the log cannot be read");
  }
  return entry;
}

StateMachine::StateMachine(std::string datacenter)
    : catalog_(std::make_unique<registry::Catalog>(std::move(datacenter))),
      published_(catalog_->MakeSnapshot()) {}

absl::StatusOr<std::vector<absl::Status>> StateMachine::Apply(uint64_t index,
                                                              const log::v1::Entry& entry) {
  for (const catalog::v1::Command& command : entry.commands()) {
    if (!IsKnown(command)) {
      return absl::FailedPreconditionError(absl::StrFormat(kUpgrade, index));
    }
  }
  last_index_ = std::max(last_index_, index);
  if (!entry.cluster_id().empty() && cluster_id_.empty()) cluster_id_ = entry.cluster_id();
  std::vector<absl::Status> outcomes;
  outcomes.reserve(static_cast<size_t>(entry.commands_size()));
  for (const catalog::v1::Command& command : entry.commands()) {
    outcomes.push_back(catalog_->Apply(index, command));
  }
  if (entry.has_restore()) outcomes.push_back(TakePart(index, entry.restore()));
  if (entry.has_set_autopilot()) outcomes.push_back(SetAutopilot(index, entry.set_autopilot()));
  unpublished_ = true;
  return outcomes;
}

absl::Status StateMachine::SetAutopilot(uint64_t index, const log::v1::SetAutopilot& change) {
  if (change.check() && change.check_index() != autopilot_.modify_index()) {
    return absl::AbortedError("the configuration of autopilot was changed meanwhile");
  }
  const uint64_t created = autopilot_.create_index() == 0 ? index : autopilot_.create_index();
  autopilot_ = change.autopilot();
  autopilot_.set_create_index(created);
  autopilot_.set_modify_index(index);
  return absl::OkStatus();
}

absl::Status StateMachine::TakePart(uint64_t index, const log::v1::RestorePart& part) {
  if (part.number() == 0) restore_.clear();
  const bool fits =
      part.number() == restore_.size() && (restore_.empty() || restore_.front().id() == part.id());
  if (!fits) {
    return absl::AbortedError("another restoration began meanwhile; this one was given up");
  }
  size_t octets = part.data().size();
  for (const log::v1::RestorePart& each : restore_) octets += each.data().size();
  if (octets > kRestoreOctetsMax) {
    restore_.clear();
    return absl::AbortedError("the catalog to be restored is too large");
  }
  restore_.push_back(part);
  if (!part.last()) return absl::OkStatus();
  std::string image;
  for (const log::v1::RestorePart& each : restore_) image += each.data();
  restore_.clear();
  ASSIGN_OR_RETURN(ReadImage read, Read(AsOctets(image), index));
  // The log goes on, and indexes with it: clients that wait must see them grow.
  read.catalog->MoveTo(index);
  Replace(std::move(read.catalog));
  return absl::OkStatus();
}

const registry::Changes& StateMachine::Publish() {
  published_.Publish(catalog_->MakeSnapshot());
  unpublished_ = false;
  return catalog_->changes();
}

std::function<std::vector<std::string>()> StateMachine::TakeImage(uint64_t term,
                                                                  int64_t time_unix_ms) {
  CHECK(!unpublished_);
  log::v1::ImageInfo info;
  info.set_cluster_id(cluster_id_);
  info.set_index(last_index_);
  info.set_term(term);
  info.set_time_unix_ms(time_unix_ms);
  *info.mutable_autopilot() = autopilot_;
  for (const log::v1::RestorePart& part : restore_) *info.add_restore() = part;
  const Published<registry::Snapshot>::ReadGuard guard(published_);
  auto pin = std::make_shared<Published<registry::Snapshot>::Pin>(guard);
  return [info = std::move(info), pin = std::move(pin)] {
    ImageFileWriter writer;
    writer.Add(info.SerializeAsString());
    registry::WriteImage(**pin, [&writer](std::string chunk) { writer.Add(std::move(chunk)); });
    return writer.Finish();
  };
}

absl::StatusOr<StateMachine::ReadImage> StateMachine::Read(Octets image, uint64_t index_max) {
  ReadImage read;
  registry::ImageReader reader(index_max);
  bool first = true;
  RETURN_IF_ERROR(ReadImageFile(image, [&](std::string_view block) {
    if (!std::exchange(first, false)) return reader.Add(block);
    return read.info.ParseFromArray(block.data(), static_cast<int>(block.size()))
               ? absl::OkStatus()
               : absl::DataLossError("the beginning of the catalog image cannot be read");
  }));
  ASSIGN_OR_RETURN(read.catalog, reader.Finish());
  read.header = reader.header();
  return read;
}

absl::Status StateMachine::Restore(Octets image) {
  ASSIGN_OR_RETURN(ReadImage read, Read(image, UINT64_MAX));
  cluster_id_ = read.info.cluster_id();
  last_index_ = std::max<uint64_t>(read.info.index(), 1);
  autopilot_ = read.info.autopilot();
  restore_.assign(read.info.restore().begin(), read.info.restore().end());
  Replace(std::move(read.catalog));
  return absl::OkStatus();
}

absl::StatusOr<StateMachine::Contents> StateMachine::Check(Octets image) {
  ASSIGN_OR_RETURN(ReadImage read, Read(image, UINT64_MAX));
  return Contents{.info = std::move(read.info), .header = std::move(read.header)};
}

void StateMachine::Replace(std::unique_ptr<registry::Catalog> catalog) {
  {
    const Published<registry::Snapshot>::ReadGuard before(published_);
    catalog->Supersede(*before);
  }
  catalog_ = std::move(catalog);
  unpublished_ = true;
}

}  // namespace pharos::cluster
