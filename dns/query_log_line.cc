#include "dns/query_log_line.h"

#include <array>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/json_writer.h"

namespace pharos::dns {
namespace {

// What stands for what is not known.
constexpr const char* kNone = "-";

std::string QnameText(const QueryLogEntry& entry) {
  return entry.qname ? entry.qname->ToText() : kNone;
}
std::string TypeText(const QueryLogEntry& entry) {
  return entry.qname ? TypeName(entry.qtype) : kNone;
}
std::string RcodeText(const QueryLogEntry& entry) {
  return entry.rcode ? RcodeName(*entry.rcode) : kNone;
}
const char* TransportText(const QueryLogEntry& entry) {
  return entry.transport == Transport::kTcp ? "tcp" : "udp";
}
std::string TimeText(const QueryLogEntry& entry) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", entry.time, absl::UTCTimeZone());
}

std::string JsonLine(const QueryLogEntry& entry) {
  JsonWriter json;
  json.BeginObject();
  json.Field("time", TimeText(entry));
  json.Field("client", entry.client.ip.ToString());
  json.UintField("port", entry.client.port);
  json.Field("transport", TransportText(entry));
  json.Field("name", QnameText(entry));
  json.Field("type", TypeText(entry));
  json.Field("rcode", RcodeText(entry));
  json.UintField("size", entry.reply_octets);
  json.IntField("latency_us", absl::ToInt64Microseconds(entry.latency));
  json.Field("latency", LatencyClass(entry.latency));
  json.Field("source", SourceName(entry.source));
  json.EndObject();
  return json.Take() + "\n";
}

}  // namespace

std::optional<Rcode> ReadRcode(Octets reply) {
  if (reply.size() < kHeaderOctets) return std::nullopt;
  const uint16_t lower = LoadU16(&reply[2]) & 0x0f;
  Name owner;
  size_t offset = kHeaderOctets;
  for (int left = LoadU16(&reply[4]); left > 0; --left) {
    const std::optional<size_t> after = ReadName(reply, offset, owner);
    if (!after) return static_cast<Rcode>(lower);
    offset = *after + 4;
  }
  for (int left = LoadU16(&reply[6]) + LoadU16(&reply[8]) + LoadU16(&reply[10]); left > 0; --left) {
    const std::optional<size_t> after = ReadName(reply, offset, owner);
    if (!after) break;
    ByteReader reader(reply, *after);
    const auto type = static_cast<RrType>(reader.U16());
    reader.U16();  // The class.
    const uint32_t ttl = reader.U32();
    if (reader.ok() && type == RrType::kOpt) return static_cast<Rcode>((ttl >> 24) << 4 | lower);
    reader.Take(reader.U16());
    if (!reader.ok()) break;
    offset = reader.offset();
  }
  return static_cast<Rcode>(lower);
}

std::string TypeName(RrType type) {
  static constexpr std::pair<int, const char*> kNames[] = {
      {1, "A"},     {2, "NS"},     {5, "CNAME"},  {6, "SOA"},    {12, "PTR"},  {15, "MX"},
      {16, "TXT"},  {28, "AAAA"},  {33, "SRV"},   {35, "NAPTR"}, {43, "DS"},   {48, "DNSKEY"},
      {64, "SVCB"}, {65, "HTTPS"}, {251, "IXFR"}, {252, "AXFR"}, {255, "ANY"}, {257, "CAA"}};
  for (const auto& [number, name] : kNames) {
    if (static_cast<int>(type) == number) return name;
  }
  return absl::StrFormat("TYPE%d", static_cast<uint16_t>(type));
}

std::string RcodeName(Rcode rcode) {
  static constexpr std::array<const char*, 6> kNames = {"NOERROR",  "FORMERR", "SERVFAIL",
                                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};
  const auto number = static_cast<uint16_t>(rcode);
  if (number == 16) return "BADVERS";
  if (number == 23) return "BADCOOKIE";
  return number < kNames.size() ? kNames[number] : absl::StrFormat("RCODE%d", number);
}

std::string_view SourceName(AnswerSource source) {
  switch (source) {
    case AnswerSource::kZone:
      return "zone";
    case AnswerSource::kCache:
      return "cache";
    case AnswerSource::kUpstream:
      return "upstream";
    case AnswerSource::kBound:
      return "bound";
    case AnswerSource::kRateLimit:
      return "rate_limit";
  }
  return "";
}

std::string_view LatencyClass(absl::Duration latency) {
  if (latency < absl::Milliseconds(1)) return "1ms";
  if (latency < absl::Milliseconds(10)) return "10ms";
  if (latency < absl::Milliseconds(100)) return "100ms";
  return latency < absl::Seconds(1) ? "1s" : "over";
}

std::string FormatQueryLogLine(const QueryLogEntry& entry, QueryLogFormat format) {
  if (format == QueryLogFormat::kJson) return JsonLine(entry);
  return absl::StrFormat("%s %s %s %s %s %s %d %dus %s %s\n", TimeText(entry),
                         entry.client.ToString(), TransportText(entry), QnameText(entry),
                         TypeText(entry), RcodeText(entry), entry.reply_octets,
                         absl::ToInt64Microseconds(entry.latency), LatencyClass(entry.latency),
                         SourceName(entry.source));
}

}  // namespace pharos::dns
