// A query ready to be sent, and what its reply must look like.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/octets.h"
#include "bench/load/options.h"

namespace pharos::load {

// The largest query we make: a header, a question of the longest name, an OPT record.
inline constexpr size_t kQueryOctetsMax = 12 + 255 + 4 + 11;

struct Question {
  std::vector<uint8_t> message;  // With id 0; at most kQueryOctetsMax octets.
  size_t question_octets = 0;    // Of the question section, which follows the header.
  std::optional<uint16_t> rcode;
  std::optional<uint16_t> answers;
};

// `type` is a mnemonic (A, SRV, ...) or TYPEnnn (RFC 3597 section 5). The error says which of the
// two was not understood.
absl::StatusOr<Question> MakeQuestion(std::string_view name, std::string_view type,
                                      uint16_t edns_octets);

// Every query the options ask for: at least one. Errors name the file and the line.
absl::StatusOr<std::vector<Question>> MakeQuestions(const Options& options);

enum class Verdict : uint8_t {
  kRight,
  kMalformed,  // Shorter than a header, or not a reply (QR).
  kWrongQuestion,
  kWrongRcode,
  kWrongAnswers,
};

// What is to be thought of `reply` to `question`; its id has been looked at already. A reply from
// the bare echo carries the question and no answers, and is right where nothing else is expected.
Verdict Judge(const Question& question, Octets reply);

}  // namespace pharos::load
