// Words for each step of an answer. Only for answers that are to be explained: they may allocate.

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "dns/answerer.h"
#include "dns/explanation.h"
#include "registry/prepared_query.h"
#include "registry/records.h"

namespace pharos::dns {
namespace {

using registry::Include;
using registry::Instance;

constexpr size_t kInstancesExplained = 64;
constexpr size_t kOutputOctetsShown = 80;

std::string_view FormText(NameForm form) {
  switch (form) {
    case NameForm::kOutside:
      return "a name outside our zones";
    case NameForm::kReverse:
      return "a reverse name";
    case NameForm::kApex:
      return "the zone itself";
    case NameForm::kNameServer:
      return "the name server that the SOA record names";
    case NameForm::kEmptyNonTerminal:
      return "a name that only has names below it";
    case NameForm::kNode:
      return "a node";
    case NameForm::kTag:
      return "a tag, above SRV names";
    case NameForm::kService:
      return "a service";
    case NameForm::kConnect:
      return "the proxies of a service in a mesh";
    case NameForm::kIngress:
      return "the ingress gateways of a service";
    case NameForm::kPreparedQuery:
      return "a prepared query";
    case NameForm::kAddress:
      return "an address spelled in hexadecimal digits";
    case NameForm::kNone:
      break;
  }
  return "a name in our zone that has none of its forms";
}

std::string_view HealthText(registry::Health health) {
  if (health == registry::Health::kPassing) return "passing";
  return health == registry::Health::kWarning ? "warning" : "critical";
}

std::string Describe(const Instance& instance) {
  const registry::CompactString& own = instance.service->address;
  return absl::StrFormat("%s on %s (%s port %d), %s", instance.service->id, instance.node->name,
                         own.empty() ? instance.node->address : own, instance.service->port,
                         HealthText(instance.health));
}

// The checks of the instance, or of its node, that do not pass.
std::string FailingChecks(const registry::Snapshot& snapshot, const Instance& instance) {
  const auto* node = snapshot.FindNode(registry::LowerCase(instance.node->name));
  if (node == nullptr) return {};
  const std::string id = registry::LowerCase(instance.service->id);
  std::vector<std::string> failing;
  for (const auto& check : node->checks) {
    const bool counts = check->service_id.empty() || registry::LowerCase(check->service_id) == id;
    if (!counts || check->status == registry::Health::kPassing) continue;
    const std::string& whole = check->output;
    const std::string output = whole.substr(0, std::min(whole.find('\n'), kOutputOctetsShown));
    failing.push_back(absl::StrFormat("check \"%s\" is %s%s", check->id, HealthText(check->status),
                                      output.empty() ? "" : absl::StrCat(": ", output)));
  }
  return absl::StrJoin(failing, "; ");
}

std::string_view IncludeText(Include include) {
  if (include == Include::kPassing) return "those that pass every check";
  return include == Include::kHealthy ? "all but the critical ones" : "all of them";
}

bool IsIncluded(const Instance& instance, Include include) {
  return include == Include::kAll || instance.health == registry::Health::kPassing ||
         (include == Include::kHealthy && instance.health == registry::Health::kWarning);
}

}  // namespace

void Answerer::Tell(std::string_view topic, std::string text) const {
  context_.explanation->Add(std::string(topic), std::move(text));
}

void Answerer::ExplainForm() const {
  std::string text = absl::StrFormat("%s is %s", query_.qname.ToText(), FormText(question_.form));
  if (!question_.name.empty()) absl::StrAppendFormat(&text, ": \"%s\"", question_.name);
  if (!question_.tag.empty()) absl::StrAppendFormat(&text, ", with the tag \"%s\"", question_.tag);
  if (!question_.datacenter.empty()) {
    absl::StrAppendFormat(&text, ", in datacenter \"%s\"", question_.datacenter);
  }
  Tell("name", std::move(text));
  if (question_.zone != nullptr && !KnowsDatacenter()) {
    Tell("datacenter", absl::StrFormat("not \"%s\", which is this agent's; answered from what the "
                                       "servers there tell",
                                       config_.datacenter));
  }
}

void Answerer::ExplainQuery(const registry::ResolvedQuery& resolved) const {
  const auto& definition = resolved.definition();
  const auto& selection = definition.service();
  std::string text =
      absl::StrFormat("query \"%s\" (%s)%s looks up %s \"%s\"", definition.name(), definition.id(),
                      resolved.rendered ? ", a template," : "",
                      selection.connect() ? "the mesh of" : "service", selection.service());
  if (selection.tags_size() > 0) {
    absl::StrAppendFormat(&text, ", tags %s", absl::StrJoin(selection.tags(), ", "));
  }
  for (const auto& [key, value] : selection.node_meta()) {
    absl::StrAppendFormat(&text, ", node metadata %s = %s", key, value);
  }
  for (const auto& [key, value] : selection.service_meta()) {
    absl::StrAppendFormat(&text, ", service metadata %s = %s", key, value);
  }
  if (selection.only_passing()) text += ", only passing";
  if (!selection.near().empty()) {
    const registry::Node* nearest = FindNearest(selection.near());
    absl::StrAppendFormat(&text, ", near %s%s", selection.near(),
                          nearest == nullptr ? " (which is no node we know)" : "");
  }
  Tell("query", std::move(text));
}

void Answerer::ExplainCandidates(const Candidates& candidates) const {
  const auto& everyone = candidates.records->everyone;
  Tell("instances",
       absl::StrFormat("%d of %d instances are registered for it%s; %d are healthy; taken are %s",
                       everyone.size(), candidates.instances.size(),
                       question_.tag.empty() ? "" : " with the tag", everyone.healthy_count(),
                       IncludeText(candidates.include)));
  const Include usual = config_.only_passing ? Include::kPassing : Include::kHealthy;
  if (config_.panic_percent > 0 && candidates.include == Include::kAll &&
      everyone.Count(usual) < everyone.size()) {
    Tell("panic",
         absl::StrFormat("fewer than %d percent are healthy (panic_threshold), so all count",
                         config_.panic_percent));
  }
  std::vector<bool> fits(candidates.instances.size(), false);
  for (const uint32_t position : everyone.positions()) fits[position] = true;
  const size_t explained = std::min(candidates.instances.size(), kInstancesExplained);
  for (size_t i = 0; i < explained; ++i) {
    const Instance& instance = candidates.instances[i];
    std::string text = Describe(instance);
    if (!fits[i]) {
      absl::StrAppendFormat(&text, ": left out, it has not the tag \"%s\"", question_.tag);
    } else if (!IsIncluded(instance, candidates.include)) {
      absl::StrAppend(&text, ": left out, ", FailingChecks(snapshot_, instance));
    } else if (query_.qtype == RrType::kSrv
                   ? instance.srv_target == registry::SrvTarget::kNone
                   : KindFor(instance.dns, query_.qtype) == registry::AddressKind::kNone) {
      absl::StrAppend(&text, ": healthy, but has no address for this type");
    } else {
      absl::StrAppend(&text, ": taken");
    }
    Tell("instance", std::move(text));
  }
  if (explained < candidates.instances.size()) {
    Tell("instance", absl::StrFormat("and %d more", candidates.instances.size() - explained));
  }
  ExplainOrder(candidates);
  Tell("ttl", absl::StrFormat("the answer's TTL is %d s", candidates.ttl_s));
}

void Answerer::ExplainOrder(const Candidates& candidates) const {
  std::string text = candidates.records->everyone.WeightSums(Include::kAll).empty()
                         ? "in random order"
                         : "in random order by weight";
  if (candidates.nearest != nullptr) {
    absl::StrAppendFormat(&text, ", those of node %s first%s", candidates.nearest->name,
                          config_.round_trips == nullptr ? "" : ", then those near it");
  }
  if (config_.locality == LocalityPreference::kPrefer) {
    absl::StrAppendFormat(&text, ", those in zone \"%s\" of region \"%s\" first, then the region's",
                          config_.zone_in_region, config_.region);
  }
  Tell("order", std::move(text));
}

void Answerer::ExplainCut(size_t shown, size_t available, size_t count_limit) const {
  if (shown == available) {
    return Tell("limit", absl::StrFormat("all %d records are shown", available));
  }
  std::string why =
      absl::StrFormat("a reply of at most %d octets holds no more", limits_.octets_max);
  if (shown >= count_limit) {
    why = limits_.plain_udp
              ? absl::StrFormat("over UDP without EDNS at most %d (udp_answer_limit %d)",
                                count_limit, config_.udp_answer_limit)
              : absl::StrFormat("at most %d (a_record_limit %d)", count_limit,
                                config_.a_record_limit);
  }
  Tell("limit", absl::StrFormat("%d of %d records are shown: %s", shown, available, why));
}

void Answerer::ExplainTarget(const Name& target) const {
  NameQuestion question;
  ParseNameQuestion(target, query_.qtype, config_, question);
  const std::string_view source = question.zone != nullptr ? "is a name of ours"
                                  : config_.recursion_available
                                      ? "is asked of the recursors"
                                      : "is not ours, and there are no recursors to ask";
  Tell("chain",
       absl::StrFormat("the address is the host name %s, which %s", target.ToText(), source));
}

void Answerer::ExplainReply(Rcode rcode, bool truncated) const {
  std::string text = rcode == Rcode::kNxDomain ? "NXDOMAIN: no such name"
                     : rcode != Rcode::kNoError
                         ? absl::StrFormat("rcode %d", static_cast<int>(rcode))
                     : writer_.answer_count() == 0
                         ? std::string("NODATA: the name exists, without records of this type")
                         : absl::StrFormat("NOERROR with %d answers", writer_.answer_count());
  if (rcode == Rcode::kNxDomain || writer_.answer_count() == 0) {
    absl::StrAppendFormat(&text, "; may be remembered for %d s (soa.min_ttl)",
                          config_.soa.minimum_s);
  }
  if (truncated) {
    text += "; truncated (TC), so the client asks again by TCP";
  } else if (cut_) {
    text += "; TC is not set for what was left out, as enable_truncate is off";
  }
  Tell("reply", std::move(text));
}

}  // namespace pharos::dns
