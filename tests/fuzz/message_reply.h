// What a reply must be like, whatever was asked: read by ldns, and held against the model.
#pragma once

#include <cstdint>
#include <vector>

#include "base/octets.h"
#include "base/socket.h"
#include "dns/answer.h"

namespace pharos::fuzz {

// Ends the process, saying what is wrong, unless the reply to the request is sound. `external` is
// what it was made with.
void CheckReply(Octets request, Octets reply, Transport transport, const dns::AnswerConfig& config,
                const std::vector<dns::ExternalAnswer>& external);

}  // namespace pharos::fuzz
