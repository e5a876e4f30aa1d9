#include "dns/answer.h"

#include <algorithm>

#include "dns/answerer.h"

namespace pharos::dns {
namespace {

constexpr std::string_view kAnyDatacenter = "any";

}  // namespace

Answerer::Answerer(const Query& query, const AnswerContext& context, MutableOctets reply)
    : query_(query),
      context_(context),
      config_(context.config),
      snapshot_(context.snapshot),
      limits_(ReplyLimits::For(query, context.transport)),
      reply_(reply),
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
  const bool none = snapshot_.index() == 0 && context_.parts == nullptr;
  if (none || context_.freshness == registry::Freshness::kAbsent) {
    return Refuse(Rcode::kServFail, {InfoCode::kNotReady});
  }
  if (context_.freshness == registry::Freshness::kExpired) {
    return Refuse(Rcode::kServFail,
                  {InfoCode::kNoReachableAuthority, "no server was reached for too long"});
  }
  return AnswerZone();
}

AnswerContext WithOwnParts(const AnswerContext& context) {
  static const registry::PartUses& none = *new const registry::PartUses();
  const auto* const own = context.others->catalogs.Find(context.config.datacenter);
  const bool any = own != nullptr && own->snapshot != nullptr;
  return {.config = context.config,
          .snapshot = any ? *own->snapshot : context.snapshot,
          .transport = context.transport,
          .random = context.random,
          .scratch = context.scratch,
          .external = context.external,
          .may_resolve = context.may_resolve,
          .client = context.client,
          .idle_timeout = context.idle_timeout,
          .cookies = context.cookies,
          .clock = context.clock,
          .freshness = context.freshness,
          .others = context.others,
          .parts = any ? own->parts.get() : &none,
          .is_any = context.is_any,
          .query_snapshot = context.query_snapshot,
          .unavailable = context.unavailable,
          .explanation = context.explanation};
}

const AnswerConfig* OtherDatacenters::ConfigFor(const AnswerConfig& own,
                                                const std::string& datacenter) const {
  const auto found = configs.find(datacenter);
  if (found != configs.end()) return found->second.get();
  auto config = std::make_shared<AnswerConfig>(own);
  config->datacenter = datacenter;
  for (Zone& zone : config->zones) {
    absl::StatusOr<Zone> of_it = Zone::Make(zone.name.ToText(), datacenter);
    if (!of_it.ok()) return nullptr;
    zone = *std::move(of_it);
  }
  return configs.emplace(datacenter, std::move(config)).first->second.get();
}

bool Answerer::IsUnavailable(const std::string& datacenter, const std::string& part) const {
  if (context_.unavailable == nullptr) return false;
  const NeededPart wanted{datacenter, part};
  return std::find(context_.unavailable->begin(), context_.unavailable->end(), wanted) !=
         context_.unavailable->end();
}

std::string Answerer::PartOf(const NameQuestion& question) const {
  switch (question.form) {
    case NameForm::kNode:
      return registry::NodePart(question.name);
    case NameForm::kService:
      return registry::ServicePart(question.name);
    case NameForm::kConnect:
      return registry::ConnectPart(question.name);
    case NameForm::kIngress:
      return registry::IngressPart();
    case NameForm::kPreparedQuery:
      return context_.query_snapshot == nullptr ? registry::QueriesPart() : std::string();
    case NameForm::kApex:
    case NameForm::kNameServer:
      return registry::ServicePart("consul");  // The servers.
    default:
      return {};
  }
}

bool Answerer::Lacks(const std::string& part) {
  if (context_.parts == nullptr || part.empty()) return false;
  const auto found = context_.parts->find(part);
  if (found == context_.parts->end()) {
    needed_part_ = std::make_unique<NeededPart>(NeededPart{config_.datacenter, part});
    return true;
  }
  part_freshness_ =
      std::max(part_freshness_, found->second->freshness.load(std::memory_order_relaxed));
  if (context_.clock != nullptr) {
    found->second->used_unix_s.store(absl::ToUnixSeconds(context_.clock->Now()),
                                     std::memory_order_relaxed);
  }
  return false;
}

Handled Answerer::AnswerFrom(const std::string& datacenter,
                             const registry::RemoteCatalogs::Datacenter& known,
                             const registry::Snapshot* query_snapshot) {
  static const registry::PartUses& none = *new const registry::PartUses();
  static const registry::Snapshot& empty = *new const registry::Snapshot();
  const AnswerConfig* const config = context_.others->ConfigFor(config_, datacenter);
  if (config == nullptr) return Negative(Rcode::kNxDomain);
  const bool asks_query = question_.form == NameForm::kPreparedQuery && query_snapshot == nullptr;
  const AnswerContext there{.config = *config,
                            .snapshot = known.snapshot == nullptr ? empty : *known.snapshot,
                            .transport = context_.transport,
                            .random = context_.random,
                            .scratch = context_.scratch,
                            .external = context_.external,
                            .may_resolve = context_.may_resolve,
                            .client = context_.client,
                            .idle_timeout = context_.idle_timeout,
                            .cookies = context_.cookies,
                            .clock = context_.clock,
                            .freshness = known.freshness,
                            // A query that is asked there may fail over from there.
                            .others = asks_query ? context_.others : nullptr,
                            .parts = known.parts == nullptr ? &none : known.parts.get(),
                            .is_any = question_.datacenter == kAnyDatacenter,
                            .home = context_.home != nullptr ? context_.home : &context_,
                            .depth = context_.depth,
                            .query_snapshot = query_snapshot,
                            .unavailable = context_.unavailable,
                            .explanation = context_.explanation};
  return Answerer(query_, there, reply_).Answer();
}

Handled Answerer::AnswerOtherDatacenter() {
  if (context_.others == nullptr) return Negative(Rcode::kNxDomain);
  const auto* const known = context_.others->catalogs.Find(question_.datacenter);
  if (known != nullptr) return AnswerFrom(std::string(question_.datacenter), *known, nullptr);
  if (config_.any_datacenter && question_.datacenter == kAnyDatacenter) {
    if (question_.form == NameForm::kService || question_.form == NameForm::kConnect) {
      return AnswerAnyDatacenter();
    }
    if (question_.form == NameForm::kEmptyNonTerminal || question_.form == NameForm::kTag) {
      return Negative(Rcode::kNoError);
    }
  }
  // Who has no server to ask cannot say that there is no such datacenter.
  const bool may_ask = context_.freshness == registry::Freshness::kFresh;
  if (may_ask && context_.others->catalogs.complete) return Negative(Rcode::kNxDomain);
  return Refuse(Rcode::kServFail,
                {InfoCode::kNoReachableAuthority, "no server can be asked about datacenters"});
}

Handled Answerer::AnswerAnyDatacenter() {
  AnswerContext here = context_;
  here.is_any = true;
  Handled own = Answerer(query_, here, reply_).Answer();
  if (own.outcome != Outcome::kElsewhere) return own;
  const std::string part = PartOf(question_);
  // Who has no server to ask cannot know of all.
  bool all_known =
      context_.others->catalogs.complete && context_.freshness == registry::Freshness::kFresh;
  for (const std::string& name : context_.others->catalogs.nearest) {
    const auto* const known = context_.others->catalogs.Find(name);
    if (known == nullptr) continue;
    const bool there = known->parts != nullptr && known->parts->contains(part);
    if (known->freshness == registry::Freshness::kExpired ||
        (!there && IsUnavailable(name, part))) {
      all_known = false;
      continue;
    }
    if (!there) {
      needed_part_ = std::make_unique<NeededPart>(NeededPart{name, part});
      return NeedsPart();
    }
    Handled answered = AnswerFrom(name, *known, nullptr);
    if (answered.outcome == Outcome::kElsewhere) continue;
    if (explains()) Tell("datacenter", "answered by the nearest that has any, \"" + name + "\"");
    return answered;
  }
  if (all_known) return Negative(Rcode::kNxDomain);
  return Refuse(Rcode::kServFail,
                {InfoCode::kNoReachableAuthority, "a datacenter that may have any is cut off"});
}

std::optional<Handled> Answerer::LookForPart() {
  const std::string part = PartOf(question_);
  if (!Lacks(part)) {
    if (part_freshness_ != registry::Freshness::kExpired) return std::nullopt;
    return Refuse(Rcode::kServFail,
                  {InfoCode::kNoReachableAuthority, "nobody could be asked for too long"});
  }
  if (!IsUnavailable(config_.datacenter, part)) return NeedsPart();
  return Refuse(Rcode::kServFail,
                {InfoCode::kNoReachableAuthority, "the datacenter cannot be reached"});
}

Handled Answerer::AnswerZone() {
  if (!KnowsDatacenter()) return AnswerOtherDatacenter();
  if (context_.parts != nullptr) {
    if (std::optional<Handled> lacking = LookForPart()) return *std::move(lacking);
  }
  if (context_.freshness == registry::Freshness::kStale ||
      part_freshness_ == registry::Freshness::kStale) {
    writer_.SetError({InfoCode::kStaleAnswer, "no server can be reached"});
  }
  switch (question_.form) {
    case NameForm::kApex:
      return AnswerApex();
    case NameForm::kNameServer:
      return AnswerNameServer();
    case NameForm::kEmptyNonTerminal:
      return Negative(Rcode::kNoError);
    case NameForm::kTag:
      // No part says which tags there are.
      return Negative(NoErrorIf(context_.parts != nullptr || snapshot_.HasTag(question_.tag)));
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
      return Negative(NoErrorIf(IsOtherDatacenter(question_.name)));
  }
}

bool Answerer::IsOtherDatacenter(std::string_view name) const {
  if (context_.others == nullptr || name.empty()) return false;
  return context_.others->catalogs.Find(name) != nullptr ||
         (config_.any_datacenter && name == kAnyDatacenter);
}

bool Answerer::KnowsDatacenter() const {
  // Of a query that failed over to here, the name says where it stands.
  return question_.datacenter.empty() || question_.datacenter == config_.datacenter ||
         context_.query_snapshot != nullptr ||
         (context_.is_any && question_.datacenter == kAnyDatacenter);
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
  registry::AddressHolders holders;
  const bool believed = context_.freshness == registry::Freshness::kFresh ||
                        context_.freshness == registry::Freshness::kStale;
  if (believed && reverse.kind == ReverseName::kAddress && query_.qclass == RrClass::kIn) {
    holders = snapshot_.FindAddress(reverse.address);
  }
  if (!holders.empty() && context_.freshness == registry::Freshness::kStale) {
    writer_.SetError({InfoCode::kStaleAnswer, "no server can be reached"});
  }
  if (!holders.empty()) {
    const bool wants_ptr = query_.qtype == RrType::kPtr || query_.qtype == RrType::kAny;
    if (wants_ptr) AddReverseTarget(holders);
    if (writer_.answer_count() > 0) return Positive();
    if (wants_ptr && may_forward())
      return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
  } else if (may_forward()) {
    return {.outcome = Outcome::kForward, .reply_octets = 0, .needed = {}};
  }
  if (reverse.kind == ReverseName::kOther || query_.qclass != RrClass::kIn) {
    return Refuse(Rcode::kRefused, {InfoCode::kNotAuthoritative});
  }
  if (!believed) return Refuse(Rcode::kServFail, {InfoCode::kNotReady});
  const bool exists = !holders.empty() || reverse.kind == ReverseName::kPart;
  AddReverseSoa(reverse);
  return FinishWith(exists ? Rcode::kNoError : Rcode::kNxDomain);
}

Handled Answerer::NeedsPart() {
  return {.outcome = Outcome::kNeedsPart,
          .reply_octets = 0,
          .needed = {},
          .part = std::move(needed_part_)};
}

Handled Answerer::Positive() {
  if (needed_part_ != nullptr && !IsUnavailable(needed_part_->datacenter, needed_part_->part)) {
    return NeedsPart();
  }
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
  uint16_t flags = config_.recursion_available ? kFlagRa : 0;
  // Of a zone of ours that is said with authority.
  if (rcode == Rcode::kServFail && question_.zone != nullptr) flags |= kFlagAa;
  return {.outcome = Outcome::kReply, .reply_octets = writer_.Finish(rcode, flags), .needed = {}};
}

Handled Answer(const Query& query, const AnswerContext& context, MutableOctets reply) {
  return Answerer(query, context, reply).Answer();
}

}  // namespace pharos::dns
