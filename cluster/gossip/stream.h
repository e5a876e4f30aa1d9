// What is around messages on streams: a label (from who dials, once), encryption, compression.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"
#include "cluster/gossip/packet.h"

namespace pharos::gossip {

enum class StreamSide { kDialler, kAcceptor };

// What `side` sends: the message compressed, encrypted and labelled as `security` says.
std::string SealStream(Octets message, StreamSide side, const Nonce& nonce,
                       const Security& security);

// Reads what the other side sends, piece by piece, up to the end of its one message.
class StreamReader {
 public:
  // `sender` is the other side. Both outlive this.
  StreamReader(StreamSide sender, const Security& security)
      : sender_(sender), security_(security) {}

  // Takes further octets. True once the message is whole; what follows it is nobody's.
  // InvalidArgument for what is malformed or too long, Unauthenticated for what is not encrypted or
  // not with a key of ours.
  absl::StatusOr<bool> Feed(Octets octets);
  // The message without its layers, once it is whole.
  const std::string& message() const { return message_; }

  // The most that is read of a blob, and that a message may hold.
  static constexpr size_t kBlobOctetsMax = 20 << 20;
  static constexpr size_t kMessageOctetsMax = 40 << 20;

 private:
  absl::StatusOr<bool> TakeLabel();
  absl::StatusOr<bool> TakeEncrypted();
  // Of a plain stream, whether the message that begins at `begin_` is whole.
  absl::StatusOr<bool> IsWhole();
  absl::StatusOr<bool> IsWholePushPull();
  absl::Status Unpack(std::string content);

  StreamSide sender_;
  const Security& security_;
  std::string buffer_;
  bool label_taken_ = false;
  size_t begin_ = 0;  // Of what is behind the label.
  // Of a plain push/pull, how far it has been looked at, so that no octet is looked at twice.
  size_t looked_at_ = 0;
  uint32_t nodes_left_ = 0;
  uint32_t user_state_octets_ = 0;
  std::string message_;
};

}  // namespace pharos::gossip
