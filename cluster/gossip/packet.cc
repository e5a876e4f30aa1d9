#include "cluster/gossip/packet.h"

#include <zlib.h>

#include <optional>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "cluster/gossip/lzw.h"

namespace pharos::gossip {
namespace {

constexpr size_t kCrcOctets = 5;
constexpr int kNestingMax = 4;
constexpr size_t kPlainOctetsMax = 1 << 20;

MessageType TypeOf(Octets message) { return static_cast<MessageType>(message[0]); }

uint32_t Crc32(Octets octets) {
  return static_cast<uint32_t>(crc32(0, octets.data(), static_cast<uInt>(octets.size())));
}

bool TakeApart(Octets message, int nesting, const std::function<void(Octets)>& handle);

bool TakeCompoundApart(Octets message, int nesting, const std::function<void(Octets)>& handle) {
  ByteReader lengths(message, 1);
  const size_t count = lengths.U8();
  const Octets table = lengths.Take(2 * count);
  if (!lengths.ok()) return false;
  ByteReader parts(message, lengths.offset());
  bool good = true;
  for (size_t i = 0; i < count; ++i) {
    const Octets part = parts.Take(LoadU16(&table[2 * i]));
    if (!parts.ok()) return false;
    good &= TakeApart(part, nesting - 1, handle);
  }
  return good;
}

bool TakeApart(Octets message, int nesting, const std::function<void(Octets)>& handle) {
  if (message.empty() || nesting == 0) return false;
  if (TypeOf(message) == MessageType::kCompound) {
    return TakeCompoundApart(message, nesting, handle);
  }
  if (TypeOf(message) == MessageType::kCompressed) {
    const absl::StatusOr<std::string> plain = Decompress(message, kPlainOctetsMax);
    return plain.ok() && TakeApart(AsOctets(*plain), nesting - 1, handle);
  }
  handle(message);
  return true;
}

absl::StatusOr<Octets> TakeLabelOff(Octets datagram, const Security& security) {
  std::string_view label;
  if (!datagram.empty() && TypeOf(datagram) == MessageType::kLabel) {
    ByteReader reader(datagram, 1);
    label = AsText(reader.Take(reader.U8()));
    if (!reader.ok() || label.empty()) {
      return absl::InvalidArgumentError("malformed label");
    }
    datagram = datagram.subspan(reader.offset());
  }
  const std::string_view wanted =
      security.label_is_stripped ? std::string_view() : std::string_view(security.label);
  if (label != wanted) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the label is \"%s\"; expected \"%s\"", label, wanted));
  }
  return datagram;
}

}  // namespace

size_t Security::overhead_octets() const {
  return (encrypts() && verify_outgoing ? kEncryptionOctets : 0) +
         (label.empty() ? 0 : 2 + label.size());
}

std::string Compress(Octets message) {
  return EncodeMessage(MessageType::kCompressed,
                       Compressed{.algorithm = 0, .octets = LzwCompress(message)});
}

absl::StatusOr<std::string> Decompress(Octets message, size_t octets_max) {
  const std::optional<Compressed> read = DecodeRecord<Compressed>(message.subspan(1));
  if (!read) return absl::InvalidArgumentError("malformed compressed message");
  if (read->algorithm != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("compressed by algorithm %d; expected 0", read->algorithm));
  }
  return LzwDecompress(AsOctets(read->octets), octets_max);
}

std::string MakeCompound(std::span<const std::string> parts) {
  CHECK(parts.size() <= kCompoundPartsMax);
  std::string message = {static_cast<char>(MessageType::kCompound),
                         static_cast<char>(parts.size())};
  for (const std::string& part : parts) {
    CHECK(part.size() <= 0xffff);
    message.push_back(static_cast<char>(part.size() >> 8));
    message.push_back(static_cast<char>(part.size()));
  }
  for (const std::string& part : parts) message += part;
  return message;
}

std::string SealPacket(Octets message, bool with_crc, const Nonce& nonce,
                       const Security& security) {
  std::string packet = Compress(message);
  if (packet.size() >= message.size()) packet.assign(AsText(message));
  if (with_crc) {
    uint8_t head[kCrcOctets] = {static_cast<uint8_t>(MessageType::kCrc)};
    StoreU32(head + 1, Crc32(AsOctets(packet)));
    packet.insert(0, AsText(head));
  }
  if (security.encrypts() && security.verify_outgoing) {
    packet = security.keyring->Encrypt(EncryptionVersion::kPlain, nonce, AsOctets(packet),
                                       AsOctets(security.label));
  }
  if (security.label.empty()) return packet;
  std::string labelled = {static_cast<char>(MessageType::kLabel),
                          static_cast<char>(security.label.size())};
  return labelled + security.label + packet;
}

absl::StatusOr<std::string> OpenPacket(Octets datagram, const Security& security) {
  ASSIGN_OR_RETURN(const Octets packet, TakeLabelOff(datagram, security));
  if (!security.encrypts()) return std::string(AsText(packet));
  std::optional<std::string> plain = security.keyring->Decrypt(packet, AsOctets(security.label));
  if (plain) return *std::move(plain);
  if (!security.verify_incoming) return std::string(AsText(packet));
  return absl::UnauthenticatedError("no key of ours decrypts the packet");
}

bool ForEachMessage(Octets packet, const std::function<void(Octets message)>& handle) {
  if (packet.size() >= kCrcOctets && TypeOf(packet) == MessageType::kCrc) {
    const uint32_t wanted = LoadU32(&packet[1]);
    packet = packet.subspan(kCrcOctets);
    if (Crc32(packet) != wanted) return false;
  }
  return TakeApart(packet, kNestingMax, handle);
}

}  // namespace pharos::gossip
