// The keys of a pool, and packets and streams encrypted with them: AES in GCM mode (NIST SP
// 800-38D).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"

namespace pharos::gossip {

// What an encrypted blob begins with. kPadded is what members of protocol version 1 write.
enum class EncryptionVersion : uint8_t { kPadded = 0, kPlain = 1 };

inline constexpr size_t kNonceOctets = 12;
inline constexpr size_t kTagOctets = 16;
// What encryption with kPlain adds.
inline constexpr size_t kEncryptionOctets = 1 + kNonceOctets + kTagOctets;

// A key in standard base64, as configurations and files have it. InvalidArgument for anything but
// 16, 24 or 32 octets; the message does not show the key.
absl::StatusOr<std::string> ParseKey(std::string_view base64);
std::string FormatKey(std::string_view key);

// Distinct keys in order; the first, primary one encrypts, all decrypt. One thread.
class Keyring {
 public:
  // `keys` as ParseKey gives them.
  explicit Keyring(std::vector<std::string> keys = {});

  bool empty() const { return keys_.empty(); }
  const std::vector<std::string>& keys() const { return keys_; }

  // InvalidArgument for a bad length. A key that is there already stays where it is.
  absl::Status Install(std::string key);
  // Makes an installed key the primary one; NotFound if it is not installed.
  absl::Status Use(std::string_view key);
  // FailedPrecondition for the primary key; one that is not there is no error.
  absl::Status Remove(std::string_view key);

  // `additional` is authenticated and not part of the blob. The ring must have a key.
  std::string Encrypt(EncryptionVersion version, const std::array<uint8_t, kNonceOctets>& nonce,
                      Octets plain, Octets additional) const;
  // What was encrypted with any of the keys; nullopt for anything else.
  std::optional<std::string> Decrypt(Octets blob, Octets additional) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace pharos::gossip
