// The output of a command in a container, as Docker's API sends it without a terminal.
#pragma once

#include <string>
#include <string_view>

namespace pharos::agent {

// Takes the frames apart (Docker Engine API, "Attach to a container", stream format): each is the
// stream's number (0 to 2), three zeros, the big-endian length of what follows. What is cut off
// keeps what came of it, and what is not in frames is returned as it is: a command with a terminal
// prints without them.
std::string ReadDockerStream(std::string_view octets);

}  // namespace pharos::agent
