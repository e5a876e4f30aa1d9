// Streams of a pool without keys, in one piece and in many: both find the same message, or none.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/check.h"
#include "cluster/gossip/messages.h"
#include "cluster/gossip/serf_messages.h"
#include "cluster/gossip/stream.h"

using pharos::AsOctets;
using pharos::Octets;
using namespace pharos::gossip;  // NOLINT(google-build-using-namespace): the target is all of it.

namespace {

// The message of the stream if it comes in pieces of so many octets.
std::optional<std::string> Read(Octets stream, size_t piece_octets) {
  const Security security;
  StreamReader reader(StreamSide::kDialler, security);
  while (!stream.empty()) {
    const Octets piece = stream.first(std::min(piece_octets, stream.size()));
    const absl::StatusOr<bool> whole = reader.Feed(piece);
    if (!whole.ok()) return std::nullopt;
    if (*whole) return reader.message();
    stream = stream.subspan(piece.size());
  }
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::optional<std::string> message = Read({data, size}, size + 1);
  // In small pieces the end is found as soon as it is there, so that what follows it is not read.
  const std::optional<std::string> in_pieces = Read({data, size}, 7);
  CHECK(message.has_value() == in_pieces.has_value());
  if (!message) return 0;
  const std::optional<PushPull> state = DecodePushPull(AsOctets(*message));
  if (!state) return 0;
  const std::string again = EncodePushPull(*state);
  CHECK(DecodePushPull(AsOctets(again)).has_value());
  if (state->user_state.size() > 1) {
    DecodeRecord<SerfState>(AsOctets(state->user_state).subspan(1));
  }
  return 0;
}
