// What a crash may have left of libraft's log segments that libraft itself does not cope with.
//
// Segments that were being written to: libraft takes the first entries that it cannot read for a
// write that was cut short, and forgets all that stands behind them. If anything whole stands
// behind, they were acknowledged, and the disk has damaged them. Source: libraft 0.22's raft_uv
// (uv_segment.c, uv_encoding.c): a format, then batches, each of two CRCs, the number of its
// entries, for each its term, type and length, and their octets. Segments are made of zeros
// beforehand.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "base/octets.h"

namespace pharos::cluster {

struct SegmentState {
  enum class End {
    kClean,    // Nothing but zeros behind the last batch.
    kCut,      // Something that is no batch, and no batch behind it.
    kDamaged,  // A whole batch behind something that is none.
  };
  bool has_entries = false;
  End end = End::kClean;
  size_t end_octets = 0;  // Where the batches that can be read end.
};
SegmentState InspectSegment(Octets segment);

// Of the files open-N in the directory of a log. DataLoss for one that is damaged, in words for the
// operator.
absl::Status CheckOpenSegments(const std::string& directory);

// libraft shortens its log by writing the entries that stay to a segment FIRST-LAST of their own
// before it removes the longer one that began at FIRST. With both there, it would not start. What
// the shorter one has the longer one has, too, so the shorter one is removed: whoever made this
// server shorten its log will do so again.
absl::Status UndoTruncation(const std::string& directory);

}  // namespace pharos::cluster
