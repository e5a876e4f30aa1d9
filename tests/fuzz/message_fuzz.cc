// Whatever a client sends: no crash, and a reply that fits what the client takes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "dns/handler.h"
#include "registry/catalog.h"

namespace pharos::dns {
namespace {

std::unique_ptr<const registry::Snapshot> MakeCatalog() {
  static auto& catalog = *new registry::Catalog("dc1");
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name("alpha.dots");
  change.mutable_node()->set_address("10.0.0.1");
  (*change.mutable_node()->mutable_meta())["key"] = "value";
  for (const char* address : {"", "10.0.0.2", "fd00::1", "www.example", "web.service.consul"}) {
    catalog::v1::Service& service = *change.add_services();
    service.set_name("web");
    service.set_id(std::string("web-") + address);
    service.set_address(address);
    service.add_tags("a.b");
  }
  change.add_services()->set_name("consul");
  CHECK(catalog.Apply(1, command).ok());
  return catalog.MakeSnapshot();
}

void Handle(Octets request, Transport transport, const AnswerConfig& config,
            const registry::Snapshot& snapshot) {
  Random random(1);
  AnswerScratch scratch;
  const std::vector<ExternalAnswer> nothing;
  static std::vector<uint8_t> reply(kMessageOctetsMax);
  Query query;
  const Handled handled =
      HandleQuery(request, {config, snapshot, transport, random, scratch, nothing}, query, reply);
  if (handled.outcome != Outcome::kReply) return;
  CHECK(handled.reply_octets >= kHeaderOctets);
  if (transport == Transport::kTcp) return;
  const size_t takes = query.edns ? query.edns->udp_octets : kPlainUdpOctetsMax;
  CHECK(handled.reply_octets <= std::max(takes, kPlainUdpOctetsMax));
}

}  // namespace
}  // namespace pharos::dns

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pharos::dns::AnswerConfig;
  static const auto& snapshot = *pharos::dns::MakeCatalog().release();
  static const AnswerConfig& config = *[] {
    auto* made = new AnswerConfig;
    made->zones.push_back(*pharos::dns::Zone::Make("consul.", "dc1"));
    made->zones.push_back(*pharos::dns::Zone::Make("other.example.", "dc1"));
    made->datacenter = "dc1";
    return made;
  }();
  pharos::dns::Handle({data, size}, pharos::Transport::kUdp, config, snapshot);
  pharos::dns::Handle({data, size}, pharos::Transport::kTcp, config, snapshot);
  return 0;
}
