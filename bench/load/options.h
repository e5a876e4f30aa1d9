// What the load generator is asked to do, read from its command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ip_address.h"

namespace pharos::load {

inline constexpr size_t kSocketsMax = 1024;
// A socket's window: half the message ids, so that a late reply never has the id of a new query.
inline constexpr size_t kWindowMax = 32'768;

struct Options {
  SocketAddress server{IpAddress::V4({127, 0, 0, 1}), 8600};
  // Where the queries come from: a file with `NAME TYPE [RCODE [ANCOUNT]]` a line, or `names`
  // different names made from `pattern`, whose `%d` counts from 0.
  std::string file;
  std::string pattern = "svc-%d.service.consul";
  size_t names = 1'000;
  std::string type = "A";
  size_t sockets = 8;
  size_t window = 16;  // Queries under way on a socket.
  // A socket whose window was full sends again once there is room for so many; at most the window.
  size_t burst = 1;
  // Queries a second over all sockets, sent when they are due whether or not replies came (an open
  // loop); 0: as fast as the window allows.
  double rate = 0;
  uint64_t count = 0;  // Ends after so many queries; 0: no such bound.
  absl::Duration duration = absl::Seconds(5);
  absl::Duration timeout = absl::Seconds(1);  // After it a query counts as lost.
  uint16_t edns_octets = 0;                   // Advertised UDP size; 0: no OPT record.
  uint64_t seed = 1;
  // Queries of one size leave as one message (UDP_SEGMENT), and replies are taken as the server
  // merged them (UDP_GRO): what the generator spends is then so little that the server is never
  // idle.
  bool merge = false;
  std::optional<uint16_t> rcode;    // What replies must have, where the file does not say.
  std::optional<uint16_t> answers;  // ANCOUNT likewise.
};

// Reads `-name value` and `-name=value` pairs. The error says what was given and what was expected.
absl::StatusOr<Options> ParseOptions(int argc, const char* const* argv);

// What -help prints.
extern const char kUsage[];

}  // namespace pharos::load
