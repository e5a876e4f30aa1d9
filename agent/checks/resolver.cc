#include "agent/checks/resolver.h"

#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/ip_address.h"

namespace pharos::agent {
namespace {

constexpr size_t kAddressesMax = 16;

absl::Status LookupFailure(const std::string& host, int error) {
  return absl::UnavailableError(absl::StrFormat("lookup %s: %s", host, ErrorText(error)));
}

}  // namespace

Resolver::~Resolver() {
  if (lookup_ == nullptr) return;
  lookup_->data = nullptr;
  uv_cancel(reinterpret_cast<uv_req_t*>(lookup_));
}

std::optional<absl::StatusOr<SocketAddresses>> Resolver::Start(const Endpoint& endpoint,
                                                               Done done) {
  if (const std::optional<IpAddress> ip = IpAddress::Parse(endpoint.host)) {
    sockaddr_storage address{};
    SocketAddress{.ip = *ip, .port = endpoint.port}.ToSockaddr(address);
    return SocketAddresses{address};
  }
  host_ = endpoint.host;
  done_ = std::move(done);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // One entry an address; the port is the same for all types.
  lookup_ = new uv_getaddrinfo_t;
  lookup_->data = this;
  const int error = uv_getaddrinfo(
      loop_, lookup_,
      [](uv_getaddrinfo_t* lookup, int status, addrinfo* found) {
        auto* self = static_cast<Resolver*>(lookup->data);
        delete lookup;
        if (self != nullptr) {
          self->lookup_ = nullptr;
          self->TakeEnd(status, found);
        }
        uv_freeaddrinfo(found);
      },
      endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints);
  if (error == 0) return std::nullopt;
  delete std::exchange(lookup_, nullptr);
  return LookupFailure(host_, error);
}

void Resolver::TakeEnd(int status, const addrinfo* found) {
  SocketAddresses addresses;
  for (; found != nullptr && addresses.size() < kAddressesMax; found = found->ai_next) {
    if (found->ai_addrlen > sizeof(sockaddr_storage)) continue;
    std::memcpy(&addresses.emplace_back(), found->ai_addr, found->ai_addrlen);
  }
  const Done done = std::move(done_);
  if (status != 0 || addresses.empty()) {
    done(LookupFailure(host_, status != 0 ? status : UV_EAI_NONAME));
  } else {
    done(std::move(addresses));
  }
}

std::string SocketAddressText(const sockaddr_storage& address) {
  return SocketAddress::FromSockaddr(address).ToString();
}

std::string ErrorText(int uv_error) {
  if (uv_error == UV_EAI_NONAME || uv_error == UV_EAI_NODATA) return "no such host";
  return absl::AsciiStrToLower(uv_strerror(uv_error));
}

}  // namespace pharos::agent
