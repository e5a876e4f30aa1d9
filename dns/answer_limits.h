// How much a reply may hold and who may be in it: the rules that every way of answering follows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dns/answer_config.h"
#include "dns/query.h"
#include "dns/types.h"
#include "registry/snapshot.h"

namespace pharos::dns {

// What a reply may hold, worked out once.
struct ReplyLimits {
  size_t octets_max;
  // UDP without EDNS (or with 512 octets of it), where udp_answer_limit counts.
  bool plain_udp;
  // TCP, where the number of answers is bounded although the size would allow more.
  bool tcp;

  static ReplyLimits For(const Query& query, Transport transport);
  // The same of a query that has room for so many octets over UDP.
  static ReplyLimits For(size_t udp_octets, Transport transport);
};

// How many answers a reply may have.
struct CountLimit {
  size_t count;
  // Cut by udp_answer_limit. Then the size is counted as if no name were compressed, as Consul
  // does: clients of old expect no more than it would send.
  bool by_udp_limit;
};
CountLimit LimitCount(const AnswerConfig& config, const ReplyLimits& limits, size_t available,
                      bool addresses);

// What is left of a plain UDP reply for records counted uncompressed.
size_t UncompressedRoom(size_t question_octets);

// Which instances count. When too few are healthy, it is rather the health checks that are wrong,
// or what is left would be overrun: then all are tried.
registry::Include IncludeFor(const AnswerConfig& config, const registry::RecordSet& records);

}  // namespace pharos::dns
