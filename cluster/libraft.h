// libraft's C headers, which 0.22.1 cannot give a C++ compiler as they are: its static assertions
// take the size of unnamed structures. For the few files that are libraft's neighbours; everybody
// else uses cluster/raft_engine.h.
#pragma once

#include <assert.h>
#include <uv.h>

extern "C" {
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#pragma push_macro("static_assert")
#undef static_assert
#define static_assert(...)
#include <raft.h>
#include <raft/uv.h>
#pragma pop_macro("static_assert")
#ifdef __clang__
#pragma clang diagnostic pop
#endif

// What raft_uv calls in every turn of its loop to hand requests that are done back to who made
// them. A disk of another kind has to call it, too, and libraft declares it nowhere in public.
void LegacyFireCompletedRequests(struct raft* raft);
}
