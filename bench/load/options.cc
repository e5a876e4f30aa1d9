#include "bench/load/options.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos::load {

const char kUsage[] =
    "Usage: load [-name value]...\n"
    "Sends DNS queries over UDP, checks each reply, and prints what came of it as JSON.\n"
    "  -server IP[:PORT]   127.0.0.1:8600\n"
    "  -file PATH          queries, `NAME TYPE [RCODE [ANCOUNT]]` a line; instead of a pattern\n"
    "  -pattern TEXT       svc-%d.service.consul; %d counts the names from 0\n"
    "  -names N            1000\n"
    "  -type TYPE          A, the pattern's query type\n"
    "  -sockets N          8\n"
    "  -window N           16, queries under way on a socket\n"
    "  -burst N            1; a socket sends again once it may send so many at a time\n"
    "  -rate N             queries a second, sent when due; 0 (as the window allows)\n"
    "  -count N            0 (no bound), queries in all\n"
    "  -seconds S          5\n"
    "  -timeout S          1, after which a query is lost\n"
    "  -edns OCTETS        0 (no OPT record)\n"
    "  -seed N             1, of the order of the queries\n"
    "  -merge N            0; 1: sends queries, and takes replies, in messages of many, so that\n"
    "                      the generator is far quicker than a server\n"
    "  -rcode N            what every reply must have; not checked\n"
    "  -answers N          ANCOUNT likewise\n"
    "The exit status is 0 when replies came and none was wrong.\n";

namespace {

struct Number {
  double low, high;
  bool whole;
  std::function<void(double)> store;
};

absl::StatusOr<double> ReadNumber(std::string_view name, std::string_view text,
                                  const Number& number) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool read = error == std::errc{} && end == text.data() + text.size();
  if (!read || !(value >= number.low && value <= number.high) ||
      (number.whole && value != std::floor(value))) {
    return absl::InvalidArgumentError(
        absl::StrFormat("-%s is \"%s\"; expected a %s from %g to %g", name, text,
                        number.whole ? "whole number" : "number", number.low, number.high));
  }
  return value;
}

// Every option that takes a number, with its bounds.
std::map<std::string_view, Number> NumbersOf(Options& options) {
  constexpr double kMost = 1e15;  // Whole numbers up to here are exact.
  const auto whole = [](auto& target) {
    return [&target](double value) {
      target = static_cast<std::remove_reference_t<decltype(target)>>(value);
    };
  };
  const auto u16 = [](std::optional<uint16_t>& target) {
    return [&target](double value) { target = static_cast<uint16_t>(value); };
  };
  return {
      {"names", {1, 1e7, true, whole(options.names)}},
      {"sockets", {1, kSocketsMax, true, whole(options.sockets)}},
      {"window", {1, kWindowMax, true, whole(options.window)}},
      {"burst", {1, kWindowMax, true, whole(options.burst)}},
      {"rate", {0, 1e8, false, [&](double value) { options.rate = value; }}},
      {"count", {0, kMost, true, whole(options.count)}},
      {"seconds",
       {0.01, 86'400, false, [&](double value) { options.duration = absl::Seconds(value); }}},
      {"timeout",
       {0.001, 60, false, [&](double value) { options.timeout = absl::Seconds(value); }}},
      {"edns", {0, 65'535, true, whole(options.edns_octets)}},
      {"seed", {0, kMost, true, whole(options.seed)}},
      {"merge", {0, 1, true, whole(options.merge)}},
      {"rcode", {0, 15, true, u16(options.rcode)}},
      {"answers", {0, 65'535, true, u16(options.answers)}},
  };
}

absl::Status Set(std::string_view name, std::string_view value, Options& options) {
  const std::map<std::string_view, std::string*> texts = {
      {"file", &options.file}, {"pattern", &options.pattern}, {"type", &options.type}};
  if (const auto text = texts.find(name); text != texts.end()) {
    *text->second = std::string(value);
    return absl::OkStatus();
  }
  if (name == "server") {
    ASSIGN_OR_RETURN(options.server, ParseSocketAddress(value, options.server.port));
    return absl::OkStatus();
  }
  const std::map<std::string_view, Number> numbers = NumbersOf(options);
  const auto number = numbers.find(name);
  if (number == numbers.end()) {
    return absl::InvalidArgumentError(absl::StrFormat("there is no option -%s", name));
  }
  ASSIGN_OR_RETURN(const double read, ReadNumber(name, value, number->second));
  number->second.store(read);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ParseOptions(int argc, const char* const* argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name.size() < 2 || name[0] != '-') {
      return absl::InvalidArgumentError(
          absl::StrFormat("\"%s\" is given; expected an option such as -rate", name));
    }
    name.remove_prefix(name.substr(0, 2) == "--" ? 2 : 1);
    if (const size_t equals = name.find('='); equals != std::string_view::npos) {
      RETURN_IF_ERROR(Set(name.substr(0, equals), name.substr(equals + 1), options));
      continue;
    }
    if (i + 1 == argc) {
      return absl::InvalidArgumentError(absl::StrFormat("-%s is given no value", name));
    }
    RETURN_IF_ERROR(Set(name, argv[++i], options));
  }
  return options;
}

}  // namespace pharos::load
