// Requests that another agent has to answer: of another datacenter, or a server. As messages to it
// (proto/peer.proto), and those that came from one, answered here.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/loop.h"
#include "base/loop_mailbox.h"
#include "http/api.h"
#include "http/message.h"
#include "proto/peer.pb.h"

namespace pharos::http {

using ForwardDone = std::function<void(absl::StatusOr<peer::v1::HttpResponse>)>;

// The datacenter that has to answer a request (in lower case), if it is not this agent: another one
// that it names, or the own one, for what a server is to answer.
std::optional<std::string> AnsweredElsewhere(const Request& request, const std::string& own,
                                             Answers answers);

// Whom `near=_agent` means is said by the name of this agent's node.
peer::v1::HttpRequest ToMessage(const Request& request, std::string datacenter,
                                const std::string& node_name);
// Its client is not told.
Request FromMessage(peer::v1::HttpRequest message);
peer::v1::HttpResponse ToMessage(const Response& response);
Response FromMessage(peer::v1::HttpResponse message);

// A JSON body of another datacenter with its nodes and services at the addresses that its servers
// give to the WAN (`translate_wan_addrs`). What is no JSON stays as it is.
std::string WithWanAddresses(const std::string& body);

// Answers what other agents forward, on a thread of its own, by the same routes as everybody's but
// for those about the agent itself.
class ForwardedRequests {
 public:
  // At one time; one more is refused.
  static constexpr size_t kRequestsMax = 8192;

  // `add_routes` adds further ones to it.
  ForwardedRequests(const ApiContext& context, const std::function<void(Api&)>& add_routes);
  // Answers all that is left with an error.
  ~ForwardedRequests();

  // Any thread. `done` is called once, on any. What is returned is to be called when who asked has
  // gone, on any thread and at any time.
  std::function<void()> Handle(peer::v1::HttpRequest request, ForwardDone done);

 private:
  class ForwardedExchange;
  std::unique_ptr<Api> api_;  // Of the loop.
  std::unique_ptr<Loop> loop_;
  std::shared_ptr<LoopMailbox> mailbox_;
  // Shared with requests that may be answered when this has ended.
  std::shared_ptr<std::atomic<size_t>> running_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace pharos::http
