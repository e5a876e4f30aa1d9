// How the fuzzer's octets become a configuration and a request.
#pragma once

#include <cstdint>
#include <vector>

#include "base/octets.h"
#include "dns/answer_config.h"

namespace pharos::fuzz {

struct Input {
  dns::AnswerConfig config;
  uint64_t seed = 0;  // Of the server's random choices.
  uint8_t world = 0;  // What names outside resolve to (message_world.h).
  std::vector<uint8_t> request;
};

// The first octets choose the configuration. What follows is a message as it stands, or (an odd
// first octet) what a sound one is made of: type, flags, EDNS, and a name of labels that mean
// something to the server.
Input ReadInput(Octets octets);

}  // namespace pharos::fuzz
