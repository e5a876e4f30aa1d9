#include "dns/rate_limit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <utility>

#include "absl/hash/hash.h"

namespace pharos::dns {
namespace {

constexpr int64_t kThousandths = 1000;

// The owner of the first record behind the question if that is an SOA, as it is in a negative reply
// without aliases.
uint64_t HashOfZone(Octets reply) {
  if (LoadU16(&reply[4]) != 1 || LoadU16(&reply[6]) != 0 || LoadU16(&reply[8]) == 0) return 0;
  Name name;
  const std::optional<size_t> after_question = ReadName(reply, kHeaderOctets, name);
  if (!after_question) return 0;
  const std::optional<size_t> after_owner = ReadName(reply, *after_question + 4, name);
  if (!after_owner) return 0;
  ByteReader reader(reply, *after_owner);
  const auto type = static_cast<RrType>(reader.U16());
  return reader.ok() && type == RrType::kSoa ? absl::HashOf(name) : 0;
}

}  // namespace

ResponseClass ClassifyResponse(const Query& query, Octets reply) {
  if (reply.size() < kHeaderOctets || query.question.empty()) return {};
  const auto rcode = static_cast<Rcode>(LoadU16(&reply[2]) & 0x0f);
  if (rcode == Rcode::kNxDomain) return {ResponseKind::kNxDomain, HashOfZone(reply)};
  if (rcode != Rcode::kNoError) return {};
  return {ResponseKind::kAnswer, absl::HashOf(query.qname, static_cast<uint16_t>(query.qtype),
                                              static_cast<uint16_t>(query.qclass))};
}

IpAddress NetworkOf(const IpAddress& address, const RateLimitOptions& options) {
  std::array<uint8_t, 16> octets{};
  size_t bits = address.is_v4() ? options.ipv4_prefix : options.ipv6_prefix;
  const Octets whole = address.octets();
  for (size_t i = 0; i < whole.size() && bits > 0; ++i) {
    const size_t kept = std::min<size_t>(bits, 8);
    octets[i] = static_cast<uint8_t>(whole[i] & (0xff00U >> kept));
    bits -= kept;
  }
  if (address.is_v6()) return IpAddress::V6(octets);
  return IpAddress::V4({octets[0], octets[1], octets[2], octets[3]});
}

RateLimiter::RateLimiter(const RateLimitOptions& options, uint64_t secret)
    : options_(options), secret_(secret) {
  const size_t sets = std::bit_ceil((size_t{options.table_size} + kWays - 1) / kWays);
  buckets_.resize(std::max<size_t>(sets, 1) * kWays);
  set_mask_ = buckets_.size() / kWays - 1;
}

uint32_t RateLimiter::RateOf(ResponseKind kind) const {
  switch (kind) {
    case ResponseKind::kAnswer:
      return options_.responses_per_second;
    case ResponseKind::kNxDomain:
      return options_.nxdomains_per_second;
    case ResponseKind::kError:
      return options_.errors_per_second;
  }
  return 0;
}

bool RateLimiter::IsExempt(const IpAddress& client) const {
  return std::any_of(options_.exempt.begin(), options_.exempt.end(),
                     [&client](const Cidr& block) { return block.Contains(client); });
}

uint64_t RateLimiter::KeyOf(const IpAddress& client, const ResponseClass& response) const {
  const uint64_t key = absl::HashOf(secret_, NetworkOf(client, options_),
                                    static_cast<uint8_t>(response.kind), response.name_hash);
  return key == 0 ? 1 : key;
}

RateLimiter::Bucket& RateLimiter::Find(uint64_t key, int64_t now_ms, uint32_t rate) {
  Bucket* const set = &buckets_[(key & set_mask_) * kWays];
  Bucket* oldest = set;
  for (Bucket* bucket = set; bucket < set + kWays; ++bucket) {
    if (bucket->key == key) return *bucket;
    // Free ones were used at 0.
    if (bucket->used_ms < oldest->used_ms) oldest = bucket;
  }
  // A bucket that has been left alone for a window is full again, and so as good as free.
  const int64_t window_ms = (int64_t{options_.window_s} + 1) * 1000;
  if (oldest->key != 0 && now_ms - oldest->used_ms < window_ms) counters_.evictions.Add();
  *oldest = {.key = key, .used_ms = now_ms, .balance = rate * kThousandths};
  return *oldest;
}

RateLimitDecision RateLimiter::Judge(const IpAddress& client, const ResponseClass& response,
                                     absl::Time now) {
  const uint32_t rate = RateOf(response.kind);
  if (rate == 0 || IsExempt(client)) return {};
  const int64_t now_ms = absl::ToUnixMillis(now);
  Bucket& bucket = Find(KeyOf(client, response), now_ms, rate);

  const int64_t full = rate * kThousandths;
  // `rate` a second is as many thousandths a millisecond. What a window brings back is enough.
  const int64_t most_ms = (int64_t{options_.window_s} + 1) * 1000;
  const int64_t elapsed_ms = std::clamp<int64_t>(now_ms - bucket.used_ms, 0, most_ms);
  bucket.used_ms = now_ms;
  bucket.balance = std::min(bucket.balance + elapsed_ms * rate, full) - kThousandths;
  bucket.balance = std::max(bucket.balance, -full * options_.window_s);
  if (bucket.balance >= 0) {
    bucket.limiting = false;
    return {};
  }
  const bool began = !std::exchange(bucket.limiting, true);
  ++bucket.limited;
  if (options_.slip > 0 && bucket.limited % options_.slip == 0) {
    counters_.slipped.Add();
    return {RateLimitDecision::kSlip, began};
  }
  counters_.dropped.Add();
  return {RateLimitDecision::kDrop, began};
}

}  // namespace pharos::dns
