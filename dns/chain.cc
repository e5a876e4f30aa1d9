// Host names as addresses: CNAME chains inside our zones and out of them.

#include <algorithm>
#include <array>

#include "dns/answerer.h"
#include "dns/upstream_message.h"

namespace pharos::dns {
namespace {

// A longer chain inside our zones is somebody's mistake; it ends here.
constexpr size_t kNamesMax = 8;
// Nor is it of use to go to and fro between datacenters.
constexpr int kDatacentersMax = 4;

// Which type is asked of a target: records of the type of the question, and for ANY what any client
// can use (RFC 8482 section 4.3 lets us choose).
RrType TypeToFollow(RrType qtype) { return qtype == RrType::kAny ? RrType::kA : qtype; }

}  // namespace

NameParts Answerer::TargetParts(Octets wire) const {
  NameParts parts{.labels = {}, .suffix = wire};
  const NameParts zone = ZoneOwner();
  if (zone.suffix_offset == 0 || wire.size() <= zone.suffix.size()) return parts;
  const Octets end = wire.last(zone.suffix.size());
  if (!std::equal(end.begin(), end.end(), zone.suffix.begin())) return parts;
  // The octets agree; they must also begin at a label.
  size_t at = 0;
  const size_t start = wire.size() - zone.suffix.size();
  while (at < start) at += wire[at] + size_t{1};
  if (at != start) return parts;
  return {wire.first(start), end, zone.suffix_offset};
}

void Answerer::AddChain(Octets target_wire, uint32_t cname_ttl_s, std::optional<uint32_t> ttl_s) {
  const std::optional<Name> target = Name::FromWire(target_wire);
  if (!target) return;
  if (explains()) ExplainTarget(*target);
  if (!writer_.AddNameRecord(Section::kAnswer, RrType::kCname, writer_.QnameOwner(), cname_ttl_s,
                             TargetParts(target_wire))) {
    cut_partial_ = true;
    return;
  }
  // Who asks for the CNAME itself is not led on (RFC 1034 section 3.6.2).
  if (query_.qtype == RrType::kCname) return;
  Follow(*target, writer_.last_target_offset(), query_.qtype, Section::kAnswer, ttl_s);
}

void Answerer::Follow(Name target, uint16_t target_offset, RrType type, Section section,
                      std::optional<uint32_t> ttl_s) {
  std::array<Name, kNamesMax> seen;
  size_t seen_count = 0;
  if (section == Section::kAnswer) seen[seen_count++] = query_.qname;
  while (seen_count < kNamesMax) {
    if (std::find(seen.begin(), seen.begin() + static_cast<ptrdiff_t>(seen_count), target) !=
        seen.begin() + static_cast<ptrdiff_t>(seen_count)) {
      return;  // A loop stops at its first repeat.
    }
    seen[seen_count++] = target;
    NameQuestion question;
    ParseNameQuestion(target, type, config_, question);
    if (question.zone == nullptr) {
      const std::optional<Name> back = FollowOutside(target, type, section, ttl_s);
      if (!back) return;
      target = *back;
      target_offset = 0;
      continue;
    }
    if (IsElsewhere(question)) return FollowElsewhere(target, type, section, ttl_s);

    const NameParts owner{{}, target.wire(), 0, target_offset};
    std::optional<Candidates> candidates;
    if (NamesInstances(question.form)) {
      Found found = FindCandidates(question);
      if (needed_part_ != nullptr) return;
      if (!found.candidates) {
        if (section == Section::kAnswer) EndChain(question, found.otherwise);
        return;
      }
      candidates = found.candidates;
    }
    const uint32_t record_ttl_s =
        ttl_s.value_or(candidates ? candidates->ttl_s : config_.node_ttl_s);
    const size_t before = writer_.offset();
    std::optional<Octets> next;
    if (question.form == NameForm::kNode) {
      // A service's ANY has the addresses of a node, and not what else is said of it.
      const bool with_meta = type == RrType::kAny && section == Section::kAnswer && !ttl_s;
      next = FollowNode(question, owner, type, section, record_ttl_s);
      const registry::NodeEntry* const entry =
          with_meta ? snapshot_.FindNode(question.name) : nullptr;
      if (entry != nullptr) AddNodeMeta(section, *entry->node, owner, record_ttl_s);
    } else if (candidates) {
      next = FollowInstances(*candidates, owner, type, section, record_ttl_s);
    } else if (question.form == NameForm::kAddress) {
      AddSpelledAddress(question.name, owner, type, section, record_ttl_s);
    }
    if (!next) {
      const bool nothing = section == Section::kAnswer && writer_.offset() == before;
      if (nothing) EndChain(question, RcodeAtEnd(question, candidates));
      return;
    }
    const std::optional<Name> next_name = Name::FromWire(*next);
    if (!next_name) return;
    // The CNAMEs of a chain are written once, with the first type that is followed.
    if (section == Section::kAnswer || type == RrType::kA) {
      if (!writer_.AddNameRecord(section, RrType::kCname, owner, record_ttl_s,
                                 TargetParts(*next))) {
        cut_partial_ = cut_partial_ || section == Section::kAnswer;
        return;
      }
      target_offset = writer_.last_target_offset();
    } else {
      target_offset = 0;
    }
    target = *next_name;
  }
}

std::optional<Octets> Answerer::FollowNode(const NameQuestion& target, const NameParts& owner,
                                           RrType type, Section section, uint32_t ttl_s) {
  const registry::NodeEntry* entry = snapshot_.FindNode(target.name);
  if (entry == nullptr) return std::nullopt;
  const registry::DnsAddresses& addresses = entry->node->dns;
  const Octets address = AddressFor(addresses, type);
  const bool for_type = type == RrType::kA || type == RrType::kAaaa || type == RrType::kAny;
  if (for_type && !address.empty() && !writer_.AddAddress(section, owner, address, ttl_s)) {
    cut_partial_ = cut_partial_ || section == Section::kAnswer;
  }
  if (KindFor(addresses, type) != registry::AddressKind::kName) return std::nullopt;
  return AsOctets(addresses.name_wire);
}

std::optional<Octets> Answerer::FollowInstances(const Candidates& candidates,
                                                const NameParts& owner, RrType type,
                                                Section section, uint32_t ttl_s) {
  const registry::Selection* selection = SelectionFor(*candidates.records, type);
  const size_t available = selection == nullptr ? 0 : selection->Count(candidates.include);
  if (available > 0) {
    const ReplyWriter::Mark before = writer_.mark();
    size_t written = 0;
    for (const uint32_t position :
         Pick(candidates, *selection, LimitCount(config_, limits_, available, true).count)) {
      const Octets address = AddressFor(candidates.instances[position].dns, type);
      if (!writer_.AddAddress(section, owner, address, ttl_s)) break;
      ++written;
    }
    // TC is for answers: what goes with them may be asked for by itself (RFC 2181 section 9).
    const size_t wanted = WantedCount(config_, available, true);
    cut_ = cut_ || (section == Section::kAnswer && written < wanted);
    cut_partial_ = cut_partial_ || (section == Section::kAnswer && written == 0);
    // Half an RRset there would be taken for the whole; none at all is looked for.
    const bool half = section == Section::kAdditional && written < available;
    if (half && config_.standard) writer_.Rewind(before);
    return std::nullopt;
  }
  const registry::Selection& named = candidates.records->names;
  for (const uint32_t position : Pick(candidates, named, named.Count(candidates.include))) {
    const registry::Instance& instance = candidates.instances[position];
    if (KindFor(instance.dns, type) != registry::AddressKind::kName) continue;
    const Octets name = AsOctets(instance.dns.name_wire);
    if (Name::FromWire(name) != Name::FromWire(owner.suffix)) return name;
    // The instance's address is the very name it is found by: its node's address is meant.
    const Octets address = AddressFor(instance.node->dns, type);
    if (selection == nullptr || address.empty()) continue;
    writer_.AddAddress(section, owner, address, ttl_s);
    return std::nullopt;
  }
  return std::nullopt;
}

// A name that is not ours: what the recursors said of it, or a question for them. What they say of
// names of ours is left out: if that is where the chain leads, the name is returned.
std::optional<Name> Answerer::FollowOutside(const Name& target, RrType type, Section section,
                                            std::optional<uint32_t> ttl_s) {
  if (!config_.CanForward(target)) return std::nullopt;
  const UpstreamQuestion question{.qname = target, .qtype = TypeToFollow(type)};
  const auto known = std::ranges::find_if(context_.external, [&question](const auto& external) {
    return external.question == question;
  });
  if (known == context_.external.end()) {
    Need(question);
    return std::nullopt;
  }
  const UpstreamAnswer& answer = known->answer;
  if (answer.extended_error) writer_.SetError(*answer.extended_error);
  std::optional<Name> back;
  std::vector<const Record*> records;
  for (const Record& record : answer.answer) {
    if (IsOurs(record.owner)) continue;
    if (record.type == RrType::kCname) {
      const std::optional<Name> next = Name::FromWire(record.rdata);
      if (next && IsOurs(*next)) back = next;
    }
    records.push_back(&record);
  }
  if (!AddFollowed(records, type, section, ttl_s)) return std::nullopt;
  if (section == Section::kAnswer && !back && answer.rcode == Rcode::kNxDomain) {
    EndChainWith(answer);
  }
  return back;
}

void Answerer::Need(const UpstreamQuestion& question) {
  const bool asked = std::ranges::find(needed_, question) != needed_.end();
  if (context_.may_resolve && !asked &&
      needed_.size() + context_.external.size() < kExternalNamesMax) {
    needed_.push_back(question);
  }
}

bool Answerer::IsElsewhere(const NameQuestion& target) {
  // A name without a datacenter means the agent's own.
  const bool other = target.datacenter.empty() ? context_.home != nullptr
                                               : target.datacenter != config_.datacenter;
  if (other || context_.parts == nullptr) return other;
  // Nodes come with the services on them.
  if (target.form == NameForm::kNode && snapshot_.FindNode(target.name) != nullptr) return false;
  // It may be wanted already for another name.
  std::unique_ptr<NeededPart> wanted = std::move(needed_part_);
  const std::string part = PartOf(target);
  const bool lacks = Lacks(part);
  needed_part_ = std::move(wanted);
  return lacks || part_freshness_ == registry::Freshness::kExpired;
}

// A name of ours that this catalog says nothing of: as the agent answers it when it is asked for by
// itself.
void Answerer::FollowElsewhere(const Name& target, RrType type, Section section,
                               std::optional<uint32_t> ttl_s) {
  if (context_.depth >= kDatacentersMax || ++followed_ > kExternalNamesMax) return;
  AnswerContext context = context_.home != nullptr ? *context_.home : context_;
  context.depth = context_.depth + 1;
  context.is_any = false;
  context.query_snapshot = nullptr;
  context.explanation = nullptr;
  std::vector<uint8_t> asked(target.wire().begin(), target.wire().end());
  asked.resize(target.size() + 4);
  StoreU16(&asked[target.size()], static_cast<uint16_t>(type));
  StoreU16(&asked[target.size() + 2], static_cast<uint16_t>(RrClass::kIn));
  Query query = query_;
  query.qname = target;
  query.qtype = type;
  query.question = asked;
  std::vector<uint8_t> reply(limits_.octets_max);
  Handled handled = Answerer(query, context, reply).Answer();
  // Once these are there, the whole query is answered again; addresses of targets do not keep it
  // waiting where others could not be had.
  const bool waits = section == Section::kAnswer || context_.unavailable == nullptr ||
                     context_.unavailable->empty();
  if (handled.part != nullptr && waits) needed_part_ = std::move(handled.part);
  for (const UpstreamQuestion& needed : handled.needed) Need(needed);
  if (handled.outcome != Outcome::kReply) return;
  UpstreamQuery known;
  known.question.qname = known.spelled = target;
  known.question.qtype = type;
  known.id = query.id;
  known.edns = query.edns.has_value();
  UpstreamAnswer answer;
  const MutableOctets message = MutableOctets(reply).first(handled.reply_octets);
  const bool cut = (LoadU16(&message[2]) & kFlagTc) != 0;
  if (ReadUpstreamReply(known, Transport::kTcp, message, answer) != ReplyKind::kAnswer) return;
  cut_partial_ = cut_partial_ || (cut && section == Section::kAnswer);
  std::vector<const Record*> records;
  for (const Record& record : answer.answer) {
    if (record.owner == query_.qname) break;  // A loop stops at its first repeat.
    records.push_back(&record);
  }
  if (!AddFollowed(records, type, section, ttl_s)) return;
  // There is an SOA record where it ends with nothing.
  if (section == Section::kAnswer && !answer.authority.empty()) {
    EndChainWith(answer);
  }
}

// Adds what a name leads to, of the type that is followed; false if not all of it has room.
bool Answerer::AddFollowed(std::span<const Record* const> records, RrType type, Section section,
                           std::optional<uint32_t> ttl_s) {
  const Record* last = nullptr;
  ReplyWriter::Mark rrset = writer_.mark();
  for (const Record* const each : records) {
    const Record& record = *each;
    const bool address = record.type == RrType::kA || record.type == RrType::kAaaa;
    const bool wanted = record.type == RrType::kCname || record.type == TypeToFollow(type) ||
                        (type == RrType::kAny && address);
    if (!wanted || (section == Section::kAdditional && !address && type != RrType::kA)) continue;
    const bool same_rrset =
        last != nullptr && last->type == record.type && last->owner == record.owner;
    if (!same_rrset) rrset = writer_.mark();
    last = &record;
    if (!writer_.AddRecord(section, record.type, {{}, record.owner.wire(), 0},
                           ttl_s.value_or(record.ttl_s), record.rdata)) {
      // RFC 2181 section 9: an RRset is whole, or TC is set, or in additional it is not there.
      if (section == Section::kAdditional) writer_.Rewind(rrset);
      cut_partial_ = cut_partial_ || section == Section::kAnswer;
      return false;
    }
  }
  return true;
}

void Answerer::EndChain(const NameQuestion& target, Rcode rcode) {
  if (!config_.standard || cut_partial_) return;
  chain_end_ = rcode;
  std::array<uint8_t, kSoaRdataOctetsMax> buffer;
  const bool added =
      writer_.AddRecord(Section::kAuthority, RrType::kSoa, {{}, target.zone->name.wire()},
                        config_.soa.minimum_s, SoaRdata(*target.zone, buffer));
  cut_partial_ = cut_partial_ || !added;
}

void Answerer::EndChainWith(const UpstreamAnswer& answer) {
  if (!config_.standard || cut_partial_) return;
  chain_end_ = answer.rcode;
  for (const Record& record : answer.authority) {
    if (record.type != RrType::kSoa) continue;
    writer_.AddRecord(Section::kAuthority, RrType::kSoa, {{}, record.owner.wire()}, record.ttl_s,
                      record.rdata);
    return;
  }
}

Rcode Answerer::RcodeAtEnd(const NameQuestion& name,
                           const std::optional<Candidates>& candidates) const {
  bool exists = false;
  switch (name.form) {
    case NameForm::kApex:
    case NameForm::kNameServer:
    case NameForm::kEmptyNonTerminal:
      exists = true;
      break;
    case NameForm::kTag:
      exists = snapshot_.HasTag(name.tag);
      break;
    case NameForm::kNode:
      exists = snapshot_.FindNode(name.name) != nullptr || snapshot_.HasNodeBelow(name.name);
      break;
    case NameForm::kAddress:
      exists = IsSpelledAddress(name.name);
      break;
    default:
      exists = candidates && candidates->records->everyone.Count(candidates->include) > 0;
      break;
  }
  return exists ? Rcode::kNoError : Rcode::kNxDomain;
}

bool Answerer::IsOurs(const Name& name) const {
  return std::ranges::any_of(config_.zones,
                             [&name](const Zone& zone) { return name.IsAtOrBelow(zone.name); });
}

}  // namespace pharos::dns
