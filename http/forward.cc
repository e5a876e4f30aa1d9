#include "http/forward.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "http/errors.h"

namespace pharos::http {
namespace {

Method MethodOf(const std::string& name) {
  constexpr std::array kMethods = {Method::kGet,    Method::kPut,  Method::kPost,
                                   Method::kDelete, Method::kHead, Method::kOptions};
  for (const Method method : kMethods) {
    if (MethodName(method) == name) return method;
  }
  return Method::kOther;
}

void CopyPairs(const TextPairs& pairs, google::protobuf::RepeatedPtrField<peer::v1::HttpPair>& to) {
  for (const auto& [name, value] : pairs) {
    peer::v1::HttpPair& pair = *to.Add();
    pair.set_name(name);
    pair.set_value(value);
  }
}

TextPairs PairsOf(google::protobuf::RepeatedPtrField<peer::v1::HttpPair>& from) {
  TextPairs pairs;
  for (peer::v1::HttpPair& pair : from) {
    pairs.emplace_back(std::move(*pair.mutable_name()), std::move(*pair.mutable_value()));
  }
  return pairs;
}

using Json = nlohmann::ordered_json;

// By the names that a shape gives them: the tagged addresses, and what they stand in for.
void TakeWan(Json& object, const char* tagged, const char* address, const char* port) {
  const auto all = object.find(tagged);
  if (all == object.end() || !all->is_object()) return;
  const auto wan = all->find("wan");
  if (wan == all->end()) return;
  if (wan->is_string()) {
    if (object.contains(address)) object[address] = *wan;  // Of a node.
    return;
  }
  if (!wan->is_object()) return;
  if (wan->contains("Address") && object.contains(address)) object[address] = (*wan)["Address"];
  const auto given = wan->find("Port");
  if (given != wan->end() && given->is_number() && *given != 0 && object.contains(port)) {
    object[port] = *given;
  }
}

void TakeWan(Json& value) {
  if (value.is_object()) {
    TakeWan(value, "TaggedAddresses", "Address", "Port");
    TakeWan(value, "ServiceTaggedAddresses", "ServiceAddress", "ServicePort");
  }
  if (value.is_structured()) {
    for (Json& each : value) TakeWan(each);
  }
}

}  // namespace

namespace {

// What a body says of where it belongs, in lower case; empty: nothing that can be read.
std::string DatacenterOf(const std::string& body) {
  if (!absl::StrContains(body, "atacenter")) return {};  // However it is written.
  const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return {};
  for (const auto& [key, value] : json.items()) {
    if (absl::EqualsIgnoreCase(key, "datacenter") && value.is_string()) {
      return absl::AsciiStrToLower(value.get<std::string>());
    }
  }
  return {};
}

}  // namespace

std::string WithWanAddresses(const std::string& body) {
  constexpr int kIndent = 4;
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) return body;
  TakeWan(json);
  const bool pretty = body.find("\n    ") != std::string::npos;
  return json.dump(pretty ? kIndent : -1, ' ', false, Json::error_handler_t::replace);
}

std::optional<std::string> AnsweredElsewhere(const Request& request, const std::string& own,
                                             Answers answers) {
  const std::string_view path = request.path;
  // About this agent itself, whatever it says.
  if (!path.starts_with("/v1/") || path.starts_with("/v1/agent/") ||
      path == "/v1/catalog/datacenters" || path == "/v1/coordinate/datacenters" ||
      path == "/v1/event/list") {
    return std::nullopt;
  }
  const std::string_view given = request.Parameter("dc").value_or("");
  std::string datacenter = absl::AsciiStrToLower(absl::string_view(given.data(), given.size()));
  const bool has_body = path == "/v1/catalog/register" || path == "/v1/catalog/deregister";
  if (datacenter.empty() && has_body) datacenter = DatacenterOf(request.body);
  if (!datacenter.empty() && datacenter != own) return datacenter;
  const bool servers_only = path.starts_with("/v1/snapshot") ||
                            (path.starts_with("/v1/operator/") && path != "/v1/operator/keyring");
  const bool of_catalog = servers_only || path.starts_with("/v1/catalog/") ||
                          path.starts_with("/v1/health/") || path.starts_with("/v1/query") ||
                          path.starts_with("/v1/config") || path.starts_with("/v1/txn") ||
                          path.starts_with("/v1/internal/");
  if (answers == Answers::kWhatIsCopied && servers_only) return own;
  if (answers == Answers::kWhatIsItsOwn && of_catalog) return own;
  return std::nullopt;
}

peer::v1::HttpRequest ToMessage(const Request& request, std::string datacenter,
                                const std::string& node_name) {
  peer::v1::HttpRequest message;
  message.set_datacenter(std::move(datacenter));
  message.set_method(std::string(request.method_name));
  message.set_path(request.path);
  CopyPairs(request.query, *message.mutable_parameters());
  for (peer::v1::HttpPair& pair : *message.mutable_parameters()) {
    if (pair.name() == "near" && pair.value() == "_agent") pair.set_value(node_name);
  }
  CopyPairs(request.headers, *message.mutable_headers());
  message.set_body(request.body);
  return message;
}

Request FromMessage(peer::v1::HttpRequest message) {
  Request request;
  request.method = MethodOf(message.method());
  request.method_name = MethodName(request.method);
  request.path = std::move(*message.mutable_path());
  request.query = PairsOf(*message.mutable_parameters());
  request.headers = PairsOf(*message.mutable_headers());
  request.body = std::move(*message.mutable_body());
  return request;
}

peer::v1::HttpResponse ToMessage(const Response& response) {
  peer::v1::HttpResponse message;
  message.set_status(response.status);
  message.set_content_type(response.content_type);
  CopyPairs(response.headers, *message.mutable_headers());
  if (response.body != nullptr) message.set_body(response.body->plain());
  return message;
}

Response FromMessage(peer::v1::HttpResponse message) {
  Response response;
  response.status = message.status();
  response.content_type = std::move(*message.mutable_content_type());
  response.headers = PairsOf(*message.mutable_headers());
  if (!message.body().empty()) {
    response.body = std::make_shared<const Body>(std::move(*message.mutable_body()));
  }
  return response;
}

// One request; who asked is told when it is answered, or when nobody will answer it.
class ForwardedRequests::ForwardedExchange : public Exchange {
 public:
  ForwardedExchange(Loop& loop, Request request, ForwardDone done)
      : loop_(loop), request_(std::move(request)), done_(std::move(done)) {}
  ~ForwardedExchange() override {
    if (done_) done_(absl::UnavailableError("the server that was to answer is stopping"));
  }

  const Request& request() const override { return request_; }
  Loop& loop() override { return loop_; }
  void Respond(Response response) override {
    if (ForwardDone done = std::exchange(done_, nullptr)) done(ToMessage(response));
  }
  // What has no end is not forwarded.
  void BeginStream(Response head) override {
    streamed_ = std::move(head);
    text_.clear();
  }
  bool Write(std::string_view piece) override {
    if (text_.size() + piece.size() > kStreamOctetsMax) return false;
    text_ += piece;
    return true;
  }
  void EndStream() override {
    streamed_.body = std::make_shared<const Body>(std::move(text_));
    Respond(std::move(streamed_));
  }
  bool gone() const override { return !done_; }
  void OnGone(std::function<void()> callback) override { on_gone_ = std::move(callback); }
  // Nobody waits for the answer any more.
  void Leave() {
    if (!done_) return;
    std::exchange(done_, nullptr)(absl::CancelledError("who asked has gone"));
    if (const auto on_gone = std::exchange(on_gone_, nullptr)) on_gone();
  }

 private:
  static constexpr size_t kStreamOctetsMax = size_t{2} << 30;

  Loop& loop_;
  const Request request_;
  ForwardDone done_;
  std::function<void()> on_gone_;
  Response streamed_;
  std::string text_;
};

ForwardedRequests::ForwardedRequests(const ApiContext& context,
                                     const std::function<void(Api&)>& add_routes)
    : loop_(std::make_unique<Loop>("http-forwarded")) {
  ApiContext own = context;
  // What comes from another agent goes to no third.
  own.forward = nullptr;
  // Who sends it on has asked whether its client may.
  own.router.block_endpoints.clear();
  own.router.allow_writes_from.clear();
  mailbox_ = std::make_shared<LoopMailbox>(*loop_);
  loop_->PostAndWait([&] {
    api_ = std::make_unique<Api>(*loop_, own);
    add_routes(*api_);
  });
}

ForwardedRequests::~ForwardedRequests() {
  mailbox_->Close();
  loop_->PostAndWait([this] { api_.reset(); });
  loop_->Stop();
}

std::function<void()> ForwardedRequests::Handle(peer::v1::HttpRequest request, ForwardDone done) {
  if (running_->fetch_add(1) >= kRequestsMax) {
    running_->fetch_sub(1);
    done(absl::ResourceExhaustedError("too many requests of others are waiting"));
    return nullptr;
  }
  const auto counted = [running = running_,
                        done = std::move(done)](absl::StatusOr<peer::v1::HttpResponse> response) {
    running->fetch_sub(1);
    done(std::move(response));
  };
  auto exchange =
      std::make_shared<ForwardedExchange>(*loop_, FromMessage(std::move(request)), counted);
  loop_->Post([this, exchange] {
    if (api_ != nullptr) api_->Handle(exchange);
  });
  return [mailbox = mailbox_, weak = std::weak_ptr<ForwardedExchange>(exchange)] {
    LoopMailbox::Post(mailbox, [weak] {
      if (const auto alive = weak.lock()) alive->Leave();
    });
  };
}

}  // namespace pharos::http
