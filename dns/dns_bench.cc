// What the stages of an answer cost: reading the message, reading the name, the whole.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/published.h"
#include "dns/handler.h"
#include "dns/name_question.h"
#include "dns/ready_answer.h"
#include "dns/sample.h"
#include "dns/worker.h"
#include "registry/catalog.h"

namespace pharos::dns {
namespace {

constexpr int kInstances = 3;

std::vector<uint8_t> MakeRequest(const std::string& name, RrType type) {
  std::vector<uint8_t> request(kHeaderOctets, 0);
  request[2] = 0x01;  // RD
  request[5] = 1;     // One question.
  const Name qname = *Name::FromText(name);
  request.insert(request.end(), qname.wire().begin(), qname.wire().end());
  for (const auto value : {static_cast<uint16_t>(type), uint16_t{1}}) {
    request.push_back(static_cast<uint8_t>(value >> 8));
    request.push_back(static_cast<uint8_t>(value));
  }
  return request;
}

// The request with an OPT record that has `options`.
std::vector<uint8_t> WithOpt(std::vector<uint8_t> request, const std::vector<uint8_t>& options) {
  request[11] = 1;  // One additional record.
  const std::vector<uint8_t> opt = {0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0};
  request.insert(request.end(), opt.begin(), opt.end());
  request.push_back(static_cast<uint8_t>(options.size()));
  request.insert(request.end(), options.begin(), options.end());
  return request;
}

// Names outside are not asked about here.
class NoResolver : public Resolver {
 public:
  bool has_upstreams() const override { return false; }
  void Resolve(const UpstreamQuestion& /*question*/, absl::Time /*now*/, Done done) override {
    done({});
  }
  void Close(std::function<void()> closed) override { closed(); }
};

std::unique_ptr<registry::Catalog> MakeCatalog(int64_t services) {
  auto catalog = std::make_unique<registry::Catalog>("dc1");
  uint64_t index = 0;
  constexpr int64_t kPerNode = 10;
  for (int64_t first = 0; first < services; first += kPerNode) {
    for (int j = 0; j < kInstances; ++j) {
      catalog::v1::Command command;
      catalog::v1::Register& change = *command.mutable_register_();
      change.mutable_node()->set_name(absl::StrFormat("node-%d-%d", first, j));
      change.mutable_node()->set_address(absl::StrFormat(
          "10.%d.%d.%d", j + 1, first / kPerNode / 250 % 250, first / kPerNode % 250));
      for (int64_t i = first; i < first + kPerNode; ++i) {
        catalog::v1::Service& service = *change.add_services();
        service.set_name(absl::StrFormat("svc-%d", i));
        service.set_port(8080);
      }
      CHECK(catalog->Apply(++index, command).ok());
    }
  }
  return catalog;
}

// A catalog of so many services.
struct World {
  explicit World(int64_t of) : services(of), catalog(MakeCatalog(of)) {}
  int64_t services;
  std::unique_ptr<registry::Catalog> catalog;
  std::unique_ptr<const registry::Snapshot> snapshot = catalog->MakeSnapshot();
  Published<registry::Snapshot> published{catalog->MakeSnapshot()};
};

// Made once for each size; on any thread.
const World& WorldOf(int64_t services) {
  static std::mutex mutex;
  static auto& worlds = *new std::vector<std::unique_ptr<World>>;
  const std::lock_guard lock(mutex);
  for (const auto& world : worlds) {
    if (world->services == services) return *world;
  }
  return *worlds.emplace_back(std::make_unique<World>(services));
}

AnswerConfig Config() {
  AnswerConfig config;
  config.zones.push_back(*Zone::Make("consul.", "dc1"));
  config.datacenter = "dc1";
  return config;
}

void BM_ParseQuery(benchmark::State& state) {
  const std::vector<uint8_t> request = MakeRequest("svc-123.service.consul.", RrType::kA);
  Query query;
  for ([[maybe_unused]] const auto _ : state) benchmark::DoNotOptimize(ParseQuery(request, query));
}
BENCHMARK(BM_ParseQuery);

void BM_ParseNameQuestion(benchmark::State& state) {
  const AnswerConfig config = Config();
  const Name name = *Name::FromText("svc-123.service.consul.");
  for ([[maybe_unused]] const auto _ : state) {
    NameQuestion question;
    ParseNameQuestion(name, RrType::kA, config, question);
    benchmark::DoNotOptimize(question.form);
  }
}
BENCHMARK(BM_ParseNameQuestion);

void BM_Sample(benchmark::State& state) {
  std::vector<uint32_t> all(static_cast<size_t>(state.range(0)));
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  Random random(1);
  AnswerScratch scratch;
  for ([[maybe_unused]] const auto _ : state)
    benchmark::DoNotOptimize(Sample({all}, 3, random, scratch).data());
}
BENCHMARK(BM_Sample)->Arg(3)->Arg(100)->Arg(10'000);

enum class With : uint8_t { kNothing, kOpt, kClientCookie, kCookie };

// Gives each request the OPT record that is to be measured.
void AddOptions(With with, const AnswerContext& context,
                std::vector<std::vector<uint8_t>>& requests) {
  if (with == With::kNothing) return;
  std::vector<uint8_t> option;
  if (with != With::kOpt) {
    Cookie cookie;
    const std::vector<uint8_t> client_cookie(kClientCookieOctets, 'c');
    context.cookies->Check(client_cookie, context.client, context.clock->Now(), cookie);
    const size_t octets = with == With::kCookie ? kCookieOctets : kClientCookieOctets;
    option = {0, static_cast<uint8_t>(EdnsOption::kCookie), 0, static_cast<uint8_t>(octets)};
    option.insert(option.end(), cookie.begin(), cookie.begin() + static_cast<ptrdiff_t>(octets));
  }
  for (std::vector<uint8_t>& request : requests) request = WithOpt(request, option);
}

// For names drawn at random from a catalog of so many services.
std::vector<std::vector<uint8_t>> DrawRequests(int64_t services, const char* pattern, RrType type,
                                               Random& random) {
  std::vector<std::vector<uint8_t>> requests;
  for (int i = 0; i < 100'000; ++i) {
    const uint32_t service = random.Below(static_cast<uint32_t>(services));
    requests.push_back(
        MakeRequest(std::string(pattern) + absl::StrFormat("-%d.service.consul.", service), type));
  }
  return requests;
}

// Answers questions about names drawn at random from the whole catalog, so that the larger ones
// show what the caches do not hold.
void Handle(benchmark::State& state, const char* pattern, RrType type, With with = With::kNothing) {
  const registry::Snapshot& snapshot = *WorldOf(state.range(0)).snapshot;
  const AnswerConfig config = Config();
  Random random(1);
  std::vector<std::vector<uint8_t>> requests = DrawRequests(state.range(0), pattern, type, random);
  const std::vector<ExternalAnswer> nothing;
  AnswerScratch scratch;
  CookieMaker cookies(config.cookies);
  const ManualClock clock;
  AnswerContext context{config, snapshot, Transport::kUdp, random, scratch, nothing};
  context.cookies = &cookies;
  context.clock = &clock;
  AddOptions(with, context, requests);
  std::vector<uint8_t> reply(kMessageOctetsMax);
  Query query;
  size_t next = 0;
  for ([[maybe_unused]] const auto _ : state) {
    benchmark::DoNotOptimize(HandleQuery(requests[next], context, query, reply).reply_octets);
    next = next + 1 < requests.size() ? next + 1 : 0;
  }
}
void BM_HandleA(benchmark::State& state) { Handle(state, "svc", RrType::kA); }
void BM_HandleSrv(benchmark::State& state) { Handle(state, "svc", RrType::kSrv); }
void BM_HandleNxDomain(benchmark::State& state) { Handle(state, "none", RrType::kA); }
void BM_HandleOpt(benchmark::State& state) { Handle(state, "svc", RrType::kA, With::kOpt); }
void BM_HandleClientCookie(benchmark::State& state) {
  Handle(state, "svc", RrType::kA, With::kClientCookie);
}
void BM_HandleCookie(benchmark::State& state) { Handle(state, "svc", RrType::kA, With::kCookie); }
// A batch of 64 as a listener has it answered, without the kernel. With two threads each has a
// worker of its own, as the agent's have, and they share the catalog: what they cost beyond one
// thread's time would be lines of memory that both write.
void BM_Batch(benchmark::State& state) {
  const World& world = WorldOf(state.range(0));
  const ManualClock clock;
  Worker worker(world.published, std::make_unique<NoResolver>(), clock,
                std::make_shared<AnswerConfig>(Config()), 1);
  Random random(static_cast<uint64_t>(state.thread_index()) + 1);
  const auto requests = DrawRequests(state.range(0), "svc", RrType::kA, random);
  std::array<Octets, ReadyAnswers::kBatchMax> batch;
  std::vector<uint8_t> reply(kMessageOctetsMax);
  size_t next = 0;
  for ([[maybe_unused]] const auto _ : state) {
    if (next + batch.size() > requests.size()) next = 0;
    for (Octets& message : batch) message = requests[next++];
    worker.BeginBatch();
    worker.LookAhead(batch);
    for (size_t i = 0; i < batch.size(); ++i) CHECK(worker.AnswerAhead(i, reply) > 0);
    worker.EndBatch();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(batch.size()));
}
BENCHMARK(BM_Batch)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)->Threads(1)->Threads(2);
BENCHMARK(BM_HandleA)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(BM_HandleSrv)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(BM_HandleOpt)->Arg(1'000);
BENCHMARK(BM_HandleClientCookie)->Arg(1'000);
BENCHMARK(BM_HandleCookie)->Arg(1'000);
BENCHMARK(BM_HandleNxDomain)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

}  // namespace
}  // namespace pharos::dns

BENCHMARK_MAIN();
