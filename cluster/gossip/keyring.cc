#include "cluster/gossip/keyring.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::gossip {
namespace {

constexpr size_t kBlockOctets = 16;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

bool IsKeySize(size_t octets) { return octets == 16 || octets == 24 || octets == 32; }

absl::Status KeySizeError(size_t octets) {
  return absl::InvalidArgumentError(
      absl::StrFormat("it has %d octets; expected 16, 24 or 32", octets));
}

// Fetched once for the process: OpenSSL 3 looks a cipher up by name each time otherwise.
const EVP_CIPHER* CipherFor(size_t key_octets) {
  static const EVP_CIPHER* const kCiphers[] = {EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr),
                                               EVP_CIPHER_fetch(nullptr, "AES-192-GCM", nullptr),
                                               EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)};
  return kCiphers[(key_octets - 16) / 8];
}

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

int Int(size_t octets) { return static_cast<int>(octets); }

std::optional<std::string> DecryptWith(std::string_view key, Octets nonce, Octets cipher_text,
                                       Octets tag, Octets additional) {
  const Context context(EVP_CIPHER_CTX_new());
  CHECK(EVP_DecryptInit_ex(context.get(), CipherFor(key.size()), nullptr, Bytes(key),
                           nonce.data()) == 1);
  std::array<uint8_t, kTagOctets> tag_copy;
  std::copy(tag.begin(), tag.end(), tag_copy.begin());
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagOctets, tag_copy.data()) == 1);
  int written = 0;
  if (!additional.empty()) {
    CHECK(EVP_DecryptUpdate(context.get(), nullptr, &written, additional.data(),
                            Int(additional.size())) == 1);
  }
  std::string plain(cipher_text.size(), '\0');
  auto* const out = reinterpret_cast<uint8_t*>(plain.data());
  CHECK(EVP_DecryptUpdate(context.get(), out, &written, cipher_text.data(),
                          Int(cipher_text.size())) == 1);
  if (EVP_DecryptFinal_ex(context.get(), out + written, &written) != 1) return std::nullopt;
  return plain;
}

}  // namespace

absl::StatusOr<std::string> ParseKey(std::string_view base64) {
  std::string key;
  if (!absl::Base64Unescape(absl::string_view(base64.data(), base64.size()), &key)) {
    return absl::InvalidArgumentError("it is not base64");
  }
  if (!IsKeySize(key.size())) return KeySizeError(key.size());
  return key;
}

std::string FormatKey(std::string_view key) {
  return absl::Base64Escape(absl::string_view(key.data(), key.size()));
}

Keyring::Keyring(std::vector<std::string> keys) {
  for (std::string& key : keys) CHECK(Install(std::move(key)).ok());
}

absl::Status Keyring::Install(std::string key) {
  if (!IsKeySize(key.size())) return KeySizeError(key.size());
  if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) keys_.push_back(std::move(key));
  return absl::OkStatus();
}

absl::Status Keyring::Use(std::string_view key) {
  const auto found = std::find(keys_.begin(), keys_.end(), key);
  if (found == keys_.end()) {
    return absl::NotFoundError("the key is not in the keyring; install it first");
  }
  std::rotate(keys_.begin(), found, found + 1);
  return absl::OkStatus();
}

absl::Status Keyring::Remove(std::string_view key) {
  if (!keys_.empty() && keys_[0] == key) {
    return absl::FailedPreconditionError(
        "removing the primary key is not allowed; use another one first");
  }
  keys_.erase(std::remove(keys_.begin(), keys_.end(), key), keys_.end());
  return absl::OkStatus();
}

std::string Keyring::Encrypt(EncryptionVersion version,
                             const std::array<uint8_t, kNonceOctets>& nonce, Octets plain,
                             Octets additional) const {
  CHECK(!empty());
  std::string padded;
  if (version == EncryptionVersion::kPadded) {  // PKCS #7 (RFC 5652 section 6.3).
    const size_t padding = kBlockOctets - plain.size() % kBlockOctets;
    padded.assign(AsText(plain));
    padded.append(padding, static_cast<char>(padding));
    plain = AsOctets(padded);
  }
  std::string blob(1 + kNonceOctets + plain.size() + kTagOctets, '\0');
  auto* const out = reinterpret_cast<uint8_t*>(blob.data());
  out[0] = static_cast<uint8_t>(version);
  std::copy(nonce.begin(), nonce.end(), out + 1);
  uint8_t* const cipher_text = out + 1 + kNonceOctets;

  const Context context(EVP_CIPHER_CTX_new());
  CHECK(EVP_EncryptInit_ex(context.get(), CipherFor(keys_[0].size()), nullptr, Bytes(keys_[0]),
                           nonce.data()) == 1);
  int written = 0;
  if (!additional.empty()) {
    CHECK(EVP_EncryptUpdate(context.get(), nullptr, &written, additional.data(),
                            Int(additional.size())) == 1);
  }
  CHECK(EVP_EncryptUpdate(context.get(), cipher_text, &written, plain.data(), Int(plain.size())) ==
        1);
  CHECK(EVP_EncryptFinal_ex(context.get(), cipher_text + written, &written) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagOctets,
                            cipher_text + plain.size()) == 1);
  return blob;
}

std::optional<std::string> Keyring::Decrypt(Octets blob, Octets additional) const {
  if (blob.size() < kEncryptionOctets || blob[0] > 1) return std::nullopt;
  const bool padded = blob[0] == static_cast<uint8_t>(EncryptionVersion::kPadded);
  if (padded && blob.size() < kEncryptionOctets + kBlockOctets) return std::nullopt;
  const Octets nonce = blob.subspan(1, kNonceOctets);
  const Octets tag = blob.last(kTagOctets);
  const Octets cipher_text = blob.subspan(1 + kNonceOctets, blob.size() - kEncryptionOctets);
  for (const std::string& key : keys_) {
    std::optional<std::string> plain = DecryptWith(key, nonce, cipher_text, tag, additional);
    if (!plain) continue;
    if (!padded) return plain;
    const size_t padding = static_cast<uint8_t>(plain->back());
    if (padding < 1 || padding > kBlockOctets || padding > plain->size()) return std::nullopt;
    plain->resize(plain->size() - padding);
    return plain;
  }
  return std::nullopt;
}

}  // namespace pharos::gossip
