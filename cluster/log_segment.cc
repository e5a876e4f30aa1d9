#include "cluster/log_segment.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace pharos::cluster {
namespace {

constexpr uint64_t kFormat = 1;
constexpr size_t kFormatOctets = 8;
constexpr size_t kChecksumsOctets = 8;
constexpr size_t kCountOctets = 8;
constexpr size_t kEntryHeaderOctets = 16;
constexpr size_t kAlignment = 8;
// What libraft writes at one time is far below this; without a bound, octets that are no batch
// would be read again and again.
constexpr uint64_t kBatchEntriesMax = 4096;
constexpr size_t kSegmentOctetsMax = size_t{16} << 20;
constexpr std::string_view kOpenPrefix = "open-";

uint32_t LoadLittle32(const uint8_t* at) {
  return uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24;
}
uint64_t LoadLittle64(const uint8_t* at) {
  return LoadLittle32(at) | uint64_t{LoadLittle32(at + 4)} << 32;
}

// libraft's: the polynomial of Ethernet, the highest bit first, without inversions.
uint32_t Crc(Octets octets) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i << 24;
      for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ (crc >> 31 != 0 ? 0x04c11db7 : 0);
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = 0;
  for (const uint8_t octet : octets) crc = crc << 8 ^ kTable[(crc >> 24 ^ octet) & 255];
  return crc;
}

// The octets of the whole batch that begins at `segment`; nullopt if none does.
std::optional<size_t> BatchOctets(Octets segment) {
  if (segment.size() < kChecksumsOctets + kCountOctets) return std::nullopt;
  const uint64_t count = LoadLittle64(&segment[kChecksumsOctets]);
  if (count == 0 || count > kBatchEntriesMax) return std::nullopt;
  const size_t header_octets = kCountOctets + count * kEntryHeaderOctets;
  if (segment.size() - kChecksumsOctets < header_octets) return std::nullopt;
  const Octets header = segment.subspan(kChecksumsOctets, header_octets);
  uint64_t data_octets = 0;
  for (size_t i = 0; i < count; ++i) {
    data_octets += LoadLittle32(&header[kCountOctets + i * kEntryHeaderOctets + 12]);
  }
  const Octets rest = segment.subspan(kChecksumsOctets + header_octets);
  if (rest.size() < data_octets || Crc(header) != LoadLittle32(&segment[0]) ||
      Crc(rest.first(data_octets)) != LoadLittle32(&segment[4])) {
    return std::nullopt;
  }
  return kChecksumsOctets + header_octets + data_octets;
}

}  // namespace

SegmentState InspectSegment(Octets segment) {
  SegmentState state;
  // Of another form, libraft says so itself.
  if (segment.size() < kFormatOctets || LoadLittle64(segment.data()) != kFormat) return state;
  state.end_octets = kFormatOctets;
  while (const std::optional<size_t> octets = BatchOctets(segment.subspan(state.end_octets))) {
    state.has_entries = true;
    state.end_octets += *octets;
  }
  const Octets rest = segment.subspan(state.end_octets);
  if (std::all_of(rest.begin(), rest.end(), [](uint8_t octet) { return octet == 0; })) return state;
  state.end = SegmentState::End::kCut;
  for (size_t at = kAlignment; at < rest.size(); at += kAlignment) {
    if (!BatchOctets(rest.subspan(at))) continue;
    state.end = SegmentState::End::kDamaged;
    break;
  }
  return state;
}

absl::Status CheckOpenSegments(const std::string& directory) {
  std::map<uint64_t, std::string> names;  // In the order in which they were written.
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = file.path().filename();
    uint64_t number = 0;
    if (name.starts_with(kOpenPrefix) && absl::SimpleAtoi(name.substr(kOpenPrefix.size()), &number))
      names[number] = name;
  }
  std::string cut;
  for (const auto& [number, name] : names) {
    ASSIGN_OR_RETURN(const std::string octets,
                     ReadFile(absl::StrCat(directory, "/", name), kSegmentOctetsMax));
    const SegmentState state = InspectSegment(AsOctets(octets));
    if (!cut.empty() && state.has_entries) {
      return absl::DataLossError(
          absl::StrFormat("the end of %s cannot be read, and entries follow in %s", cut, name));
    }
    if (state.end == SegmentState::End::kDamaged) {
      return absl::DataLossError(absl::StrFormat(
          "%s cannot be read at octet %d, and entries follow", name, state.end_octets));
    }
    if (state.end == SegmentState::End::kCut) cut = name;
  }
  return absl::OkStatus();
}

absl::Status UndoTruncation(const std::string& directory) {
  std::map<uint64_t, std::map<uint64_t, std::filesystem::path>> segments;  // By first and last.
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory, error)) {
    const std::pair<std::string, std::string> ends =
        absl::StrSplit(file.path().filename().string(), absl::MaxSplits('-', 1));
    uint64_t first = 0, last = 0;
    if (absl::SimpleAtoi(ends.first, &first) && absl::SimpleAtoi(ends.second, &last)) {
      segments[first][last] = file.path();
    }
  }
  for (auto& [first, by_last] : segments) {
    while (by_last.size() > 1) {
      const std::filesystem::path& shorter = by_last.begin()->second;
      PHAROS_LOG(kWarn, "agent.raft", "%s is left of a change that a crash cut short: removed",
                 shorter.string());
      if (!std::filesystem::remove(shorter, error)) {
        return absl::InternalError(
            absl::StrFormat("cannot remove %s: %s", shorter.string(), error.message()));
      }
      by_last.erase(by_last.begin());
    }
  }
  return absl::OkStatus();
}

}  // namespace pharos::cluster
