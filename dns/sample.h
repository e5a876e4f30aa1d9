// Random subsets: which instances an answer shows.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.h"
#include "dns/answer.h"

namespace pharos::dns {

// `count` (at most from.size()) different elements of `from`, each subset and each order as likely
// as any other. O(count) for small counts. The result is in `scratch` until the next call.
std::span<const uint32_t> Sample(std::span<const uint32_t> from, size_t count, Random& random,
                                 AnswerScratch& scratch);

}  // namespace pharos::dns
