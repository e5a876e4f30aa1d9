#include "cluster/gossip/stream.h"

#include <optional>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos::gossip {
namespace {

constexpr size_t kEncryptedHeadOctets = 5;
// A record that is longer than this is none of ours, so that waiting for its end is of no use.
constexpr size_t kRecordOctetsMax = 256 << 10;

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("malformed stream: %s", what));
}

}  // namespace

std::string SealStream(Octets message, StreamSide side, const Nonce& nonce,
                       const Security& security) {
  std::string stream = Compress(message);
  if (security.encrypts() && security.verify_outgoing) {
    uint8_t head[kEncryptedHeadOctets] = {static_cast<uint8_t>(MessageType::kEncrypted)};
    StoreU32(head + 1, static_cast<uint32_t>(stream.size() + kEncryptionOctets));
    const std::string additional = std::string(AsText(head)) + security.label;
    const std::string blob = security.keyring->Encrypt(EncryptionVersion::kPlain, nonce,
                                                       AsOctets(stream), AsOctets(additional));
    stream = std::string(AsText(head)) + blob;
  }
  if (side == StreamSide::kAcceptor || security.label.empty()) return stream;
  const std::string head = {static_cast<char>(MessageType::kLabel),
                            static_cast<char>(security.label.size())};
  return head + security.label + stream;
}

absl::StatusOr<bool> StreamReader::Feed(Octets octets) {
  buffer_.append(AsText(octets));
  ASSIGN_OR_RETURN(const bool labelled, TakeLabel());
  if (!labelled || buffer_.size() == begin_) return false;
  const auto type = static_cast<MessageType>(buffer_[begin_]);
  if (type == MessageType::kEncrypted) {
    if (!security_.encrypts()) {
      return absl::UnauthenticatedError("the stream is encrypted, and there is no key here");
    }
    return TakeEncrypted();
  }
  if (security_.encrypts() && security_.verify_incoming) {
    return absl::UnauthenticatedError("the stream is not encrypted, and it has to be");
  }
  if (buffer_.size() - begin_ > kMessageOctetsMax) return Malformed("it is too long");
  ASSIGN_OR_RETURN(const bool whole, IsWhole());
  if (whole) RETURN_IF_ERROR(Unpack(buffer_.substr(begin_)));
  return whole;
}

absl::StatusOr<bool> StreamReader::TakeLabel() {
  if (label_taken_) return true;
  if (buffer_.empty()) return false;
  std::string_view label;
  if (static_cast<MessageType>(buffer_[0]) == MessageType::kLabel) {
    if (buffer_.size() < 2) return false;
    const size_t size = static_cast<uint8_t>(buffer_[1]);
    if (buffer_.size() < 2 + size) return false;
    label = std::string_view(buffer_).substr(2, size);
    begin_ = 2 + size;
    if (size == 0) return Malformed("an empty label");
  }
  label_taken_ = true;
  const bool none = sender_ == StreamSide::kAcceptor || security_.label_is_stripped;
  const std::string_view wanted = none ? std::string_view() : std::string_view(security_.label);
  if (label != wanted) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the label is \"%s\"; expected \"%s\"", label, wanted));
  }
  return true;
}

absl::StatusOr<bool> StreamReader::TakeEncrypted() {
  const Octets stream = AsOctets(buffer_).subspan(begin_);
  if (stream.size() < kEncryptedHeadOctets) return false;
  const size_t size = LoadU32(&stream[1]);
  if (size > kBlobOctetsMax) {
    return Malformed(
        absl::StrFormat("%d encrypted octets; at most %d are taken", size, kBlobOctetsMax));
  }
  if (stream.size() < kEncryptedHeadOctets + size) return false;
  const std::string additional =
      std::string(AsText(stream.first(kEncryptedHeadOctets))) + security_.label;
  std::optional<std::string> plain =
      security_.keyring->Decrypt(stream.subspan(kEncryptedHeadOctets, size), AsOctets(additional));
  if (!plain) return absl::UnauthenticatedError("no key of ours decrypts the stream");
  RETURN_IF_ERROR(Unpack(*std::move(plain)));
  return true;
}

absl::StatusOr<bool> StreamReader::IsWhole() {
  const Octets stream = AsOctets(buffer_).subspan(begin_);
  const auto type = static_cast<MessageType>(stream[0]);
  if (type == MessageType::kPushPull) return IsWholePushPull();
  MsgPackReader reader(stream, 1);
  if (type == MessageType::kUser) {
    UserStreamHeader header;
    ReadValue(reader, header);
    if (reader.ok()) {
      if (header.octets > kMessageOctetsMax) return Malformed("a user message is too long");
      return reader.remaining() >= header.octets;
    }
  } else {
    reader.Skip();
    if (reader.ok()) return true;
  }
  // The octets of a compressed message are one value, which is not looked at until it is there.
  const size_t octets_max = type == MessageType::kCompressed ? kBlobOctetsMax : kRecordOctetsMax;
  if (!reader.cut_off() || stream.size() > octets_max) return Malformed("no message of ours");
  return false;
}

absl::StatusOr<bool> StreamReader::IsWholePushPull() {
  const Octets stream = AsOctets(buffer_).subspan(begin_);
  if (looked_at_ == 0) {
    MsgPackReader reader(stream, 1);
    PushPullHeader header;
    ReadValue(reader, header);
    if (!reader.ok()) {
      if (!reader.cut_off() || stream.size() > kRecordOctetsMax) return Malformed("push/pull");
      return false;
    }
    if (header.nodes > kPushPullNodesMax || header.user_state_octets > kUserStateOctetsMax) {
      return Malformed("a push/pull is too long");
    }
    looked_at_ = reader.offset();
    nodes_left_ = header.nodes;
    user_state_octets_ = header.user_state_octets;
  }
  for (; nodes_left_ > 0; --nodes_left_) {
    MsgPackReader reader(stream, looked_at_);
    reader.Skip();
    if (!reader.ok()) {
      if (!reader.cut_off() || stream.size() - looked_at_ > kRecordOctetsMax) {
        return Malformed("a node of a push/pull");
      }
      return false;
    }
    looked_at_ = reader.offset();
  }
  return stream.size() - looked_at_ >= user_state_octets_;
}

absl::Status StreamReader::Unpack(std::string content) {
  if (!content.empty() && static_cast<MessageType>(content[0]) == MessageType::kCompressed) {
    ASSIGN_OR_RETURN(content, Decompress(AsOctets(content), kMessageOctetsMax));
  }
  if (content.empty()) return Malformed("an empty message");
  message_ = std::move(content);
  return absl::OkStatus();
}

}  // namespace pharos::gossip
