// Who is told of queries and replies: dnstap and the query log. With nobody to tell, a query pays
// one branch.
#pragma once

#include "absl/time/time.h"
#include "base/octets.h"
#include "dns/listener.h"
#include "dns/query.h"

namespace pharos::dns {

// Where a reply came from.
enum class AnswerSource : uint8_t {
  kZone,       // The catalog and what belongs to it; refusals and errors, too.
  kCache,      // The recursors, earlier.
  kUpstream,   // The recursors, now.
  kBound,      // SERVFAIL because too many were waiting.
  kRateLimit,  // Cut or dropped by the rate limit.
};

// A query that has been dealt with. Borrowed for one call.
struct AnsweredQuery {
  const ReplyPath& path;
  const Query& query;  // Without a question if that could not be read.
  Octets reply;        // Empty: the rate limit dropped it.
  AnswerSource source;
  absl::Time asked, answered;
};

// Belongs to one DNS thread and is called on it: must neither wait nor fail.
class QueryObserver {
 public:
  virtual ~QueryObserver() = default;
  // A message has come, whatever it is.
  virtual void OnQuery(const ReplyPath& path, Octets message, absl::Time now) = 0;
  virtual void OnAnswered(const AnsweredQuery& answered) = 0;
};

}  // namespace pharos::dns
