// The members of the pools and what goes through them: joining and leaving, user events, network
// coordinates, keys.

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/api/agent_api.h"
#include "agent/gossip.h"
#include "base/random.h"
#include "cluster/gossip_tags.h"
#include "http/errors.h"
#include "http/filter/schema.h"
#include "http/json_body.h"
#include "http/read_filter.h"
#include "http/read_options.h"

namespace pharos::agent {
namespace {

using gossip::KeyOperation;
using gossip::KeyOutcome;
using gossip::Member;
using gossip::Pool;
using http::JsonResponse;
using http::Response;
using Shared = std::shared_ptr<http::Exchange>;

constexpr int kRelayFactorMax = 5;

// Answers from the thread that has the answer.
class Answer {
 public:
  Answer(http::Api& api, Shared exchange)
      : mailbox_(api.mailbox()), exchange_(std::move(exchange)) {}
  void operator()(Response response) const {
    LoopMailbox::Post(mailbox_, [exchange = exchange_, response = std::move(response)]() mutable {
      exchange->Respond(std::move(response));
    });
  }

 private:
  std::shared_ptr<LoopMailbox> mailbox_;
  Shared exchange_;
};

Response NoGossip() {
  return http::TextResponse(500, "this agent is in no pool: ports.serf_lan is off");
}

std::string TextParameter(const http::Request& request, std::string_view name) {
  return std::string(request.Parameter(name).value_or(""));
}

bool WantsWan(const http::Request& request) {
  // As in Consul, a bare `wan` is not enough.
  return !request.Parameter("wan").value_or("").empty();
}

// The pool that is asked about; null, after answering, if there is none.
Pool* ChoosePool(const AgentApi& agent, const Shared& exchange) {
  const bool wan = WantsWan(exchange->request());
  Pool* const pool = agent.gossip == nullptr ? nullptr
                     : wan                   ? agent.gossip->wan()
                                             : agent.gossip->lan();
  if (pool == nullptr) exchange->Respond(NoGossip());
  return pool;
}

// Clients tell servers from others by the role that Consul's agents have, which ours have not (see
// cluster/gossip_tags.h).
gossip::Tags ShownTags(const Member& member) {
  gossip::Tags tags = member.tags;
  const auto role = tags.find(cluster::kRoleTag);
  if (role == tags.end() || role->second != cluster::kRole) return tags;
  const auto server = tags.find(cluster::kServerTag);
  role->second = server != tags.end() && server->second == "1" ? "consul" : "node";
  if (server != tags.end()) tags.erase(server);
  return tags;
}

// What filters may name of a member.
struct MemberView {
  std::string_view name;
  std::string address;
  TextPairs tags;
  int port = 0, status = 0;
};
constexpr auto kMemberFields = http::FilterFields<MemberView>(
    http::FilterField<&MemberView::name>("Name"), http::FilterField<&MemberView::address>("Addr"),
    http::FilterField<&MemberView::port>("Port"), http::FilterField<&MemberView::tags>("Tags"),
    http::FilterField<&MemberView::status>("Status"));
constexpr http::RecordSchema<MemberView> kMemberSchema(kMemberFields);

MemberView ViewOf(const Member& member) {
  const gossip::Tags tags = ShownTags(member);
  return {.name = member.name,
          .address = member.address.ip.ToString(),
          .tags = TextPairs(tags.begin(), tags.end()),
          .port = member.address.port,
          .status = static_cast<int>(member.status)};
}

void WriteMembers(const std::vector<Member>& members, const http::ReadFilter<MemberView>& filter,
                  JsonWriter& json) {
  json.BeginArray();
  for (const Member& member : members) {
    if (filter == nullptr || filter->Matches(ViewOf(member))) WriteMember(member, json);
  }
  json.EndArray();
}

void AnswerMembers(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  const bool wan = WantsWan(exchange->request());
  auto filter = http::ParseReadFilter(TextParameter(exchange->request(), "filter"), kMemberSchema);
  if (!filter.ok()) return exchange->Respond(http::ErrorResponse(filter.status()));
  if (agent.gossip != nullptr && wan && agent.gossip->wan() == nullptr) {
    return exchange->Respond(JsonResponse("[]\n"));  // That pool has servers only.
  }
  Pool* const pool = ChoosePool(agent, exchange);
  if (pool == nullptr) return;
  Gossip::ReadMembers(*pool, [answer = Answer(api, exchange), filter = *std::move(filter),
                              json = api.MakeJson(exchange->request())](auto members) mutable {
    WriteMembers(members, filter, json);
    answer(JsonResponse(json.Take()));
  });
}

void AnswerJoin(http::Api& api, const AgentApi& agent, const Shared& exchange,
                const std::string& address) {
  Pool* const pool = ChoosePool(agent, exchange);
  if (pool == nullptr) return;
  pool->loop().Post([pool, address, answer = Answer(api, exchange)] {
    pool->Join({address}, [answer, address](int joined, const auto& errors) {
      if (joined > 0) return answer(http::EmptyResponse(200));
      const std::string why = errors.empty() ? "no address" : errors.begin()->second;
      answer(http::TextResponse(
          500, absl::StrFormat("1 error occurred:\n\t* %s\n\n",
                               absl::StartsWith(why, "Failed to")
                                   ? why
                                   : absl::StrFormat("Failed to join %s: %s", address, why))));
    });
  });
}

void AnswerForceLeave(http::Api& api, const AgentApi& agent, const Shared& exchange,
                      const std::string& node) {
  Pool* const pool = ChoosePool(agent, exchange);
  if (pool == nullptr) return;
  const bool prune = exchange->request().HasParameter("prune");
  pool->loop().Post([pool, node, prune, answer = Answer(api, exchange)] {
    absl::Status status;
    pool->Run(
        [&](gossip::Serf& serf, absl::Time now) { status = serf.ForceLeave(node, prune, now); });
    answer(status.ok() ? http::EmptyResponse(200)
                       : http::TextResponse(500, std::string(status.message())));
  });
}

// User events.

void WriteEvent(const AgentEvent& event, JsonWriter& json) {
  json.BeginObject();
  json.Field("ID", event.id);
  json.Field("Name", event.name);
  json.Key("Payload");
  if (event.payload.empty()) {
    json.Null();
  } else {
    json.String(absl::Base64Escape(event.payload));
  }
  json.Field("NodeFilter", event.node_filter);
  json.Field("ServiceFilter", event.service_filter);
  json.Field("TagFilter", event.tag_filter);
  json.IntField("Version", 1);
  json.UintField("LTime", event.time);
  json.EndObject();
}

void FireEvent(http::Api& api, const AgentApi& agent, const Shared& exchange,
               const std::string& name) {
  const http::Request& request = exchange->request();
  if (agent.gossip == nullptr) return exchange->Respond(NoGossip());
  const AgentEvent event{.id = NewUuid(),
                         .name = name,
                         .payload = request.body,
                         .node_filter = TextParameter(request, "node"),
                         .service_filter = TextParameter(request, "service"),
                         .tag_filter = TextParameter(request, "tag")};
  if (const absl::Status status = CheckEvent(event); !status.ok()) {
    return exchange->Respond(http::ErrorResponse(status));
  }
  Pool* const pool = agent.gossip->lan();
  pool->loop().Post(
      [pool, event, answer = Answer(api, exchange), json = api.MakeJson(request)]() mutable {
        absl::Status status;
        pool->Run([&](gossip::Serf& serf, absl::Time now) {
          status = serf.FireEvent(EventNameInPool(event.name), PackEvent(event), false, now);
        });
        if (!status.ok()) return answer(http::TextResponse(500, std::string(status.message())));
        WriteEvent(event, json);
        answer(JsonResponse(json.Take()));
      });
}

// What stands for the newest event, as events have no index in the catalog.
uint64_t IndexOf(const std::vector<AgentEvent>& events) {
  if (events.empty()) return 1;
  const std::string hex = events.back().id.substr(0, 8) + events.back().id.substr(9, 4);
  uint64_t index = 0;
  if (!absl::SimpleHexAtoi(hex, &index)) return 1;
  return std::max<uint64_t>(index, 2);
}

Response ListEvents(const std::vector<AgentEvent>& events, const http::Request& request,
                    JsonWriter json) {
  const auto fits = [&request](const char* parameter, const std::string& has) {
    const std::string wanted = TextParameter(request, parameter);
    return wanted.empty() || wanted == has;
  };
  json.BeginArray();
  for (const AgentEvent& event : events) {
    if (fits("name", event.name) && fits("node", event.node_filter) &&
        fits("service", event.service_filter) && fits("tag", event.tag_filter)) {
      WriteEvent(event, json);
    }
  }
  json.EndArray();
  Response response = JsonResponse(json.Take());
  response.headers.emplace_back("X-Consul-Index", absl::StrCat(IndexOf(events)));
  return response;
}

// Answers once, when a further event has come or the time is over.
struct EventWait {
  template <typename Answer>
  void End(const Answer& answer) {
    timer.reset();
    if (const Shared asker = std::exchange(exchange, nullptr)) answer(asker);
  }

  Shared exchange;
  std::unique_ptr<LoopTimer> timer;
};

void AnswerEvents(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  const absl::StatusOr<http::ReadOptions> options =
      http::ParseReadOptions(exchange->request(), api.context().defaults);
  if (!options.ok()) return exchange->Respond(http::ErrorResponse(options.status()));
  const std::vector<AgentEvent> events = agent.events.List();
  const auto answer = [&api, &agent](const Shared& asker) {
    asker->Respond(
        ListEvents(agent.events.List(), asker->request(), api.MakeJson(asker->request())));
  };
  if (options->index == 0 || options->index != IndexOf(events)) return answer(exchange);
  const auto wait = std::make_shared<EventWait>();
  wait->exchange = exchange;
  wait->timer = std::make_unique<LoopTimer>(exchange->loop().uv());
  wait->timer->Once(options->wait, [wait, answer] { wait->End(answer); });
  exchange->OnGone([wait] {
    wait->timer.reset();
    wait->exchange.reset();
  });
  const uint64_t index = options->index;
  agent.events.Listen(wait,
                      [mailbox = api.mailbox(), weak = std::weak_ptr(wait), answer, &agent, index] {
                        if (IndexOf(agent.events.List()) == index) return true;
                        LoopMailbox::Post(mailbox, [weak, answer] {
                          if (const auto still = weak.lock()) still->End(answer);
                        });
                        return false;
                      });
}

// Coordinates.

void WriteNodeCoordinate(const std::string& node, const gossip::Coordinate& coordinate,
                         JsonWriter& json) {
  json.BeginObject();
  json.Field("Node", node);
  json.Field("Segment", "");
  json.Key("Coord");
  WriteCoordinate(coordinate, json);
  json.EndObject();
}

// Under the name that the catalog has, which may differ in the case of letters.
std::string NodeName(http::Api& api, const std::string& lower_name) {
  const Published<registry::Snapshot>::ReadGuard snapshot(api.context().consensus.published());
  const registry::NodeEntry* const entry = snapshot->FindNode(lower_name);
  return entry == nullptr ? lower_name : entry->node->name;
}

std::shared_ptr<const Coordinates> ReadCoordinates(const AgentApi& agent) {
  static const auto kNone = std::make_shared<const Coordinates>();
  const auto coordinates = agent.gossip == nullptr ? nullptr : agent.gossip->coordinates();
  return coordinates == nullptr ? kNone : coordinates;
}

// What filters may name of a node's coordinate.
struct CoordinateView {
  std::string_view node, segment;
};
constexpr auto kCoordinateFields =
    http::FilterFields<CoordinateView>(http::FilterField<&CoordinateView::node>("Node"),
                                       http::FilterField<&CoordinateView::segment>("Segment"));
constexpr http::RecordSchema<CoordinateView> kCoordinateSchema(kCoordinateFields);

Response CoordinatesOfNodes(http::Api& api, const AgentApi& agent, const http::Request& request) {
  const auto options = http::ParseReadOptions(request, api.context().defaults);
  if (!options.ok()) return http::ErrorResponse(options.status());
  const auto filter = http::ParseReadFilter(options->filter, kCoordinateSchema);
  if (!filter.ok()) return http::ErrorResponse(filter.status());
  // Segments are networks of an enterprise's; there is the one without a name.
  const bool any = TextParameter(request, "segment").empty();
  JsonWriter json = api.MakeJson(request);
  json.BeginArray();
  for (const auto& [name, coordinate] : *ReadCoordinates(agent)) {
    const std::string node = NodeName(api, name);
    if (any && http::Fits(*filter, CoordinateView{node, ""})) {
      WriteNodeCoordinate(node, coordinate, json);
    }
  }
  json.EndArray();
  return JsonResponse(json.Take());
}

Response CoordinatesOfNode(http::Api& api, const AgentApi& agent, const http::Request& request,
                           std::string node) {
  absl::AsciiStrToLower(&node);
  const auto coordinates = ReadCoordinates(agent);
  const auto found = coordinates->find(node);
  if (found == coordinates->end()) return http::EmptyResponse(404);
  JsonWriter json = api.MakeJson(request);
  json.BeginArray();
  WriteNodeCoordinate(NodeName(api, node), found->second, json);
  json.EndArray();
  return JsonResponse(json.Take());
}

void AnswerDatacenters(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  JsonWriter json = api.MakeJson(exchange->request());
  Pool* const wan = agent.gossip == nullptr ? nullptr : agent.gossip->wan();
  if (wan == nullptr) {
    json.BeginArray();
    json.EndArray();
    return exchange->Respond(JsonResponse(json.Take()));
  }
  wan->loop().Post([wan, json, answer = Answer(api, exchange)]() mutable {
    const gossip::Serf& serf = wan->serf();
    std::map<std::string, std::vector<std::pair<std::string, gossip::Coordinate>>> datacenters;
    for (const auto& [name, member] : serf.members()) {
      const auto known = serf.member_coordinates().find(name);
      const bool self = name == serf.self().name;
      if (!self && known == serf.member_coordinates().end()) continue;
      datacenters[member.Tag("dc")].emplace_back(name, self ? serf.coordinate() : known->second);
    }
    json.BeginArray();
    for (const auto& [datacenter, nodes] : datacenters) {
      json.BeginObject();
      json.Field("Datacenter", datacenter);
      json.Field("AreaID", "wan");
      json.Key("Coordinates");
      json.BeginArray();
      for (const auto& [name, coordinate] : nodes) WriteNodeCoordinate(name, coordinate, json);
      json.EndArray();
      json.EndObject();
    }
    json.EndArray();
    answer(JsonResponse(json.Take()));
  });
}

Response UpdateCoordinate(const AgentApi& agent, const http::Request& request) {
  if (agent.gossip == nullptr) return NoGossip();
  const absl::StatusOr<nlohmann::json> body = http::ParseJsonBody(request.body);
  if (!body.ok()) return http::ErrorResponse(body.status());
  std::string node, segment;
  gossip::Coordinate coordinate;
  bool given = false;
  http::ObjectReader reader(*body, "");
  const absl::Status status =
      reader.String("Node", node)
          .String("Segment", segment)
          .With("Coord",
                [&](const nlohmann::json& value) {
                  const auto number = [&value](const char* name, double otherwise) {
                    const auto found = value.is_object() ? value.find(name) : value.end();
                    return found != value.end() && found->is_number() ? found->get<double>()
                                                                      : otherwise;
                  };
                  given = value.is_object();
                  coordinate.error = number("Error", coordinate.error);
                  coordinate.adjustment = number("Adjustment", 0);
                  coordinate.height = number("Height", coordinate.height);
                  coordinate.vec.clear();
                  if (given && value.contains("Vec") && value["Vec"].is_array()) {
                    for (const nlohmann::json& part : value["Vec"]) {
                      coordinate.vec.push_back(part.is_number() ? part.get<double>() : 0);
                    }
                  }
                  return absl::OkStatus();
                })
          .IgnoreOthers()
          .Finish();
  if (!status.ok()) return http::ErrorResponse(status);
  if (!given || !coordinate.IsValid()) {
    return http::TextResponse(400, absl::StrFormat("Coord is no coordinate; expected Vec with %d "
                                                   "numbers, Error, Adjustment and Height",
                                                   gossip::Coordinate::kDimensions));
  }
  if (node.empty()) return http::TextResponse(400, "Node is missing");
  agent.gossip->SetCoordinate(node, coordinate);
  return http::EmptyResponse(200);
}

// Keys.

// A request about keys goes to each pool that is encrypted, and is answered with all of them.
struct KeyJob {
  struct Ring {
    bool wan;
    KeyOutcome outcome;
  };
  std::vector<Ring> rings;
  size_t open = 0;
};

void WriteCounts(const std::map<std::string, size_t>& counts, JsonWriter& json) {
  json.BeginObject();
  for (const auto& [key, count] : counts) json.UintField(key, count);
  json.EndObject();
}

void WriteRings(const std::string& datacenter, const std::vector<KeyJob::Ring>& rings,
                JsonWriter& json) {
  json.BeginArray();
  for (const auto& [wan, outcome] : rings) {
    json.BeginObject();
    json.BoolField("WAN", wan);
    json.Field("Datacenter", datacenter);
    json.Field("Segment", "");
    if (!outcome.messages.empty()) {
      json.Key("Messages");
      json.BeginObject();
      for (const auto& [node, message] : outcome.messages) json.Field(node, message);
      json.EndObject();
    }
    json.Key("Keys");
    WriteCounts(outcome.keys, json);
    json.Key("PrimaryKeys");
    WriteCounts(outcome.primary_keys, json);
    json.UintField("NumNodes", outcome.nodes);
    json.EndObject();
  }
  json.EndArray();
}

Response KeysResponse(const AgentApi& agent, KeyOperation operation, const KeyJob& job,
                      JsonWriter json) {
  std::vector<std::string> errors;
  for (const auto& [wan, outcome] : job.rings) {
    if (outcome.status().ok()) continue;
    errors.push_back(
        absl::StrFormat("%s: %s", wan ? "WAN" : "LAN", std::string(outcome.status().message())));
  }
  // A list that some nodes gave is shown with what is wrong with the others; a change that some did
  // not make has failed, and can be repeated.
  const bool none = std::all_of(job.rings.begin(), job.rings.end(),
                                [](const auto& ring) { return ring.outcome.keys.empty(); });
  if (!errors.empty() && (operation != KeyOperation::kList || none)) {
    return http::TextResponse(
        500, absl::StrFormat("%d error%s occurred:\n\t* %s\n\n", errors.size(),
                             errors.size() == 1 ? "" : "s", absl::StrJoin(errors, "\n\t* ")));
  }
  if (operation != KeyOperation::kList) return http::EmptyResponse(200);
  WriteRings(agent.config.datacenter, job.rings, json);
  return JsonResponse(json.Take());
}

// On the thread `gossip`: `use` only where every node that is alive has the key, as the others
// would no longer understand anybody.
void RunKeyOperation(Pool& pool, KeyOperation operation, const std::string& key,
                     uint8_t relay_factor, std::function<void(const KeyOutcome&)> done) {
  const auto start = [&pool, key, relay_factor](KeyOperation what, auto then) {
    pool.Run([&](gossip::Serf& serf, absl::Time now) {
      serf.StartKeyOperation(what, key, relay_factor, then, now);
    });
  };
  if (operation != KeyOperation::kUse) return start(operation, std::move(done));
  start(KeyOperation::kList, [&pool, start, key, done](const KeyOutcome& listed) {
    const auto having = listed.keys.find(gossip::FormatKey(key));
    const size_t count = having == listed.keys.end() ? 0 : having->second;
    if (count == listed.nodes) {
      // Not from within the call that ended the query before.
      pool.loop().Post([start, done] { start(KeyOperation::kUse, done); });
      return;
    }
    KeyOutcome refused = listed;
    refused.errors.push_back("");
    refused.messages["the key"] = absl::StrFormat(
        "is on %d of %d nodes; install it on all of them first", count, listed.nodes);
    done(refused);
  });
}

void AnswerKeys(http::Api& api, const AgentApi& agent, const Shared& exchange,
                KeyOperation operation) {
  const http::Request& request = exchange->request();
  if (agent.gossip == nullptr) return exchange->Respond(NoGossip());
  int relay_factor = 0;
  const std::string relay = TextParameter(request, "relay-factor");
  if (!relay.empty() && (!absl::SimpleAtoi(relay, &relay_factor) || relay_factor < 0 ||
                         relay_factor > kRelayFactorMax)) {
    return exchange->Respond(http::TextResponse(
        400, absl::StrFormat("relay-factor is \"%s\"; expected a number from 0 to %d", relay,
                             kRelayFactorMax)));
  }
  std::string key;
  if (operation != KeyOperation::kList) {
    const absl::StatusOr<nlohmann::json> body = http::ParseJsonBody(request.body);
    if (!body.ok()) return exchange->Respond(http::ErrorResponse(body.status()));
    std::string base64;
    http::ObjectReader reader(*body, "");
    if (const absl::Status status = reader.String("Key", base64).IgnoreOthers().Finish();
        !status.ok()) {
      return exchange->Respond(http::ErrorResponse(status));
    }
    absl::StatusOr<std::string> parsed = gossip::ParseKey(base64);
    if (!parsed.ok()) {
      return exchange->Respond(http::TextResponse(
          500, absl::StrCat("illegal base64 data: ", std::string(parsed.status().message()))));
    }
    key = *std::move(parsed);
  }
  const auto local_only = http::ParseBool(TextParameter(request, "local-only"));
  Pool* const lan = agent.gossip->lan();
  Pool* const wan = local_only.value_or(false) ? nullptr : agent.gossip->wan();
  lan->loop().Post([lan, wan, operation, key, relay_factor, &agent, answer = Answer(api, exchange),
                    json = api.MakeJson(request)] {
    const auto job = std::make_shared<KeyJob>();
    std::vector<std::pair<bool, Pool*>> pools;
    if (wan != nullptr) pools.emplace_back(true, wan);
    pools.emplace_back(false, lan);
    job->open = pools.size();
    if (lan->keyring().empty()) {
      return answer(http::TextResponse(
          500, "1 error occurred:\n\t* Keyring is empty (encryption not enabled)\n\n"));
    }
    for (const auto& [is_wan, pool] : pools) {
      RunKeyOperation(
          *pool, operation, key, static_cast<uint8_t>(relay_factor),
          [job, is_wan = is_wan, answer, &agent, operation, json](const KeyOutcome& outcome) {
            job->rings.push_back({is_wan, outcome});
            if (--job->open > 0) return;
            std::stable_sort(job->rings.begin(), job->rings.end(),
                             [](const auto& a, const auto& b) { return a.wan > b.wan; });
            answer(KeysResponse(agent, operation, *job, json));
          });
    }
  });
}

}  // namespace

void WriteCoordinate(const gossip::Coordinate& coordinate, JsonWriter& json) {
  json.BeginObject();
  json.Key("Vec");
  json.BeginArray();
  for (const double part : coordinate.vec) json.Double(part);
  json.EndArray();
  json.Key("Error");
  json.Double(coordinate.error);
  json.Key("Adjustment");
  json.Double(coordinate.adjustment);
  json.Key("Height");
  json.Double(coordinate.height);
  json.EndObject();
}

void WriteMember(const Member& member, JsonWriter& json) {
  json.BeginObject();
  json.Field("Name", member.name);
  json.Field("Addr", member.address.ip.ToString());
  json.IntField("Port", member.address.port);
  json.Key("Tags");
  json.BeginObject();
  for (const auto& [key, value] : ShownTags(member)) json.Field(key, value);
  json.EndObject();
  json.IntField("Status", static_cast<int>(member.status));
  json.IntField("ProtocolMin", member.versions.protocol_min);
  json.IntField("ProtocolMax", member.versions.protocol_max);
  json.IntField("ProtocolCur", member.versions.protocol_current);
  json.IntField("DelegateMin", member.versions.delegate_min);
  json.IntField("DelegateMax", member.versions.delegate_max);
  json.IntField("DelegateCur", member.versions.delegate_current);
  json.EndObject();
}

namespace {

using A = http::Api&;
using B = const AgentApi&;
using E = const Shared&;
using T = const std::string&;

// Adds routes whose answers are given the agent, too.
auto Adder(http::Api& api, const AgentApi& agent) {
  return [&](http::Method method, const char* path, auto answer) {
    api.router().Add(method, path,
                     [&api, &agent, answer](const Shared& exchange, const std::string& argument) {
                       answer(api, agent, exchange, argument);
                     });
  };
}

}  // namespace

void AddGossipRoutes(http::Api& api, const AgentApi& agent) {
  using http::Method;
  const auto add = Adder(api, agent);
  add(Method::kGet, "/v1/agent/members", [](A a, B b, E e, T) { AnswerMembers(a, b, e); });
  add(Method::kPut, "/v1/agent/join/", AnswerJoin);
  add(Method::kPut, "/v1/agent/force-leave/", AnswerForceLeave);
  const std::pair<Method, KeyOperation> kOperations[] = {{Method::kGet, KeyOperation::kList},
                                                         {Method::kPost, KeyOperation::kInstall},
                                                         {Method::kPut, KeyOperation::kUse},
                                                         {Method::kDelete, KeyOperation::kRemove}};
  for (const auto& [method, operation] : kOperations) {
    add(method, "/v1/operator/keyring",
        [operation = operation](A a, B b, E e, T) { AnswerKeys(a, b, e, operation); });
  }
}

void AddEventRoutes(http::Api& api, const AgentApi& agent) {
  using http::Method;
  const auto add = Adder(api, agent);
  add(Method::kPut, "/v1/event/fire/", FireEvent);
  add(Method::kGet, "/v1/event/list", [](A a, B b, E e, T) { AnswerEvents(a, b, e); });
  add(Method::kGet, "/v1/coordinate/datacenters",
      [](A a, B b, E e, T) { AnswerDatacenters(a, b, e); });
  add(Method::kGet, "/v1/coordinate/nodes",
      [](A a, B b, E e, T) { e->Respond(CoordinatesOfNodes(a, b, e->request())); });
  add(Method::kGet, "/v1/coordinate/node/",
      [](A a, B b, E e, T node) { e->Respond(CoordinatesOfNode(a, b, e->request(), node)); });
  add(Method::kPut, "/v1/coordinate/update",
      [](A, B b, E e, T) { e->Respond(UpdateCoordinate(b, e->request())); });
}

}  // namespace pharos::agent
