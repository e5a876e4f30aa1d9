#include "http/router.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "http/errors.h"
#include "http/tenancy.h"

namespace pharos::http {
namespace {

constexpr char kBlocked[] = "Endpoint is blocked by agent configuration";

Response WithAllow(Response response, std::string allowed) {
  response.headers.emplace_back("Allow", std::move(allowed));
  return response;
}

bool HasControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
}

}  // namespace

void Router::Add(Method method, std::string path, Handler handler) {
  routes_[std::move(path)][method] = std::move(handler);
}

const Router::Methods* Router::Find(std::string_view path, size_t& argument_at) const {
  argument_at = path.size();
  if (const auto exact = routes_.find(path); exact != routes_.end()) return &exact->second;
  for (size_t slash = path.rfind('/'); slash != std::string_view::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    const auto found = routes_.find(path.substr(0, slash + 1));
    if (found == routes_.end()) continue;
    argument_at = slash + 1;
    return &found->second;
  }
  return nullptr;
}

bool Router::MayWrite(const Request& request) const {
  // Who comes by a Unix socket is on this machine, and the socket's mode says who may.
  if (options_.allow_writes_from.empty() || request.peer.empty()) return true;
  const absl::StatusOr<SocketAddress> peer = ParseSocketAddress(request.peer, 0);
  return peer.ok() &&
         std::any_of(options_.allow_writes_from.begin(), options_.allow_writes_from.end(),
                     [&](const Cidr& block) { return block.Contains(peer->ip); });
}

bool Router::IsBlocked(const Request& request) const {
  return std::any_of(
      options_.block_endpoints.begin(), options_.block_endpoints.end(),
      [&request](const std::string& blocked) { return request.path.starts_with(blocked); });
}

bool Router::Admits(const std::shared_ptr<Exchange>& exchange) const {
  const Request& request = exchange->request();
  if (IsBlocked(request)) {
    exchange->Respond(TextResponse(403, kBlocked));
    return false;
  }
  const bool reads = request.method == Method::kGet || request.method == Method::kOptions;
  if (reads || MayWrite(request)) return true;
  exchange->Respond(TextResponse(403, "Access is restricted"));
  return false;
}

void Router::Route(const std::shared_ptr<Exchange>& exchange) const {
  const Request& request = exchange->request();
  if (IsBlocked(request)) return exchange->Respond(TextResponse(403, kBlocked));
  size_t argument_at = 0;
  const Methods* methods = Find(request.path, argument_at);
  if (methods == nullptr) return exchange->Respond(EmptyResponse(404));
  std::string allowed = "OPTIONS";
  for (const auto& [method, handler] : *methods) {
    absl::StrAppendFormat(&allowed, ",%s", MethodName(method));
  }
  if (request.method == Method::kOptions) {
    return exchange->Respond(WithAllow(EmptyResponse(200), std::move(allowed)));
  }
  const auto found = methods->find(request.method);
  if (found == methods->end()) {
    return exchange->Respond(
        WithAllow(TextResponse(405, absl::StrFormat("method %s not allowed", request.method_name)),
                  std::move(allowed)));
  }
  if (request.method != Method::kGet && !MayWrite(request)) {
    return exchange->Respond(TextResponse(403, "Access is restricted"));
  }
  const std::optional<std::string> argument =
      PercentDecode(std::string_view(request.path).substr(argument_at), false);
  if (!argument) {
    return exchange->Respond(TextResponse(
        400, "Invalid path: expected two hexadecimal digits behind each percent sign"));
  }
  if (const absl::Status tenancy = CheckTenancy(request); !tenancy.ok()) {
    return exchange->Respond(ErrorResponse(tenancy));
  }
  if (!options_.allow_unprintable && HasControls(*argument)) {
    return exchange->Respond(TextResponse(400, "Invalid path: it has control characters"));
  }
  found->second(exchange, *argument);
}

}  // namespace pharos::http
