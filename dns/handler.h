// Where a message becomes a reply: start reading here.
#pragma once

#include "base/octets.h"
#include "dns/answer.h"
#include "dns/query.h"

namespace pharos::dns {

// One message from a client, from request octets to reply octets. `query` is filled for outcomes
// that continue later (kForward, kResolve); it borrows from `request`. Neither blocks nor, for
// names of ours that need no resolving, allocates.
Handled HandleQuery(Octets request, const AnswerContext& context, Query& query,
                    MutableOctets reply);

}  // namespace pharos::dns
