// What a QNAME asks for: the forms of names under our domains, and reverse names.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dns/answer_config.h"
#include "dns/name.h"
#include "dns/types.h"

namespace pharos::dns {

enum class NameForm : uint8_t {
  kOutside,           // Not ours.
  kReverse,           // Under arpa.
  kApex,              // The zone itself.
  kNameServer,        // ns.<zone>, the SOA's MNAME.
  kEmptyNonTerminal,  // Nothing of its own, but names below it (RFC 8020 section 2).
  kNode,              // <node>.node[.<dc>]
  kTag,               // _<tag>[.<dc>], above _<service>._<tag>[.<dc>]
  kService,           // [<tag>.]<service>.service[.<dc>], _<service>._<tag>[.service][.<dc>]
  kConnect,           // <service>.connect[.<dc>]
  kIngress,           // <service>.ingress[.<dc>]
  kPreparedQuery,     // <name or id>.query[.<dc>], _<name>._<anything>.query[.<dc>]
  kAddress,           // <hex>.addr[.<anything>]
  kNone,              // In the zone but in no form.
};

// Whether names of the form stand for instances of services.
constexpr bool NamesInstances(NameForm form) {
  return form == NameForm::kService || form == NameForm::kConnect || form == NameForm::kIngress ||
         form == NameForm::kPreparedQuery;
}

// Views point into `lower`, so one is filled in place and never copied.
struct NameQuestion {
  NameQuestion() = default;
  NameQuestion(const NameQuestion&) = delete;
  NameQuestion& operator=(const NameQuestion&) = delete;

  NameForm form = NameForm::kNone;
  // The name of the node, service, query or address, and the tag (empty: any), in lower case.
  std::string_view name;
  std::string_view tag;
  // As asked, in lower case; empty: the agent's own.
  std::string_view datacenter;
  bool datacenter_explicit = false;  // Written `<dc>.dc`.
  // The zone the name is in (null outside), and where in the QNAME's wire form it begins.
  const Zone* zone = nullptr;
  uint8_t zone_offset = 0;

  // The QNAME in lower case with dots between its labels, without a final dot.
  std::array<char, kNameOctetsMax> lower;
};

// Never fails: a name in no form is kNone or kOutside. `qtype` matters to one rule, and only unless
// `config.standard`, as a name exists for all types or for none: only for SRV is `.service`
// optional behind `_<service>._<tag>`. The zones are borrowed from `config`.
void ParseNameQuestion(const Name& qname, RrType qtype, const AnswerConfig& config,
                       NameQuestion& question);

}  // namespace pharos::dns
