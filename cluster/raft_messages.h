// libraft's messages as those of proto/peer.proto, and back. InstallSnapshot is not among them: its
// data travels by itself (cluster/raft_engine.h).
#pragma once

#include <cstdint>
#include <optional>

#include "cluster/libraft.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

peer::v1::Raft MessageToProto(const raft_message& message);

// Nothing for a message that is none, or whose parts do not fit together. Who sent it is the
// caller's to say, but for a candidate, which is `from`; of AppendEntries only the type is set, as
// its entries are taken in pieces (EntriesFromProto).
std::optional<raft_message> MessageFromProto(const peer::v1::Raft& message, uint64_t from);

// A message that MessageFromProto took, without its term, as if it had only the entries
// [begin, end), and said of those before them that they stand before it. The entries are in memory
// that libraft takes over.
raft_append_entries EntriesFromProto(const peer::v1::AppendEntries& from, int begin, int end);

}  // namespace pharos::cluster
