// /v1/dns/explain: why DNS answers a question as it does.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "agent/cli/lookup.h"
#include "base/ip_address.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "dns/answer.h"
#include "dns/explanation.h"
#include "dns/query.h"
#include "http/errors.h"

namespace pharos::agent {
namespace {

using Shared = std::shared_ptr<http::Exchange>;

constexpr uint32_t kUdpOctetsMax = 65535;

// One question as somebody would ask it.
struct Asked {
  std::string name, type;
  Transport transport = Transport::kUdp;
  uint32_t edns_octets = 1232;  // 0: without EDNS.
  IpAddress client = *IpAddress::Parse("127.0.0.1");
};

absl::StatusOr<Asked> ReadAsked(const http::Request& request) {
  Asked asked;
  asked.name = request.Parameter("name").value_or("");
  if (asked.name.empty()) {
    return absl::InvalidArgumentError(
        "name is missing; expected ?name=NAME, and perhaps &type=TYPE");
  }
  asked.type = request.Parameter("type").value_or("");
  const std::string_view transport = request.Parameter("transport").value_or("udp");
  if (transport == "tcp") asked.transport = Transport::kTcp;
  if (transport != "udp" && transport != "tcp") {
    return absl::InvalidArgumentError(
        absl::StrFormat("transport is \"%s\"; expected udp or tcp", transport.substr(0, 32)));
  }
  if (const auto edns = request.Parameter("edns")) {
    if (!absl::SimpleAtoi(absl::string_view(edns->data(), edns->size()), &asked.edns_octets) ||
        asked.edns_octets > kUdpOctetsMax) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "edns is \"%s\"; expected the octets of a UDP reply, 0 to 65535", edns->substr(0, 32)));
    }
  }
  if (const auto client = request.Parameter("client")) {
    const std::optional<IpAddress> address = IpAddress::Parse(*client);
    if (!address) {
      return absl::InvalidArgumentError(
          absl::StrFormat("client is \"%s\"; expected an IP address", client->substr(0, 64)));
    }
    asked.client = *address;
  }
  return asked;
}

// What becomes of a question that is not ours.
std::string ForwardingText(const Asked& asked, const dns::Query& query,
                           const dns::AnswerConfig& config) {
  if (!config.MayRecurse(asked.client)) {
    return absl::StrFormat("REFUSED: %s is on no network of dns_config.allow_recursion",
                           asked.client.ToString());
  }
  const std::string_view whom = config.forward_zones.Find(query.qname) != nullptr
                                    ? "the servers of its forward zone are asked"
                                    : "the recursors are asked";
  return absl::StrFormat("%s, unless the cache has the answer", whom);
}

void TellOutcome(const dns::Handled& handled, const Asked& asked, const dns::Query& query,
                 const dns::AnswerConfig& config, dns::Explanation& explanation) {
  if (handled.outcome == dns::Outcome::kForward) {
    explanation.Add("reply", ForwardingText(asked, query, config));
  }
  for (const dns::UpstreamQuestion& needed : handled.needed) {
    explanation.Add("chain", absl::StrFormat("the recursors are asked for %s before the answer",
                                             needed.qname.ToText()));
  }
}

absl::StatusOr<std::string> Explain(const Asked& asked, const dns::AnswerConfig& config,
                                    const registry::Snapshot& snapshot, JsonWriter json) {
  ASSIGN_OR_RETURN(const std::vector<uint8_t> message, MakeLookupQuery(asked.name, asked.type, 0));
  dns::Query query;
  if (dns::ParseQuery(message, query) != dns::ParseResult::kQuery) {
    return absl::InvalidArgumentError("the question cannot be written as a DNS message");
  }
  if (asked.edns_octets == 0) query.edns.reset();
  if (query.edns) query.edns->udp_octets = static_cast<uint16_t>(asked.edns_octets);

  dns::Explanation explanation;
  dns::AnswerScratch scratch;
  Random random(SecureRandomU64());
  const std::vector<dns::ExternalAnswer> nothing;
  dns::AnswerContext context{.config = config,
                             .snapshot = snapshot,
                             .transport = asked.transport,
                             .random = random,
                             .scratch = scratch,
                             .external = nothing,
                             .client = asked.client,
                             .explanation = &explanation};
  std::vector<uint8_t> reply(dns::kMessageOctetsMax);
  dns::Handled handled = dns::Answer(query, context, reply);
  TellOutcome(handled, asked, query, config, explanation);
  if (handled.outcome == dns::Outcome::kResolve) {
    // Shown as it is without what the recursors would add.
    context.may_resolve = false;
    context.explanation = nullptr;
    handled = dns::Answer(query, context, reply);
  }

  json.BeginObject();
  json.Field("Name", query.qname.ToText());
  json.Key("Steps");
  json.BeginArray();
  for (const dns::Explanation::Step& step : explanation.steps()) {
    json.BeginObject();
    json.Field("Topic", step.topic);
    json.Field("Text", step.text);
    json.EndObject();
  }
  json.EndArray();
  if (handled.outcome == dns::Outcome::kReply) {
    ASSIGN_OR_RETURN(const LookupReply read,
                     ReadLookupReply(Octets(reply).first(handled.reply_octets), query.id, false));
    json.Field("Reply", read.text);
  }
  json.EndObject();
  return json.Take();
}

void AnswerExplain(http::Api& api, const AgentApi& agent, http::Exchange& exchange) {
  const absl::StatusOr<Asked> asked = ReadAsked(exchange.request());
  if (!asked.ok()) return exchange.Respond(http::ErrorResponse(asked.status()));
  const std::shared_ptr<const dns::AnswerConfig> config = agent.answer_config();
  if (config == nullptr) {
    return exchange.Respond(http::ErrorResponse(
        absl::InternalError("this agent does not serve DNS (ports.dns is -1)")));
  }
  const Published<registry::Snapshot>::ReadGuard snapshot(api.context().consensus.published());
  const absl::StatusOr<std::string> explained =
      Explain(*asked, *config, *snapshot, api.MakeJson(exchange.request()));
  exchange.Respond(explained.ok() ? http::JsonResponse(*explained)
                                  : http::ErrorResponse(explained.status()));
}

}  // namespace

void AddExplainRoute(http::Api& api, const AgentApi& agent) {
  api.router().Add(http::Method::kGet, "/v1/dns/explain",
                   [&api, &agent](const Shared& exchange, const std::string&) {
                     AnswerExplain(api, agent, *exchange);
                   });
}

}  // namespace pharos::agent
