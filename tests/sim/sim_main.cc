// Runs simulated clusters: `sim [--seed N] [--runs N] [--servers N]`; prints a line for each run
// that fails, and a summary. Exit status 1 when one failed.
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/strings/numbers.h"
#include "base/log.h"
#include "tests/sim/cluster.h"

namespace {

bool ReadNumber(int argc, char** argv, int& at, const char* name, uint64_t& target) {
  if (std::strcmp(argv[at], name) != 0 || at + 1 >= argc) return false;
  return absl::SimpleAtoi(argv[++at], &target);
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = 1, runs = 1, servers = 0, verbose = 0;
  for (int i = 1; i < argc; ++i) {
    if (ReadNumber(argc, argv, i, "--seed", seed)) continue;
    if (ReadNumber(argc, argv, i, "--runs", runs)) continue;
    if (ReadNumber(argc, argv, i, "--servers", servers)) continue;
    if (ReadNumber(argc, argv, i, "--verbose", verbose)) continue;
    std::fprintf(stderr, "usage: %s [--seed N] [--runs N] [--servers N] [--verbose 1]\n", argv[0]);
    return 2;
  }
  pharos::SetLogLevel(verbose != 0 ? pharos::LogLevel::kInfo : pharos::LogLevel::kError);
  uint64_t failed = 0;
  pharos::sim::ClusterReport total;
  for (uint64_t run = 0; run < runs; ++run) {
    pharos::sim::ClusterOptions options;
    options.seed = seed + run;
    options.servers = servers != 0 ? static_cast<int>(servers) : static_cast<int>(3 + run % 3 * 2);
    const pharos::sim::ClusterReport report = pharos::sim::Cluster(options).Run();
    total.acknowledged += report.acknowledged;
    total.unknown += report.unknown;
    total.refused += report.refused;
    total.reads += report.reads;
    total.crashes += report.crashes;
    total.cuts += report.cuts;
    total.leaders += report.leaders;
    total.snapshots_installed += report.snapshots_installed;
    if (report.failure.empty()) continue;
    ++failed;
    std::printf("FAILED --seed %llu --servers %d: %s\n",
                static_cast<unsigned long long>(options.seed), options.servers,
                report.failure.c_str());
  }
  std::printf(
      "%llu runs, %llu failed: %llu writes acknowledged, %llu unknown, %llu refused, %llu "
      "reads; %llu crashes, %llu cuts, %llu leaders, %llu snapshots installed\n",
      static_cast<unsigned long long>(runs), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(total.acknowledged),
      static_cast<unsigned long long>(total.unknown),
      static_cast<unsigned long long>(total.refused), static_cast<unsigned long long>(total.reads),
      static_cast<unsigned long long>(total.crashes), static_cast<unsigned long long>(total.cuts),
      static_cast<unsigned long long>(total.leaders),
      static_cast<unsigned long long>(total.snapshots_installed));
  return failed == 0 ? 0 : 1;
}
