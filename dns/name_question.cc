#include "dns/name_question.h"

#include <optional>

namespace pharos::dns {
namespace {

constexpr size_t kLabelsMax = kNameOctetsMax / 2;

struct Label {
  uint8_t offset;  // In the dotted text, where its first octet is; one less in the wire form.
  uint8_t length;
};

// The labels of a name, and its lower-case dotted text.
struct Labels {
  std::array<Label, kLabelsMax + 1> at;
  size_t count = 0;
  std::string_view text;

  std::string_view Get(size_t i) const { return text.substr(at[i].offset, at[i].length); }
  // Labels [from, to) with the dots between them.
  std::string_view Join(size_t from, size_t to) const {
    if (from >= to) return {};
    const size_t begin = at[from].offset;
    return text.substr(begin, at[to - 1].offset + size_t{at[to - 1].length} - begin);
  }
};

// The wire form and the dotted text line up: a length octet becomes the dot before its label.
void SplitLabels(const Name& qname, std::array<char, kNameOctetsMax>& lower, Labels& labels) {
  const Octets wire = qname.wire();
  size_t at = 0;
  while (wire[at] != 0) {
    const size_t length = wire[at];
    if (at > 0) lower[at - 1] = '.';
    for (size_t i = at + 1; i <= at + length; ++i) {
      lower[i - 1] = static_cast<char>(LowerOctet(wire[i]));
    }
    labels.at[labels.count++] = {static_cast<uint8_t>(at), static_cast<uint8_t>(length)};
    at += length + 1;
  }
  labels.text = {lower.data(), at == 0 ? 0 : at - 1};
}

// The zone the name is in: the longer one where one zone is inside the other.
const Zone* FindZone(const Name& qname, const AnswerConfig& config) {
  const Zone* found = nullptr;
  for (const Zone& zone : config.zones) {
    if (!qname.IsAtOrBelow(zone.name)) continue;
    if (found == nullptr || zone.name.size() > found->name.size()) found = &zone;
  }
  return found;
}

std::optional<NameForm> Keyword(std::string_view label) {
  if (label == "service") return NameForm::kService;
  if (label == "node") return NameForm::kNode;
  if (label == "addr") return NameForm::kAddress;
  if (label == "query") return NameForm::kPreparedQuery;
  if (label == "connect") return NameForm::kConnect;
  if (label == "ingress") return NameForm::kIngress;
  return std::nullopt;
}

// Reads labels [from, to) as nothing, `<dc>` or `<dc>.dc`.
bool ReadDatacenter(const Labels& labels, size_t from, size_t to, NameQuestion& question) {
  const size_t count = to - from;
  if (count > 2 || (count == 2 && labels.Get(from + 1) != "dc")) return false;
  if (count > 0) question.datacenter = labels.Get(from);
  question.datacenter_explicit = count == 2;
  return true;
}

// [<tag>.]<service>, or _<service>._<tag> (RFC 2782). What is before the last label is one tag,
// dots and all.
void ReadServiceParts(const Labels& labels, size_t count, NameQuestion& question) {
  if (count == 2 && labels.Get(0).starts_with('_') && labels.Get(1).starts_with('_')) {
    question.name = labels.Get(0).substr(1);
    const std::string_view tag = labels.Get(1).substr(1);
    if (tag != "tcp") question.tag = tag;
    return;
  }
  question.name = labels.Get(count - 1);
  question.tag = labels.Join(0, count - 1);
}

// The labels left of the keyword, `count` of them and at least one.
void ReadParts(NameForm form, const Labels& labels, size_t count, NameQuestion& question) {
  question.form = form;
  switch (form) {
    case NameForm::kService:
      // Something may be below `_tcp`, whatever is registered (RFC 8020).
      if (count == 1 && labels.Get(0) == "_tcp") {
        question.form = NameForm::kEmptyNonTerminal;
        return;
      }
      ReadServiceParts(labels, count, question);
      return;
    case NameForm::kConnect:
    case NameForm::kIngress:
      question.name = labels.Get(count - 1);
      return;
    case NameForm::kAddress:
      question.name = labels.Get(0);
      if (count != 1) question.form = NameForm::kNone;
      return;
    default:
      question.name = labels.Join(0, count);
      return;
  }
}

// `_<tag>`: what is below it, only SRV questions see.
NameForm ReadTag(std::string_view label, NameQuestion& question) {
  if (!label.starts_with('_')) return NameForm::kNone;
  question.tag = label.substr(1);
  return question.tag == "tcp" ? NameForm::kEmptyNonTerminal : NameForm::kTag;
}

// A name in the zone without a keyword: the zone's own names, and datacenters as empty
// non-terminals.
NameForm FormWithoutKeyword(const Labels& labels, size_t count, const AnswerConfig& config,
                            NameQuestion& question) {
  if (count == 0) return NameForm::kApex;
  const std::string_view first = labels.Get(0);
  if (count == 1) {
    if (first == "ns") return NameForm::kNameServer;
    if (first == "dc" || first == config.datacenter) return NameForm::kEmptyNonTerminal;
    question.name = first;
    return ReadTag(first, question);
  }
  // Before the labels behind the first are read as a datacenter, of which `dc` would be one.
  const bool own_dc = count == 2 && first == config.datacenter && labels.Get(1) == "dc";
  if (own_dc) return NameForm::kEmptyNonTerminal;
  if (count == 2 && labels.Get(1) == "dc" && config.datacenter != "dc") {
    question.name = first;
    return NameForm::kNone;
  }
  const bool below_own =
      ReadDatacenter(labels, 1, count, question) && question.datacenter == config.datacenter;
  return below_own ? ReadTag(first, question) : NameForm::kNone;
}

}  // namespace

void ParseNameQuestion(const Name& qname, RrType qtype, const AnswerConfig& config,
                       NameQuestion& question) {
  Labels labels;
  SplitLabels(qname, question.lower, labels);
  question.zone = FindZone(qname, config);
  if (question.zone == nullptr) {
    const bool reverse = labels.count > 0 && labels.Get(labels.count - 1) == "arpa";
    question.form = reverse ? NameForm::kReverse : NameForm::kOutside;
    return;
  }
  question.zone_offset = static_cast<uint8_t>(qname.size() - question.zone->name.size());
  const size_t count = labels.count - question.zone->name.CountLabels();

  // Keywords are looked for from the right, so that a node or a service may be named like one.
  for (size_t i = count; i-- > 0;) {
    std::optional<NameForm> form = Keyword(labels.Get(i));
    size_t parts = i;
    const bool may_be_rfc_2782 = qtype == RrType::kSrv || config.standard;
    if (!form && may_be_rfc_2782 && labels.Get(i).starts_with('_')) {
      form = NameForm::kService;
      parts = i + 1;
    }
    if (!form) continue;
    // An address is spelled in its name and needs no datacenter, so any suffix will do.
    if (form != NameForm::kAddress && !ReadDatacenter(labels, i + 1, count, question)) return;
    if (parts == 0) {
      question.form = NameForm::kEmptyNonTerminal;
    } else {
      ReadParts(*form, labels, parts, question);
    }
    return;
  }
  question.form = FormWithoutKeyword(labels, count, config, question);
}

}  // namespace pharos::dns
