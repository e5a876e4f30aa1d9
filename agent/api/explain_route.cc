// /v1/dns/explain: why DNS answers a question as it does.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "agent/cli/lookup.h"
#include "base/ip_address.h"
#include "base/loop_mailbox.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "cluster/remote_catalog.h"
#include "dns/answer.h"
#include "dns/explanation.h"
#include "dns/query.h"
#include "dns/worker.h"
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

// A question on its way to its explanation: parts of catalogs may have to be had first.
struct Job {
  Shared exchange;
  Asked asked;
  std::vector<dns::NeededPart> unavailable;
  int rounds = 0;
};

// The explanation, or the part that is needed for it.
struct Explained {
  std::string json;
  std::unique_ptr<dns::NeededPart> needed;
};

absl::StatusOr<Explained> Explain(const http::ApiContext& api, const AgentApi& agent,
                                  const dns::AnswerConfig& config, const Job& job,
                                  JsonWriter json) {
  const Asked& asked = job.asked;
  ASSIGN_OR_RETURN(const std::vector<uint8_t> message, MakeLookupQuery(asked.name, asked.type, 0));
  dns::Query query;
  if (dns::ParseQuery(message, query) != dns::ParseResult::kQuery) {
    return absl::InvalidArgumentError("the question cannot be written as a DNS message");
  }
  if (asked.edns_octets == 0) query.edns.reset();
  if (query.edns) query.edns->udp_octets = static_cast<uint16_t>(asked.edns_octets);

  const Published<registry::Snapshot>::ReadGuard snapshot(api.consensus.published());
  const Published<registry::RemoteCatalogs>::ReadGuard catalogs(api.remote->published());
  std::map<std::string, std::shared_ptr<const dns::AnswerConfig>, std::less<>> configs;
  const dns::OtherDatacenters others{*catalogs, configs};
  dns::Explanation explanation;
  dns::AnswerScratch scratch;
  Random random(SecureRandomU64());
  const std::vector<dns::ExternalAnswer> nothing;
  dns::AnswerContext context{.config = config,
                             .snapshot = *snapshot,
                             .transport = asked.transport,
                             .random = random,
                             .scratch = scratch,
                             .external = nothing,
                             .client = asked.client,
                             .others = &others,
                             .unavailable = &job.unavailable,
                             .explanation = &explanation};
  if (agent.freshness != nullptr) context.freshness = agent.freshness->load();
  const bool only_parts = api.answers == http::Answers::kWhatIsItsOwn;
  std::optional<dns::AnswerContext> of_parts;
  if (only_parts) of_parts.emplace(dns::WithOwnParts(context));
  const dns::AnswerContext& used = of_parts ? *of_parts : context;
  std::vector<uint8_t> reply(dns::kMessageOctetsMax);
  dns::Handled handled = dns::Answer(query, used, reply);
  if (handled.outcome == dns::Outcome::kNeedsPart) return Explained{{}, std::move(handled.part)};
  TellOutcome(handled, asked, query, config, explanation);
  if (handled.outcome == dns::Outcome::kResolve) {
    // Shown as it is without what the recursors would add.
    dns::AnswerContext alone = used;
    alone.may_resolve = false;
    alone.explanation = nullptr;
    handled = dns::Answer(query, alone, reply);
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
  return Explained{json.Take(), nullptr};
}

void AnswerExplain(http::Api& api, const AgentApi& agent, const std::shared_ptr<Job>& job) {
  http::Exchange& exchange = *job->exchange;
  const std::shared_ptr<const dns::AnswerConfig> config = agent.answer_config();
  if (config == nullptr) {
    return exchange.Respond(http::ErrorResponse(
        absl::InternalError("this agent does not serve DNS (ports.dns is -1)")));
  }
  absl::StatusOr<Explained> explained =
      Explain(api.context(), agent, *config, *job, api.MakeJson(exchange.request()));
  if (!explained.ok()) return exchange.Respond(http::ErrorResponse(explained.status()));
  if (explained->needed == nullptr) return exchange.Respond(http::JsonResponse(explained->json));
  const dns::NeededPart needed = *explained->needed;
  const bool last = ++job->rounds >= dns::Worker::kPartRoundsMax;
  api.context().remote->Want(
      needed.datacenter, needed.part,
      [&api, &agent, job, needed, last, mailbox = api.mailbox()](const absl::Status& there) {
        LoopMailbox::Post(mailbox, [&api, &agent, job, needed, ok = there.ok() && !last] {
          if (!ok) job->unavailable.push_back(needed);
          AnswerExplain(api, agent, job);
        });
      });
}

}  // namespace

void AddExplainRoute(http::Api& api, const AgentApi& agent) {
  api.router().Add(http::Method::kGet, "/v1/dns/explain",
                   [&api, &agent](const Shared& exchange, const std::string&) {
                     absl::StatusOr<Asked> asked = ReadAsked(exchange->request());
                     if (!asked.ok()) {
                       return exchange->Respond(http::ErrorResponse(asked.status()));
                     }
                     auto job = std::make_shared<Job>();
                     job->exchange = exchange;
                     job->asked = *std::move(asked);
                     AnswerExplain(api, agent, job);
                   });
}

}  // namespace pharos::agent
