#include "dns/answer.h"

#include <algorithm>

#include "dns/answerer.h"

namespace pharos::dns {
Answerer::Answerer(const Query& query, const AnswerContext& context, MutableOctets reply)
    : query_(query),
      context_(context),
      config_(context.config),
      snapshot_(context.snapshot),
      limits_(ReplyLimits::For(query, context.transport)),
      writer_(query, reply, limits_.octets_max, context.config.compression) {}

Handled Answerer::Answer() {
  ParseNameQuestion(query_.qname, query_.qtype, config_, question_);
  if (explains()) ExplainForm();
  if (question_.form == NameForm::kReverse) return AnswerReverse();
  if (question_.form == NameForm::kOutside) {
    if (config_.CanForward(query_.qname)) {
      return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
    }
    return Refuse(Rcode::kRefused, {InfoCode::kNotAuthoritative});
  }
  if (query_.qclass != RrClass::kIn) {
    return Refuse(Rcode::kRefused, {InfoCode::kNotSupported, "only class IN is served"});
  }
  if (query_.qtype == RrType::kAxfr || query_.qtype == RrType::kIxfr) {
    return Refuse(Rcode::kRefused, {InfoCode::kNotSupported, "the zone is not transferred"});
  }
  // Who has no catalog at all must not say that a name does not exist.
  if (snapshot_.index() == 0) return Refuse(Rcode::kServFail, {InfoCode::kNotReady});
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
    case NameForm::kConnect:
    case NameForm::kIngress:
    case NameForm::kPreparedQuery:
      return AnswerInstances();
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
  const auto may_forward = [this] {
    return context_.may_resolve && config_.CanForward(query_.qname);
  };
  const ReverseName reverse = ReadReverseName(query_.qname);
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
    if (wants_ptr && may_forward())
      return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
  } else if (may_forward()) {
    return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
  }
  if (reverse.kind == ReverseName::kOther || query_.qclass != RrClass::kIn) {
    return Refuse(Rcode::kRefused, {InfoCode::kNotAuthoritative});
  }
  const bool exists = entry != nullptr || reverse.kind == ReverseName::kPart;
  AddReverseSoa(reverse);
  return FinishWith(exists ? Rcode::kNoError : Rcode::kNxDomain);
}

Handled Answerer::Positive() {
  if (!needed_.empty())
    return {.outcome = Outcome::kResolve, .reply_octets = 0, .needed = std::move(needed_)};
  return FinishWith(chain_end_);
}

Handled Answerer::Negative(Rcode rcode) {
  AddSoa(Section::kAuthority);
  return FinishWith(rcode);
}

Handled Answerer::FinishWith(Rcode rcode) {
  // However many instances may be left out unsaid, not all of them: there are some.
  const bool nothing_left = cut_ && writer_.answer_count() == 0;
  const bool truncated = cut_partial_ || nothing_left || (cut_ && config_.enable_truncate);
  if (explains()) ExplainReply(rcode, truncated);
  const uint16_t flags = static_cast<uint16_t>(kFlagAa | (truncated ? kFlagTc : 0) |
                                               (config_.recursion_available ? kFlagRa : 0));
  return {.outcome = Outcome::kReply, .reply_octets = writer_.Finish(rcode, flags), .needed = {}};
}

Handled Answerer::Refuse(Rcode rcode, const ExtendedError& why) {
  writer_.SetError(why);
  if (explains()) ExplainReply(rcode, false);
  const uint16_t flags = config_.recursion_available ? kFlagRa : 0;
  return {.outcome = Outcome::kReply, .reply_octets = writer_.Finish(rcode, flags), .needed = {}};
}

Handled Answer(const Query& query, const AnswerContext& context, MutableOctets reply) {
  return Answerer(query, context, reply).Answer();
}

}  // namespace pharos::dns
