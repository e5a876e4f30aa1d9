// Answers a fixed set of queries so often that callgrind can count what one costs:
//
//   instructions KIND BATCH ROUNDS
//
// hands BATCH queries of a KIND at a time to a worker with a catalog of 1,000 services of three
// instances, as a UDP listener does, ROUNDS times. Everything that is to be counted is in Measured.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/published.h"
#include "dns/worker.h"
#include "registry/catalog.h"

namespace pharos::dns {
namespace {

constexpr int kServices = 1000;
constexpr int kInstances = 3;

// Names outside are not asked about here.
class NoResolver : public Resolver {
 public:
  bool has_upstreams() const override { return false; }
  void Resolve(const UpstreamQuestion& /*question*/, absl::Time /*now*/, Done done) override {
    done({});
  }
  void Close(std::function<void()> closed) override { closed(); }
};

struct Kind {
  std::string_view name, pattern;
  RrType type;
  bool edns;
};
constexpr Kind kKinds[] = {
    {"a", "svc-%d.service.consul.", RrType::kA, false},
    {"a-edns", "svc-%d.service.consul.", RrType::kA, true},
    {"srv", "svc-%d.service.consul.", RrType::kSrv, true},
    {"nxdomain", "none-%d.service.consul.", RrType::kA, false},
    {"nodata", "svc-%d.service.consul.", RrType::kAaaa, false},
};

std::unique_ptr<registry::Catalog> MakeCatalog() {
  auto catalog = std::make_unique<registry::Catalog>("dc1");
  uint64_t index = 0;
  for (int j = 0; j < kInstances; ++j) {
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    change.mutable_node()->set_name(absl::StrFormat("node-%d", j));
    change.mutable_node()->set_address(absl::StrFormat("10.0.0.%d", j + 1));
    for (int i = 0; i < kServices; ++i) {
      catalog::v1::Service& service = *change.add_services();
      service.set_name(absl::StrFormat("svc-%d", i));
      service.set_port(8080);
    }
    CHECK(catalog->Apply(++index, command).ok());
  }
  return catalog;
}

std::vector<uint8_t> MakeRequest(const Kind& kind, int i) {
  std::vector<uint8_t> request = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, kind.edns};
  std::string text(kind.pattern);
  const Name name = *Name::FromText(text.replace(text.find("%d"), 2, std::to_string(i)));
  request.insert(request.end(), name.wire().begin(), name.wire().end());
  for (const uint16_t value : {static_cast<uint16_t>(kind.type), uint16_t{1}}) {
    request.push_back(static_cast<uint8_t>(value >> 8));
    request.push_back(static_cast<uint8_t>(value));
  }
  if (kind.edns) request.insert(request.end(), {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0});
  return request;
}

// Not inlined: callgrind finds it by its name.
__attribute__((noinline)) size_t Measured(QueryHandler& handler, std::span<const Octets> requests,
                                          MutableOctets reply) {
  size_t octets = 0;
  const ReplyPath path;
  handler.BeginBatch();
  handler.LookAhead(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    size_t written = handler.AnswerAhead(i, reply);
    if (written == 0) written = handler.Handle(requests[i], path, reply).value_or(0);
    octets += written;
  }
  handler.EndBatch();
  return octets;
}

int Run(const Kind& kind, size_t batch, int rounds) {
  const std::unique_ptr<registry::Catalog> catalog = MakeCatalog();
  const Published<registry::Snapshot> published(catalog->MakeSnapshot());
  auto config = std::make_shared<AnswerConfig>();
  config->zones.push_back(*Zone::Make("consul.", "dc1"));
  config->datacenter = "dc1";
  const ManualClock clock;
  Worker worker(published, std::make_unique<NoResolver>(), clock, config, 1);
  std::vector<std::vector<uint8_t>> requests;
  requests.reserve(kServices);
  for (int i = 0; i < kServices; ++i) requests.push_back(MakeRequest(kind, i));
  std::vector<uint8_t> reply(kMessageOctetsMax);
  std::vector<Octets> views(batch);
  size_t next = 0;
  size_t octets = 0;
  for (int round = 0; round < rounds; ++round) {
    for (Octets& view : views) view = requests[next++ % requests.size()];
    octets += Measured(worker, views, reply);
  }
  std::cout << octets << " octets\n";
  return octets > 0 ? 0 : 1;
}

}  // namespace
}  // namespace pharos::dns

int main(int argc, char** argv) {
  if (argc == 4) {
    for (const auto& kind : pharos::dns::kKinds) {
      if (kind.name == argv[1]) {
        return pharos::dns::Run(kind, static_cast<size_t>(std::atoi(argv[2])), std::atoi(argv[3]));
      }
    }
  }
  std::cerr << "usage: instructions KIND BATCH ROUNDS\n";
  return 2;
}
