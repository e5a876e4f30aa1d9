// Host names to socket addresses, as the system looks them up, without waiting.
#pragma once

#include <netinet/in.h>
#include <uv.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/checks/endpoint.h"

namespace pharos::agent {

// At least one, with the port; in the order to try them, at most 16.
using SocketAddresses = std::vector<sockaddr_storage>;

// One lookup. All calls are on the loop's thread. The system's lookup itself is done by libuv's
// threads; one that is given up keeps the loop's thread from ending until the system gives up too.
class Resolver {
 public:
  using Done = std::function<void(absl::StatusOr<SocketAddresses>)>;

  explicit Resolver(uv_loop_t* loop) : loop_(loop) {}
  // Gives up; `done` is not called any more.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Returns what is known at once (`host` is an address, or the lookup could not be begun), else
  // calls `done` later; the resolver may be destroyed within. Unavailable: `lookup HOST: why`.
  // Once.
  std::optional<absl::StatusOr<SocketAddresses>> Start(const Endpoint& endpoint, Done done);

 private:
  void TakeEnd(int status, const addrinfo* found);

  uv_loop_t* loop_;
  uv_getaddrinfo_t* lookup_ = nullptr;
  std::string host_;
  Done done_;
};

// `a.b.c.d:port` or `[v6]:port`.
std::string SocketAddressText(const sockaddr_storage& address);

// What libuv says to an error, as Go spells it: `connection refused`, `no such host`.
std::string ErrorText(int uv_error);

}  // namespace pharos::agent
