// How much a reply may hold and who may be in it: the rules that every way of answering follows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dns/answer_config.h"
#include "dns/query.h"
#include "dns/types.h"
#include "registry/snapshot.h"

namespace pharos::dns {

// The largest UDP reply: 40 octets below a datagram's limit, room for extension headers.
inline constexpr size_t kUdpReplyOctetsMax = 65467;
// Over UDP without EDNS no setting allows more answers than this.
inline constexpr size_t kPlainUdpAnswersMax = 8;
// What Consul leaves free of 512 octets.
inline constexpr size_t kPlainUdpMargin = 7;
// Over TCP in Consul's profile, as Consul; else as many as the message holds.
inline constexpr size_t kTcpAnswersMax = 4096;
inline constexpr size_t kTcpSrvAnswersMax = 1024;

// What a reply may hold, worked out once.
struct ReplyLimits {
  size_t octets_max;
  // UDP without EDNS (or with 512 octets of it), where udp_answer_limit counts.
  bool plain_udp;
  // TCP, where the number of answers is bounded although the size would allow more.
  bool tcp;

  static ReplyLimits For(const Query& query, Transport transport) {
    return For(query.edns ? query.edns->udp_octets : kPlainUdpOctetsMax, transport);
  }
  // The same of a query that has room for so many octets over UDP.
  static ReplyLimits For(size_t udp_octets, Transport transport) {
    if (transport == Transport::kTcp) return {kMessageOctetsMax, false, true};
    const size_t octets_max = std::clamp(udp_octets, kPlainUdpOctetsMax, kUdpReplyOctetsMax);
    return {octets_max, octets_max == kPlainUdpOctetsMax, false};
  }
};

// How many answers a reply may have.
struct CountLimit {
  size_t count;
  // Cut by udp_answer_limit. Then the size is counted as if no name were compressed, as Consul
  // does: clients of old expect no more than it would send.
  bool by_udp_limit;
};
// With how many answers a reply is whole; with fewer it is cut, and says so (TC). What
// a_record_limit leaves out is not missed, but where an RRset is whole or said not to be.
inline size_t WantedCount(const AnswerConfig& config, size_t available, bool addresses) {
  const bool limited = addresses && config.a_record_limit > 0 && !config.standard;
  return limited ? std::min(available, size_t{config.a_record_limit}) : available;
}

inline CountLimit LimitCount(const AnswerConfig& config, const ReplyLimits& limits,
                             size_t available, bool addresses) {
  size_t count = available;
  if (limits.tcp && !config.standard) {
    count = std::min(count, addresses ? kTcpAnswersMax : kTcpSrvAnswersMax);
  }
  if (addresses && config.a_record_limit > 0) {
    count = std::min(count, size_t{config.a_record_limit});
  }
  if (!limits.plain_udp || config.udp_answer_limit == 0) return {count, false};
  const size_t udp_limit = std::min(size_t{config.udp_answer_limit}, kPlainUdpAnswersMax);
  return {std::min(count, udp_limit), count > udp_limit};
}

// What is left of a plain UDP reply for records counted uncompressed.
inline size_t UncompressedRoom(size_t question_octets) {
  return kPlainUdpOctetsMax - kPlainUdpMargin - kHeaderOctets - question_octets;
}

// Which instances count. When too few are healthy, it is rather the health checks that are wrong,
// or what is left would be overrun: then all are tried.
inline registry::Include IncludeFor(const AnswerConfig& config,
                                    const registry::RecordSet& records) {
  const registry::Include include =
      config.only_passing ? registry::Include::kPassing : registry::Include::kHealthy;
  if (config.panic_percent == 0) return include;
  const registry::Selection& everyone = records.everyone;
  const bool panic =
      everyone.Count(include) * 100 < uint64_t{config.panic_percent} * everyone.size();
  return panic ? registry::Include::kAll : include;
}

}  // namespace pharos::dns
