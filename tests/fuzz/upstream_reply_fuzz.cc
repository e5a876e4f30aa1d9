// Replies of upstreams, on their way to a client: read, cached, taken from the cache, written. The
// input's id and question are those of the query, so that what follows them is reached.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "dns/answer_cache.h"
#include "dns/forwarded_reply.h"
#include "dns/upstream_message.h"

using pharos::Octets;
using pharos::Transport;
using namespace pharos::dns;  // NOLINT(google-build-using-namespace): the target is all of it.

namespace {

void CheckSame(const std::vector<Record>& a, const std::vector<Record>& b) {
  CHECK(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].owner == b[i].owner && a[i].type == b[i].type && a[i].rr_class == b[i].rr_class);
    // Compression may change the letter case of names in RDATA.
    CHECK(std::ranges::equal(a[i].rdata, b[i].rdata,
                             [](uint8_t x, uint8_t y) { return LowerOctet(x) == LowerOctet(y); }));
  }
}

// At least what a reply takes with everything in it.
size_t UncompressedOctets(const UpstreamAnswer& answer) {
  size_t octets = 2 * kPlainUdpOctetsMax;  // More than header, question and OPT.
  for (const auto* section : {&answer.answer, &answer.authority, &answer.additional}) {
    for (const Record& record : *section) octets += record.owner.size() + 10 + record.rdata.size();
  }
  return octets;
}

void WriteAndReadBack(const UpstreamQuery& asked, const UpstreamAnswer& answer, size_t octets_max) {
  // The reader takes no more records than it gave, and here OPT comes back with them.
  if (answer.answer.size() + answer.authority.size() + answer.additional.size() >=
      kUpstreamRecordsMax) {
    return;
  }
  Query query;
  query.qname = asked.question.qname;
  std::vector<uint8_t> question(query.qname.wire().begin(), query.qname.wire().end());
  question.insert(question.end(), {0, static_cast<uint8_t>(asked.question.qtype), 0, 1});
  query.question = question;
  query.edns.emplace();
  std::vector<uint8_t> reply(kMessageOctetsMax);
  const size_t octets = WriteForwardedReply(query, answer, octets_max, reply);
  CHECK(octets <= octets_max);
  reply.resize(octets);

  UpstreamQuery again = asked;
  again.id = 0;
  again.spelled = query.qname;
  UpstreamAnswer read;
  CHECK(ReadUpstreamReply(again, Transport::kTcp, reply, read) == ReplyKind::kAnswer);
  CHECK(read.rcode == answer.rcode);
  if (UncompressedOctets(answer) < octets_max) {
    CheckSame(read.answer, answer.answer);
    CheckSame(read.authority, answer.authority);
    CheckSame(read.additional, answer.additional);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > kMessageOctetsMax) return 0;
  UpstreamQuestion question{.qname = *Name::FromText("www.example.")};
  question.qtype = static_cast<RrType>(data[0]);
  QuerySecret secret{.id = {1, 2}, .letter_case = {}};
  const UpstreamQuery query = MakeUpstreamQuery(question, secret, true);
  for (const Transport transport : {Transport::kUdp, Transport::kTcp}) {
    std::vector<uint8_t> message(data + 1, data + size);
    if (message.size() >= 2) pharos::StoreU16(message.data(), query.id);
    UpstreamAnswer answer;
    if (ReadUpstreamReply(query, transport, message, answer) != ReplyKind::kAnswer) continue;
    WriteAndReadBack(query, answer, kMessageOctetsMax);
    WriteAndReadBack(query, answer, kPlainUdpOctetsMax);

    AnswerCache cache(size_t{1} << 20);
    const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
    cache.Insert(question, answer, now);
    UpstreamAnswer cached;
    if (cache.Find(question, now, cached) != CacheResult::kHit) continue;
    CheckSame(cached.answer, answer.answer);
    CheckSame(cached.authority, answer.authority);
    CheckSame(cached.additional, answer.additional);
  }
  return 0;
}
