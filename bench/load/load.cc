// The load generator's command: see kUsage in options.cc.
#include <cstdio>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "bench/load/run.h"

namespace pharos::load {
namespace {

void PrintJson(const Outcome& outcome) {
  const double seconds = absl::ToDoubleSeconds(outcome.elapsed);
  const auto per_second = [&](uint64_t count) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  absl::PrintF("{\"sent\": %d, \"answered\": %d, \"lost\": %d, \"stray\": %d,\n", outcome.sent,
               outcome.answered, outcome.lost, outcome.stray);
  absl::PrintF(
      " \"wrong\": {\"malformed\": %d, \"question\": %d, \"rcode\": %d, \"answers\": %d},\n",
      outcome.malformed, outcome.wrong_question, outcome.wrong_rcode, outcome.wrong_answers);
  absl::PrintF(" \"seconds\": %.3f, \"answered_per_second\": %.0f, \"reply_octets\": %d,\n",
               seconds, per_second(outcome.answered), outcome.reply_octets);
  const auto us = [&](double q) { return absl::ToDoubleMicroseconds(outcome.latency.Quantile(q)); };
  absl::PrintF(
      " \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": "
      "%.1f}}\n",
      us(0.5), us(0.9), us(0.99), us(0.999), us(1));
}

int Fail(const absl::Status& status) {
  absl::FPrintF(stderr, "load: %s\n", std::string(status.message()));
  return 1;
}

int Main(int argc, char** argv) {
  if (argc == 2 && (std::string_view(argv[1]) == "-help" || std::string_view(argv[1]) == "-h")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const absl::StatusOr<Options> options = ParseOptions(argc, argv);
  if (!options.ok()) return Fail(options.status());
  const absl::StatusOr<std::vector<Question>> questions = MakeQuestions(*options);
  if (!questions.ok()) return Fail(questions.status());
  const absl::StatusOr<Outcome> outcome = Run(*options, *questions);
  if (!outcome.ok()) return Fail(outcome.status());
  PrintJson(*outcome);
  return outcome->answered > 0 && outcome->wrong() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pharos::load

int main(int argc, char** argv) { return pharos::load::Main(argc, argv); }
