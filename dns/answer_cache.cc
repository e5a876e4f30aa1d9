#include "dns/answer_cache.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace pharos::dns {
namespace {

// Of the name in lower case wire form, type and class. The flags are left to the comparison: few
// questions differ in them alone.
size_t HashQuestion(Octets lower_qname, RrType qtype, RrClass qclass) {
  const absl::string_view name(reinterpret_cast<const char*>(lower_qname.data()),
                               lower_qname.size());
  return absl::HashOf(name, static_cast<uint16_t>(qtype), static_cast<uint16_t>(qclass));
}

bool IsSoa(const Record& record) { return record.type == RrType::kSoa; }

// Whether the reply says that what was asked for is not there.
bool IsNegative(const UpstreamQuestion& question, const UpstreamAnswer& answer) {
  if (answer.rcode == Rcode::kNxDomain) return true;
  if (question.qtype == RrType::kAny) return answer.answer.empty();
  return std::ranges::none_of(
      answer.answer, [&question](const Record& record) { return record.type == question.qtype; });
}

// How long a failure is remembered: twice as long as the one before, unless that is long past.
absl::Duration FailureLifetime(const CacheEntry* before, absl::Time now) {
  if (before == nullptr || now >= before->failed_until + kFailureLifetimeMax) {
    return kFailureLifetime;
  }
  return std::min((before->failed_until - before->stored) * 2, kFailureLifetimeMax);
}

}  // namespace

absl::Duration AnswerLifetime(const UpstreamQuestion& question, const UpstreamAnswer& answer) {
  uint32_t ttl_s = std::numeric_limits<uint32_t>::max();
  for (const std::vector<Record>* section :
       {&answer.answer, &answer.authority, &answer.additional}) {
    for (const Record& record : *section) ttl_s = std::min(ttl_s, record.ttl_s);
  }
  if (!IsNegative(question, answer)) return std::min(absl::Seconds(ttl_s), kPositiveLifetimeMax);

  const auto soa = std::ranges::find_if(answer.authority, IsSoa);
  if (soa == answer.authority.end()) return absl::ZeroDuration();
  const uint32_t minimum_s = LoadU32(soa->rdata.data() + soa->rdata.size() - 4);
  return std::min(absl::Seconds(std::min(ttl_s, minimum_s)), kNegativeLifetimeMax);
}

size_t AnswerCache::Hash::operator()(const UpstreamQuestion& question) const {
  std::array<uint8_t, kNameOctetsMax> lower;
  const Octets wire = question.qname.wire();
  std::ranges::transform(wire, lower.begin(), LowerOctet);
  return HashQuestion(Octets(lower).first(wire.size()), question.qtype, question.qclass);
}

size_t AnswerCache::Hash::operator()(const CacheEntry* entry) const {
  return HashQuestion(entry->qname(), entry->qtype, entry->qclass);
}

void AnswerCache::List::PushNewest(CacheEntry* entry) {
  entry->older = newest;
  entry->newer = nullptr;
  (newest != nullptr ? newest->newer : oldest) = entry;
  newest = entry;
  ++size;
}

void AnswerCache::List::Remove(CacheEntry* entry) {
  (entry->older != nullptr ? entry->older->newer : oldest) = entry->newer;
  (entry->newer != nullptr ? entry->newer->older : newest) = entry->older;
  --size;
}

AnswerCache::~AnswerCache() {
  for (CacheEntry* entry : index_) CacheEntry::Free()(entry);
}

CacheEntry* AnswerCache::Lookup(const UpstreamQuestion& question) {
  const auto at = index_.find(question);
  return at == index_.end() ? nullptr : *at;
}

CacheResult AnswerCache::Find(const UpstreamQuestion& question, absl::Time now,
                              UpstreamAnswer& answer) {
  CacheEntry* entry = Lookup(question);
  const bool fresh = entry != nullptr && !entry->failure_only && now < entry->expires;
  if (!fresh && (entry == nullptr || now >= entry->failed_until)) {
    counters_.misses.Add();
    return CacheResult::kMiss;
  }
  ListOf(entry).Remove(entry);
  ListOf(entry).PushNewest(entry);
  if (!fresh) {
    if (!GiveStale(entry, question, now, answer)) {
      counters_.failures.Add();
      answer = UpstreamAnswer();
      answer.extended_error = {InfoCode::kCachedError, "the recursors did not answer just now"};
    }
    return CacheResult::kFailed;
  }
  counters_.hits.Add();
  ++entry->hits;
  entry->Decode(question, now - entry->stored, 0, std::numeric_limits<uint32_t>::max(), answer);
  const absl::Duration lifetime = entry->expires - entry->stored;
  if (entry->refreshing || entry->hits <= kPopularHits || lifetime < kPrefetchLifetimeMin ||
      entry->expires - now > lifetime / 10) {
    return CacheResult::kHit;
  }
  entry->refreshing = true;
  counters_.prefetches.Add();
  return CacheResult::kPrefetch;
}

bool AnswerCache::FindStale(const UpstreamQuestion& question, absl::Time now,
                            UpstreamAnswer& answer) {
  CacheEntry* entry = Lookup(question);
  return entry != nullptr && GiveStale(entry, question, now, answer);
}

bool AnswerCache::GiveStale(CacheEntry* entry, const UpstreamQuestion& question, absl::Time now,
                            UpstreamAnswer& answer) {
  if (entry->failure_only || now >= entry->expires + kStaleLifetime) return false;
  entry->Decode(question, now - entry->stored, kStaleTtl_s, kStaleTtl_s, answer);
  answer.stale = true;
  const bool no_name = answer.rcode == Rcode::kNxDomain;
  answer.extended_error = {no_name ? InfoCode::kStaleNxDomain : InfoCode::kStaleAnswer};
  counters_.stale.Add();
  return true;
}

void AnswerCache::Insert(const UpstreamQuestion& question, const UpstreamAnswer& answer,
                         absl::Time now) {
  const absl::Duration lifetime = AnswerLifetime(question, answer);
  if (lifetime <= absl::ZeroDuration()) {
    CacheEntry* before = Lookup(question);
    if (before != nullptr && now >= before->expires) Remove(before);
    return PublishSize();
  }
  const bool negative = IsNegative(question, answer);
  const auto ttl_max_s =
      static_cast<uint32_t>(absl::ToInt64Seconds(negative ? lifetime : kPositiveLifetimeMax));
  Add(question, CacheEntry::Make(question, answer, now, lifetime, ttl_max_s));
}

void AnswerCache::InsertFailure(const UpstreamQuestion& question, absl::Time now) {
  if (CacheEntry* entry = Lookup(question); entry != nullptr && !entry->failure_only) {
    entry->failed_until = now + kStaleRecheck;
    return;
  }
  CacheEntry::Owned failure =
      CacheEntry::Make(question, UpstreamAnswer(), now, absl::ZeroDuration(), 0);
  failure->failure_only = true;
  failure->failed_until = now + FailureLifetime(Lookup(question), now);
  Add(question, std::move(failure));
}

void AnswerCache::Add(const UpstreamQuestion& question, CacheEntry::Owned entry) {
  if (CacheEntry* before = Lookup(question)) Remove(before);
  octets_ += entry->cost_octets();
  ListOf(entry.get()).PushNewest(entry.get());
  index_.insert(entry.release());
  EvictToFit();
  PublishSize();
}

void AnswerCache::Remove(CacheEntry* entry) {
  octets_ -= entry->cost_octets();
  ListOf(entry).Remove(entry);
  index_.erase(entry);
  CacheEntry::Free()(entry);
}

void AnswerCache::EvictToFit() {
  while (failures_.size > kFailuresMax || (octets_ > octets_max_ && failures_.size > 0)) {
    Remove(failures_.oldest);
    counters_.evictions.Add();
  }
  while (octets_ > octets_max_) {
    Remove(answers_.oldest);
    counters_.evictions.Add();
  }
}

size_t AnswerCache::Flush() { return Flush(Name()); }

size_t AnswerCache::Flush(const Name& domain) {
  std::vector<CacheEntry*> below;
  for (CacheEntry* entry : index_) {
    if (Name::FromWire(entry->qname())->IsAtOrBelow(domain)) below.push_back(entry);
  }
  for (CacheEntry* entry : below) Remove(entry);
  counters_.flushed.Add(below.size());
  PublishSize();
  return below.size();
}

void AnswerCache::SetOctetsMax(size_t octets_max) {
  octets_max_ = octets_max;
  EvictToFit();
  PublishSize();
}

void AnswerCache::PublishSize() {
  counters_.entries.Set(index_.size());
  counters_.octets.Set(octets_);
}

}  // namespace pharos::dns
