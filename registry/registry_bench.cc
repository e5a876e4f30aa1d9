// What the catalog costs: looking a name up, publishing a change, one flip in a big service.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/published.h"
#include "base/random.h"
#include "registry/catalog.h"
#include "registry/image.h"
#include "registry/persistent_map.h"

namespace pharos::registry {
namespace {

std::string NameOf(uint64_t i) { return absl::StrFormat("service-%d", i); }

// Names drawn at random, so that a large map shows what the caches do not hold.
std::vector<std::string> RandomNames(int64_t count) {
  Random random(1);
  std::vector<std::string> names(100'000);
  for (std::string& name : names) name = NameOf(random.Below(static_cast<uint32_t>(count)));
  return names;
}

void BM_PersistentMapFind(benchmark::State& state) {
  PersistentMap<std::string, uint64_t> map;
  for (int64_t i = 0; i < state.range(0); ++i) map.Set(NameOf(static_cast<uint64_t>(i)), 1);
  const std::vector<std::string> names = RandomNames(state.range(0));
  size_t next = 0;
  for ([[maybe_unused]] const auto _ : state) {
    benchmark::DoNotOptimize(map.Find(std::string_view(names[next])));
    next = next + 1 < names.size() ? next + 1 : 0;
  }
}
BENCHMARK(BM_PersistentMapFind)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

// The rival.
void BM_FlatHashMapFind(benchmark::State& state) {
  absl::flat_hash_map<std::string, uint64_t> map;
  for (int64_t i = 0; i < state.range(0); ++i) map[NameOf(static_cast<uint64_t>(i))] = 1;
  const std::vector<std::string> names = RandomNames(state.range(0));
  size_t next = 0;
  for ([[maybe_unused]] const auto _ : state) {
    benchmark::DoNotOptimize(map.find(names[next]));
    next = next + 1 < names.size() ? next + 1 : 0;
  }
}
BENCHMARK(BM_FlatHashMapFind)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

// One entry changes and the whole is published, as after each small batch of commands.
void BM_SetAndPublish(benchmark::State& state) {
  using Map = PersistentMap<std::string, uint64_t>;
  Map head;
  for (int64_t i = 0; i < state.range(0); ++i) head.Set(NameOf(static_cast<uint64_t>(i)), 1);
  Published<Map> published(std::make_unique<const Map>(head));
  const std::vector<std::string> names = RandomNames(state.range(0));
  size_t next = 0;
  for ([[maybe_unused]] const auto _ : state) {
    head.Set(names[next], next);
    published.Publish(std::make_unique<const Map>(head));
    next = next + 1 < names.size() ? next + 1 : 0;
  }
}
BENCHMARK(BM_SetAndPublish)->Arg(1'000)->Arg(100'000);

catalog::v1::Command Flip(int64_t instance, bool passing) {
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name(absl::StrFormat("node-%d", instance));
  change.set_skip_node_update(true);
  catalog::v1::HealthCheck& check = *change.add_checks();
  check.set_id("check");
  check.set_service_id("web");
  check.set_status(passing ? catalog::v1::HEALTH_STATUS_PASSING
                           : catalog::v1::HEALTH_STATUS_CRITICAL);
  return command;
}

// One instance of a service changes its health, and the change is made visible.
void BM_FlipOneInstance(benchmark::State& state) {
  Catalog catalog("dc1");
  uint64_t index = 0;
  for (int64_t i = 0; i < state.range(0); ++i) {
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    change.mutable_node()->set_name(absl::StrFormat("node-%d", i));
    change.mutable_node()->set_address(absl::StrFormat("10.1.%d.%d", i / 250, i % 250));
    change.add_services()->set_name("web");
    CHECK(catalog.Apply(++index, command).ok());
  }
  Published<Snapshot> published(catalog.MakeSnapshot());
  bool passing = false;
  for ([[maybe_unused]] const auto _ : state) {
    CHECK(catalog.Apply(++index, Flip(state.range(0) / 2, passing)).ok());
    published.Publish(catalog.MakeSnapshot());
    passing = !passing;
  }
}
BENCHMARK(BM_FlipOneInstance)->Arg(3)->Arg(100)->Arg(10'000);

// So many services of ten instances, ten services on a node.
std::unique_ptr<Catalog> MakeLargeCatalog(int64_t services) {
  constexpr int64_t kEach = 10;
  auto catalog = std::make_unique<Catalog>("dc1");
  for (int64_t i = 0; i < services; ++i) {
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    const auto address = [&](int64_t first, int64_t number) {
      return absl::StrFormat("%d.%d.%d.%d", first, number >> 16, number >> 8 & 255, number & 255);
    };
    change.mutable_node()->set_name(absl::StrFormat("node-%d", i));
    change.mutable_node()->set_address(address(100, i));
    for (int64_t j = 0; j < kEach; ++j) {
      catalog::v1::Service& service = *change.add_services();
      service.set_name(NameOf(i / kEach * kEach + j));
      service.set_port(8000);
      service.set_address(address(10 + i % kEach, i / kEach * kEach + j));
    }
    CHECK(catalog->Apply(static_cast<uint64_t>(i) + 1, command).ok());
  }
  return catalog;
}

// An image is made for a server that is new, or for a follower.
void BM_WriteImage(benchmark::State& state) {
  const std::unique_ptr<Catalog> catalog = MakeLargeCatalog(state.range(0));
  const std::unique_ptr<const Snapshot> snapshot = catalog->MakeSnapshot();
  for ([[maybe_unused]] const auto _ : state) {
    WriteImage(*snapshot, [](const std::string& chunk) { benchmark::DoNotOptimize(chunk.data()); });
  }
}
BENCHMARK(BM_WriteImage)->Arg(1'000)->Arg(50'000)->Unit(benchmark::kMillisecond);

// And read, by either.
void BM_ReadImage(benchmark::State& state) {
  std::vector<std::string> chunks;
  {
    const std::unique_ptr<Catalog> catalog = MakeLargeCatalog(state.range(0));
    const std::unique_ptr<const Snapshot> snapshot = catalog->MakeSnapshot();
    WriteImage(*snapshot, [&chunks](std::string chunk) { chunks.push_back(std::move(chunk)); });
  }
  for ([[maybe_unused]] const auto _ : state) {
    ImageReader reader;
    for (const std::string& chunk : chunks) CHECK(reader.Add(chunk).ok());
    auto catalog = reader.Finish();
    CHECK(catalog.ok());
    std::unique_ptr<const Snapshot> snapshot = (*catalog)->MakeSnapshot();
    state.PauseTiming();
    catalog->reset();
    snapshot.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(BM_ReadImage)->Arg(1'000)->Arg(50'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pharos::registry

BENCHMARK_MAIN();
