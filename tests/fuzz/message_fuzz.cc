// Whole queries: whatever a client sends, in every configuration, gets a reply that is sound and
// says what the catalog says.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "dns/handler.h"
#include "tests/fuzz/message_catalog.h"
#include "tests/fuzz/message_input.h"
#include "tests/fuzz/message_reply.h"
#include "tests/fuzz/message_world.h"

namespace pharos::fuzz {
namespace {

constexpr int kRoundsMax = 3;  // As the server resolves names outside.

// Handles the request, with all names outside that it needs, as a DNS thread does.
dns::Handled HandleToTheEnd(const Input& input, Transport transport,
                            std::vector<dns::ExternalAnswer>& external,
                            std::vector<uint8_t>& reply) {
  dns::CookieMaker cookies(input.config.cookies);
  const ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  for (int round = 0;; ++round) {
    Random random(input.seed);
    dns::AnswerScratch scratch;
    dns::Query query;
    const bool last = round == kRoundsMax;
    dns::Handled handled = dns::HandleQuery(
        input.request, {input.config, TestSnapshot(), transport, random, scratch, external, !last},
        query, reply);
    if (handled.outcome != dns::Outcome::kResolve) return handled;
    CHECK(!last && input.config.recursion_available && !handled.needed.empty());
    CHECK(handled.needed.size() + external.size() <= dns::kExternalNamesMax);
    for (const dns::UpstreamQuestion& question : handled.needed) {
      external.push_back({question, AskWorld(question, input.world)});
    }
  }
}

void Try(const Input& input, Transport transport) {
  // Exactly as long as the largest reply, so that ASan sees a write past its end.
  std::vector<uint8_t> reply(dns::kMessageOctetsMax);
  std::vector<dns::ExternalAnswer> external;
  const dns::Handled handled = HandleToTheEnd(input, transport, external, reply);
  switch (handled.outcome) {
    case dns::Outcome::kDrop:
      CHECK(input.request.size() < dns::kHeaderOctets || (input.request[2] & 0x80) != 0);
      return;
    case dns::Outcome::kForward:
      CHECK(input.config.recursion_available);
      return;
    default:
      CheckReply(input.request, Octets(reply).first(handled.reply_octets), transport, input.config,
                 external);
  }
}

}  // namespace
}  // namespace pharos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const pharos::fuzz::Input input = pharos::fuzz::ReadInput({data, size});
  for (const pharos::Transport transport : {pharos::Transport::kUdp, pharos::Transport::kTcp}) {
    pharos::fuzz::Try(input, transport);
  }
  return 0;
}
