#include "http/watchers.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "http/errors.h"

namespace pharos::http {
namespace {

// A wait is up to this part of itself longer, at random, so that clients that began together do not
// come back together.
constexpr int kJitterPart = 16;

// How an answer of this kind was made, as clients are told.
std::string EffectiveName(Consistency consistency) {
  switch (consistency) {
    case Consistency::kStale:
      return "stale";
    case Consistency::kConsistent:
      return "consistent";
    case Consistency::kDefault:
      break;
  }
  return "leader";
}

TextPairs ReadHeaders(const ReadStyle& style, uint64_t index,
                      const cluster::CatalogAccess& consensus) {
  // What was read with the leader's word is as new as the leader has it.
  const int64_t last_contact_ms = style.consistency == Consistency::kStale
                                      ? absl::ToInt64Milliseconds(consensus.last_contact())
                                      : 0;
  TextPairs headers = {{"X-Consul-Default-Acl-Policy", "allow"},
                       {"X-Consul-Effective-Consistency", EffectiveName(style.consistency)},
                       {"X-Consul-Index", absl::StrCat(std::max<uint64_t>(index, 1))},
                       {"X-Consul-Knownleader", consensus.has_leader() ? "true" : "false"},
                       {"X-Consul-Lastcontact", absl::StrCat(last_contact_ms)},
                       {"X-Consul-Query-Backend", "blocking-query"}};
  if (style.translate) headers.emplace_back(kTranslateHeader, "true");
  return headers;
}

// What was asked, without what only says how long to wait for it.
std::string KeyOf(const Request& request, bool pretty) {
  std::string key = request.path;
  key += pretty ? '!' : '?';
  for (const auto& [name, value] : request.query) {
    if (name == "index" || name == "wait" || name == "stale" || name == "consistent") continue;
    absl::StrAppend(&key, name, "=", value, "&");
  }
  return key;
}

}  // namespace

Watchers::Watchers(Loop& loop, cluster::CatalogAccess& consensus, const Clock& clock,
                   CacheMarks& cache_marks, uint64_t seed)
    : consensus_(consensus),
      clock_(clock),
      cache_marks_(cache_marks),
      random_(seed),
      feed_(loop, consensus, [this](const std::set<std::string>& topics) { WakeChanged(topics); }),
      timer_(loop.uv()) {}

void Watchers::Answer(const std::shared_ptr<Exchange>& exchange, const ReadOptions& options,
                      Reading reading) {
  ++counters_.asked;
  if (options.index > 0) {
    // From here on changes are told, so none can come between reading the index and waiting.
    feed_.Want(true);
  }
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    if (options.index == 0 || reading.index(*snapshot) > options.index) {
      Encoded encoded;
      return Respond(*exchange, reading, options, *snapshot, encoded);
    }
  }
  const auto jitter_ms = static_cast<uint32_t>(
      std::max<int64_t>(absl::ToInt64Milliseconds(options.wait) / kJitterPart, 1));
  Add({.exchange = exchange,
       .reading = std::move(reading),
       .style = options,
       .index = options.index,
       .deadline = clock_.Now() + options.wait + absl::Milliseconds(random_.Below(jitter_ms)),
       .id = next_id_++});
}

void Watchers::Add(Waiter waiter) {
  const uint64_t id = waiter.id;
  waiter.exchange->ForgetTheRest();
  waiter.exchange->OnGone([this, id] { Remove(id); });
  for (const std::string& topic : waiter.reading.topics) by_topic_[topic].insert(id);
  by_deadline_.emplace(waiter.deadline, id);
  waiters_.emplace(id, std::make_unique<Waiter>(std::move(waiter)));
  ++counters_.waiting;
  if (by_deadline_.begin()->second == id) SetTimer();
}

void Watchers::Remove(uint64_t id) {
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return;
  for (const std::string& topic : found->second->reading.topics) {
    const auto ids = by_topic_.find(topic);
    ids->second.erase(id);
    if (ids->second.empty()) by_topic_.erase(ids);
  }
  by_deadline_.erase({found->second->deadline, id});
  waiters_.erase(found);
  --counters_.waiting;
  if (!waiters_.empty()) return;
  timer_.Cancel();
  feed_.Want(false);
}

void Watchers::SetTimer() {
  if (by_deadline_.empty()) return;
  const absl::Duration left = by_deadline_.begin()->first - clock_.Now();
  timer_.Once(std::max(left, absl::ZeroDuration()), [this] { WakeExpired(); });
}

void Watchers::WakeChanged(const std::set<std::string>& topics) {
  std::set<uint64_t> ids;
  for (const std::string& topic : topics) {
    const auto found = by_topic_.find(topic);
    if (found != by_topic_.end()) ids.insert(found->second.begin(), found->second.end());
  }
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
  Encoded encoded;
  for (const uint64_t id : ids) {
    const auto found = waiters_.find(id);
    if (found == waiters_.end()) continue;
    const Waiter& waiter = *found->second;
    if (waiter.reading.index(*snapshot) <= waiter.index) continue;
    ++counters_.woken;
    const Waiter woken = waiter;
    Remove(id);
    Respond(*woken.exchange, woken.reading, woken.style, *snapshot, encoded);
  }
}

void Watchers::WakeExpired() {
  const absl::Time now = clock_.Now();
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
  Encoded encoded;
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    const uint64_t id = by_deadline_.begin()->second;
    const Waiter waiter = *waiters_.find(id)->second;
    ++counters_.timed_out;
    Remove(id);
    Respond(*waiter.exchange, waiter.reading, waiter.style, *snapshot, encoded);
  }
  SetTimer();
}

void Watchers::Respond(Exchange& exchange, const Reading& reading, const ReadStyle& style,
                       const registry::Snapshot& snapshot, Encoded& encoded) {
  const std::string key = KeyOf(exchange.request(), style.pretty);
  std::shared_ptr<const Body>& body = encoded[key];
  if (body == nullptr) {
    JsonWriter json(style.pretty ? JsonWriter::Style::kIndented : JsonWriter::Style::kCompact);
    if (const absl::Status written = reading.write(snapshot, json); !written.ok()) {
      return exchange.Respond(ErrorResponse(written));
    }
    body = std::make_shared<const Body>(json.Take());
    ++counters_.encoded;
  }
  Response response{.status = 200,
                    .content_type = "application/json",
                    .headers = ReadHeaders(style, reading.index(snapshot), consensus_),
                    .body = body};
  if (style.cached) {
    const bool hit = cache_marks_.WasAsked(key) && !style.must_revalidate;
    response.headers.emplace_back("X-Cache", hit ? "HIT" : "MISS");
    if (hit) response.headers.emplace_back("Age", "0");
  }
  exchange.Respond(std::move(response));
}

}  // namespace pharos::http
