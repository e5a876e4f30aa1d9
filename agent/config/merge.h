// Putting the trees of several sources together.
#pragma once

#include "agent/config/value.h"

namespace pharos::agent {

// Lays `later` over `earlier`: of scalars the later one counts, lists are joined in order, and maps
// are merged key by key. Where the kinds differ the later one counts.
Value Merge(Value earlier, const Value& later);

}  // namespace pharos::agent
