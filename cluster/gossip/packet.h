// What is around messages in datagrams, from the outside in, each but the message optional: a
// label, encryption, a CRC, compression, and compound messages.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"
#include "cluster/gossip/keyring.h"
#include "cluster/gossip/messages.h"

namespace pharos::gossip {

inline constexpr size_t kDatagramOctetsMax = 65507;
inline constexpr size_t kLabelOctetsMax = 255;
// Of one compound message.
inline constexpr size_t kCompoundPartsMax = 255;

// How a pool protects its packets and streams.
struct Security {
  const Keyring* keyring = nullptr;  // Encryption is on where it has keys.
  std::string label = {};            // At most kLabelOctetsMax octets.
  // Off: what does not decrypt is taken as plain; plain is sent although there are keys. For
  // turning encryption on in a pool that runs.
  bool verify_incoming = true, verify_outgoing = true;
  bool label_is_stripped = false;  // Before it reaches us, so that none is expected.

  bool encrypts() const { return keyring != nullptr && !keyring->empty(); }
  // Of a packet, with what encryption and the label add.
  size_t overhead_octets() const;
};

using Nonce = std::array<uint8_t, kNonceOctets>;

// A datagram of a message (or compound message): compressed if that is shorter, with a CRC if
// `with_crc` says that the receiver knows it, encrypted and labelled as `security` says.
std::string SealPacket(Octets message, bool with_crc, const Nonce& nonce, const Security& security);

// Takes label and encryption off. Unauthenticated for what cannot be decrypted, InvalidArgument for
// a label that is not ours.
absl::StatusOr<std::string> OpenPacket(Octets datagram, const Security& security);

// Calls `handle` with each message of an opened packet, compound and compressed ones taken apart;
// whole parts are handled even if the last one is cut off. False if anything is malformed.
bool ForEachMessage(Octets packet, const std::function<void(Octets message)>& handle);

// One compound message of at most kCompoundPartsMax parts, each shorter than 64 KiB.
std::string MakeCompound(std::span<const std::string> parts);
// What a part costs in a compound message beside its octets, and the message itself.
inline constexpr size_t kCompoundPartOctets = 2, kCompoundHeadOctets = 2;

// A message of type kCompressed, whatever its length.
std::string Compress(Octets message);
// What a message of type kCompressed holds.
absl::StatusOr<std::string> Decompress(Octets message, size_t octets_max);

}  // namespace pharos::gossip
