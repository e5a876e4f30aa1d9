#include "bench/load/question.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "dns/name.h"
#include "dns/types.h"

namespace pharos::load {
namespace {

constexpr std::array<std::pair<std::string_view, uint16_t>, 12> kTypes = {{
    {"A", 1},
    {"NS", 2},
    {"CNAME", 5},
    {"SOA", 6},
    {"PTR", 12},
    {"MX", 15},
    {"TXT", 16},
    {"AAAA", 28},
    {"SRV", 33},
    {"HTTPS", 65},
    {"AXFR", 252},
    {"ANY", 255},
}};

std::optional<uint16_t> ReadU16(std::string_view text) {
  uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint16_t> ReadType(std::string_view text) {
  for (const auto& [name, number] : kTypes) {
    if (text == name) return number;
  }
  if (text.substr(0, 4) == "TYPE") return ReadU16(text.substr(4));
  return std::nullopt;
}

// `NAME TYPE [RCODE [ANCOUNT]]`
absl::StatusOr<Question> ReadLine(const std::string& line, const Options& options) {
  std::istringstream words(line);
  std::string name, type, rcode, answers, rest;
  words >> name >> type >> rcode >> answers >> rest;
  if (type.empty() || !rest.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("\"%s\" is given; expected NAME TYPE [RCODE [ANCOUNT]]", line));
  }
  ASSIGN_OR_RETURN(Question question, MakeQuestion(name, type, options.edns_octets));
  question.rcode = rcode.empty() ? options.rcode : ReadU16(rcode);
  question.answers = answers.empty() ? options.answers : ReadU16(answers);
  if ((!rcode.empty() && !question.rcode) || (!answers.empty() && !question.answers)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("\"%s\" is given; RCODE and ANCOUNT are numbers from 0 to 65535", line));
  }
  return question;
}

absl::StatusOr<std::vector<Question>> ReadQuestions(const Options& options) {
  std::ifstream file(options.file);
  if (!file) return absl::NotFoundError(absl::StrFormat("cannot read %s", options.file));
  std::vector<Question> questions;
  size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    absl::StatusOr<Question> question = ReadLine(line, options);
    if (!question.ok()) {
      return absl::InvalidArgumentError(absl::StrFormat("%s:%d: %s", options.file, number,
                                                        std::string(question.status().message())));
    }
    questions.push_back(*std::move(question));
  }
  if (questions.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s holds no query", options.file));
  }
  return questions;
}

}  // namespace

absl::StatusOr<Question> MakeQuestion(std::string_view name, std::string_view type,
                                      uint16_t edns_octets) {
  const std::optional<dns::Name> qname = dns::Name::FromText(name);
  if (!qname) {
    return absl::InvalidArgumentError(absl::StrFormat("\"%s\" is not a domain name", name));
  }
  const std::optional<uint16_t> qtype = ReadType(type);
  if (!qtype) {
    return absl::InvalidArgumentError(
        absl::StrFormat("\"%s\" is not a type; expected one such as SRV, or TYPE33", type));
  }
  Question question;
  question.message.resize(kQueryOctetsMax);
  ByteWriter writer(question.message);
  writer.U16(0);
  writer.U16(dns::kFlagRd);
  writer.U16(1);
  writer.U16(0);
  writer.U16(0);
  writer.U16(edns_octets > 0 ? 1 : 0);
  writer.Append(qname->wire());
  writer.U16(*qtype);
  writer.U16(static_cast<uint16_t>(dns::RrClass::kIn));
  question.question_octets = writer.offset() - dns::kHeaderOctets;
  if (edns_octets > 0) {
    writer.U8(0);
    writer.U16(static_cast<uint16_t>(dns::RrType::kOpt));
    writer.U16(edns_octets);
    writer.U32(0);
    writer.U16(0);
  }
  question.message.resize(writer.offset());
  return question;
}

absl::StatusOr<std::vector<Question>> MakeQuestions(const Options& options) {
  if (!options.file.empty()) return ReadQuestions(options);
  const size_t at = options.pattern.find("%d");
  std::vector<Question> questions;
  // Without a counter every name would be the same.
  const size_t names = at == std::string::npos ? 1 : options.names;
  for (size_t i = 0; i < names; ++i) {
    std::string name = options.pattern;
    if (at != std::string::npos) name.replace(at, 2, std::to_string(i));
    ASSIGN_OR_RETURN(Question question, MakeQuestion(name, options.type, options.edns_octets));
    question.rcode = options.rcode;
    question.answers = options.answers;
    questions.push_back(std::move(question));
  }
  return questions;
}

Verdict Judge(const Question& question, Octets reply) {
  if (reply.size() < dns::kHeaderOctets) return Verdict::kMalformed;
  const uint16_t flags = LoadU16(&reply[2]);
  if ((flags & dns::kFlagQr) == 0) return Verdict::kMalformed;
  const Octets asked =
      Octets(question.message).subspan(dns::kHeaderOctets, question.question_octets);
  if (LoadU16(&reply[4]) != 1 || reply.size() < dns::kHeaderOctets + asked.size() ||
      !std::equal(asked.begin(), asked.end(), reply.begin() + dns::kHeaderOctets)) {
    return Verdict::kWrongQuestion;
  }
  if (question.rcode && (flags & 0x000f) != *question.rcode) return Verdict::kWrongRcode;
  if (question.answers && LoadU16(&reply[6]) != *question.answers) return Verdict::kWrongAnswers;
  return Verdict::kRight;
}

}  // namespace pharos::load
