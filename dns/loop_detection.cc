#include "dns/loop_detection.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace pharos::dns {
namespace {

constexpr int kLettersMin = 20;
constexpr std::string_view kDomain = ".test.";

bool IsLetter(uint8_t octet) {
  const uint8_t lower = LowerOctet(octet);
  return lower >= 'a' && lower <= 'z';
}

}  // namespace

LoopProbe::LoopProbe(std::string_view token) : token_(token) {}

UpstreamQuestion LoopProbe::MakeQuestion(Octets nonce) const {
  const std::string_view octets = AsText(nonce);
  const std::string label = absl::BytesToHexString(absl::string_view(octets.data(), octets.size()));
  return {.qname = *Name::FromText(label + "." + token_ + std::string(kDomain)),
          .qtype = RrType::kTxt};
}

bool LoopProbe::IsOwn(const UpstreamQuestion& question) const {
  if (!enabled() || question.qtype != RrType::kTxt || question.qclass != RrClass::kIn) return false;
  const std::optional<Name> domain = Name::FromText(token_ + std::string(kDomain));
  return domain && question.qname.Parent() == *domain;
}

UpstreamAnswer LoopProbe::MakeAnswer(const UpstreamQuestion& question) const {
  Record record;
  record.owner = question.qname;
  record.type = RrType::kTxt;
  record.rdata.push_back(static_cast<uint8_t>(token_.size()));
  record.rdata.insert(record.rdata.end(), token_.begin(), token_.end());
  UpstreamAnswer answer;
  answer.rcode = Rcode::kNoError;
  answer.answer.push_back(std::move(record));  // TTL 0: for nobody to keep.
  return answer;
}

bool LoopProbe::IsOwnAnswer(const UpstreamAnswer& answer) const {
  return std::ranges::any_of(answer.answer, [this](const Record& record) {
    return record.type == RrType::kTxt && record.rdata.size() == token_.size() + 1 &&
           AsText(Octets(record.rdata).subspan(1)) == token_;
  });
}

bool IsOwnSpelling(const Name& sent, const Name& asked) {
  return std::ranges::equal(sent.wire(), asked.wire()) &&
         std::ranges::count_if(sent.wire(), IsLetter) >= kLettersMin;
}

}  // namespace pharos::dns
