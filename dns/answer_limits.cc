#include "dns/answer_limits.h"

#include <algorithm>

namespace pharos::dns {
namespace {

// The largest UDP reply: 40 octets below a datagram's limit, room for extension headers.
constexpr size_t kUdpReplyOctetsMax = 65467;
// Over UDP without EDNS no setting allows more answers than this.
constexpr size_t kPlainUdpAnswersMax = 8;
// What Consul leaves free of 512 octets.
constexpr size_t kPlainUdpMargin = 7;
// Over TCP in Consul's profile, as Consul; else as many as the message holds.
constexpr size_t kTcpAnswersMax = 4096;
constexpr size_t kTcpSrvAnswersMax = 1024;

}  // namespace

ReplyLimits ReplyLimits::For(const Query& query, Transport transport) {
  return For(query.edns ? query.edns->udp_octets : kPlainUdpOctetsMax, transport);
}

ReplyLimits ReplyLimits::For(size_t udp_octets, Transport transport) {
  if (transport == Transport::kTcp) return {kMessageOctetsMax, false, true};
  const size_t octets_max = std::clamp(udp_octets, kPlainUdpOctetsMax, kUdpReplyOctetsMax);
  return {octets_max, octets_max == kPlainUdpOctetsMax, false};
}

CountLimit LimitCount(const AnswerConfig& config, const ReplyLimits& limits, size_t available,
                      bool addresses) {
  size_t count = available;
  if (limits.tcp && !config.standard)
    count = std::min(count, addresses ? kTcpAnswersMax : kTcpSrvAnswersMax);
  if (addresses && config.a_record_limit > 0) {
    count = std::min(count, size_t{config.a_record_limit});
  }
  if (!limits.plain_udp || config.udp_answer_limit == 0) return {count, false};
  const size_t udp_limit = std::min(size_t{config.udp_answer_limit}, kPlainUdpAnswersMax);
  return {std::min(count, udp_limit), count > udp_limit};
}

size_t UncompressedRoom(size_t question_octets) {
  return kPlainUdpOctetsMax - kPlainUdpMargin - kHeaderOctets - question_octets;
}

registry::Include IncludeFor(const AnswerConfig& config, const registry::RecordSet& records) {
  const registry::Include include =
      config.only_passing ? registry::Include::kPassing : registry::Include::kHealthy;
  const registry::Selection& everyone = records.everyone;
  const bool panic =
      everyone.Count(include) * 100 < uint64_t{config.panic_percent} * everyone.size();
  return panic ? registry::Include::kAll : include;
}

}  // namespace pharos::dns
