// One run of the load generator: the sockets and the clock.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/load/latency.h"
#include "bench/load/options.h"
#include "bench/load/question.h"

namespace pharos::load {

struct Outcome {
  uint64_t sent = 0;
  uint64_t answered = 0;  // Replies to something we asked, right or wrong.
  uint64_t lost = 0;      // Not answered within the timeout.
  uint64_t stray = 0;     // Replies with an id that nothing waited for: late, or repeated.
  uint64_t malformed = 0;
  uint64_t wrong_question = 0;
  uint64_t wrong_rcode = 0;
  uint64_t wrong_answers = 0;
  uint64_t reply_octets = 0;
  // To the last query or reply; waiting for what is lost does not count.
  absl::Duration elapsed;
  // From when a query was sent or, at a fixed rate, from when it was due: what waits in our own
  // queue because the server is slow counts as the server's.
  LatencyHistogram latency;

  uint64_t wrong() const { return malformed + wrong_question + wrong_rcode + wrong_answers; }
};

// Sends until the options' bound is reached and every query is answered or lost. Errors: no socket
// could be made, or nobody listens at the server's address.
absl::StatusOr<Outcome> Run(const Options& options, const std::vector<Question>& questions);

}  // namespace pharos::load
