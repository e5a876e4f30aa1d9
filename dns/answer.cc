#include "dns/answer.h"

#include <algorithm>

#include "dns/answerer.h"

namespace pharos::dns {
namespace {

// The largest UDP reply: 40 octets below a datagram's limit, room for extension headers.
constexpr size_t kUdpReplyOctetsMax = 65467;

// The address that a reverse name spells (RFC 1035 section 3.5, RFC 3596 section 2.5).
struct ReverseName {
  enum Kind : uint8_t {
    kAddress,
    kPart,       // Above addresses: the name of a network, or the reverse domain itself.
    kMalformed,  // Below a reverse domain, but nothing an address could spell.
    kOther,      // Elsewhere under arpa.
  } kind;
  IpAddress address;
  size_t domain_labels;  // Of in-addr.arpa or ip6.arpa: where the labels of the address end.
};

std::optional<int> DecimalLabel(std::string_view label) {
  if (label.empty() || label.size() > 3 || (label.size() > 1 && label[0] == '0')) {
    return std::nullopt;
  }
  int value = 0;
  for (const char c : label) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value <= 255 ? std::optional(value) : std::nullopt;
}

std::optional<int> HexLabel(std::string_view label) {
  if (label.size() != 1) return std::nullopt;
  if (label[0] >= '0' && label[0] <= '9') return label[0] - '0';
  if (label[0] >= 'a' && label[0] <= 'f') return label[0] - 'a' + 10;
  return std::nullopt;
}

// Takes the last label off `text`.
std::string_view TakeLastLabel(std::string_view& text) {
  const size_t dot = text.rfind('.');
  const std::string_view label = dot == std::string_view::npos ? text : text.substr(dot + 1);
  text = dot == std::string_view::npos ? std::string_view() : text.substr(0, dot);
  return label;
}

ReverseName ReadV4(std::string_view labels) {
  std::array<uint8_t, 4> octets{};
  size_t count = 0;
  while (!labels.empty()) {
    const std::optional<int> octet = DecimalLabel(TakeLastLabel(labels));
    if (!octet || count == octets.size()) return {ReverseName::kMalformed, {}, 2};
    octets[count++] = static_cast<uint8_t>(*octet);
  }
  if (count < octets.size()) return {ReverseName::kPart, {}, 2};
  return {ReverseName::kAddress, IpAddress::V4(octets), 2};
}

ReverseName ReadV6(std::string_view labels) {
  std::array<uint8_t, 16> octets{};
  size_t count = 0;
  while (!labels.empty()) {
    const std::optional<int> nibble = HexLabel(TakeLastLabel(labels));
    if (!nibble || count == 2 * octets.size()) return {ReverseName::kMalformed, {}, 2};
    octets[count / 2] = static_cast<uint8_t>(octets[count / 2] << 4 | *nibble);
    ++count;
  }
  if (count < 2 * octets.size()) return {ReverseName::kPart, {}, 2};
  return {ReverseName::kAddress, IpAddress::V6(octets), 2};
}

ReverseName ReadReverseName(std::string_view lower) {
  TakeLastLabel(lower);  // arpa
  const std::string_view domain = TakeLastLabel(lower);
  if (domain == "in-addr") return ReadV4(lower);
  if (domain == "ip6") return ReadV6(lower);
  return {ReverseName::kOther, {}, 1};
}

}  // namespace

ReplyLimits ReplyLimits::For(const Query& query, Transport transport) {
  if (transport == Transport::kTcp) return {kMessageOctetsMax, false, true};
  const size_t asked = query.edns ? query.edns->udp_octets : kPlainUdpOctetsMax;
  const size_t octets_max = std::clamp(asked, kPlainUdpOctetsMax, kUdpReplyOctetsMax);
  return {octets_max, octets_max == kPlainUdpOctetsMax, false};
}

Answerer::Answerer(const Query& query, const AnswerContext& context, MutableOctets reply)
    : query_(query),
      context_(context),
      config_(context.config),
      snapshot_(context.snapshot),
      limits_(ReplyLimits::For(query, context.transport)),
      writer_(query, reply, limits_.octets_max, context.config.compression) {}

Handled Answerer::Answer() {
  // RFC 6891 section 6.1.3: whatever an unknown version may mean, we do not know it.
  if (query_.edns && query_.edns->version > 0) return Refuse(Rcode::kBadVers);
  ParseNameQuestion(query_.qname, query_.qtype, config_, question_);
  if (question_.form == NameForm::kReverse) return AnswerReverse();
  if (question_.form == NameForm::kOutside) {
    if (config_.recursion_available)
      return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
    return Refuse(Rcode::kRefused);
  }
  if (query_.qclass != RrClass::kIn) return Refuse(Rcode::kRefused);
  if (query_.qtype == RrType::kAxfr || query_.qtype == RrType::kIxfr) {
    return Refuse(Rcode::kRefused);
  }
  return AnswerZone();
}

Handled Answerer::AnswerZone() {
  if (!KnowsDatacenter()) return Negative(Rcode::kNxDomain);
  switch (question_.form) {
    case NameForm::kApex:
      return AnswerApex();
    case NameForm::kNameServer:
      return AnswerNameServer();
    case NameForm::kEmptyNonTerminal:
      return Negative(Rcode::kNoError);
    case NameForm::kTag:
      return Negative(snapshot_.HasTag(question_.tag) ? Rcode::kNoError : Rcode::kNxDomain);
    case NameForm::kNode:
      return AnswerNode();
    case NameForm::kService:
      return AnswerService();
    case NameForm::kAddress:
      return AnswerSpelledAddress();
    default:
      return Negative(Rcode::kNxDomain);
  }
}

bool Answerer::KnowsDatacenter() const {
  return question_.datacenter.empty() || question_.datacenter == config_.datacenter;
}

// A reverse name we know is answered from the catalog, whatever its health; any other is for the
// recursors. Without them we stand for the whole reverse tree, as nobody else can be asked.
Handled Answerer::AnswerReverse() {
  const std::string_view lower(question_.lower.data(),
                               query_.qname.is_root() ? 0 : query_.qname.size() - 2);
  const ReverseName reverse = ReadReverseName(lower);
  // Their records name the main domain: a reverse name does not say which was meant.
  question_.zone = &config_.zones.front();
  const registry::AddressEntry* entry = nullptr;
  if (reverse.kind == ReverseName::kAddress && query_.qclass == RrClass::kIn) {
    entry = snapshot_.FindAddress(reverse.address);
  }
  if (entry != nullptr) {
    const bool wants_ptr = query_.qtype == RrType::kPtr || query_.qtype == RrType::kAny;
    if (wants_ptr) AddReverseTarget(*entry);
    if (writer_.answer_count() > 0) return Positive();
    if (wants_ptr && config_.recursion_available)
      return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
  } else if (config_.recursion_available) {
    return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
  }
  if (reverse.kind == ReverseName::kOther || query_.qclass != RrClass::kIn) {
    return Refuse(Rcode::kRefused);
  }
  const bool exists = entry != nullptr || reverse.kind == ReverseName::kPart;
  AddReverseSoa();
  return FinishWith(exists ? Rcode::kNoError : Rcode::kNxDomain);
}

Handled Answerer::Positive() {
  if (!needed_.empty())
    return {.outcome = Outcome::kResolve, .reply_octets = 0, .needed = std::move(needed_)};
  return FinishWith(Rcode::kNoError);
}

Handled Answerer::Negative(Rcode rcode) {
  AddSoa(Section::kAuthority);
  return FinishWith(rcode);
}

Handled Answerer::FinishWith(Rcode rcode) {
  const bool truncated = cut_partial_ || (cut_ && config_.enable_truncate);
  const uint16_t flags = static_cast<uint16_t>(kFlagAa | (truncated ? kFlagTc : 0) |
                                               (config_.recursion_available ? kFlagRa : 0));
  return {.outcome = Outcome::kReply, .reply_octets = writer_.Finish(rcode, flags), .needed = {}};
}

Handled Answerer::Refuse(Rcode rcode) {
  const uint16_t flags = config_.recursion_available ? kFlagRa : 0;
  return {.outcome = Outcome::kReply, .reply_octets = writer_.Finish(rcode, flags), .needed = {}};
}

Handled Answer(const Query& query, const AnswerContext& context, MutableOctets reply) {
  return Answerer(query, context, reply).Answer();
}

}  // namespace pharos::dns
