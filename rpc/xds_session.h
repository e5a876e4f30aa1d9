// What one xDS stream says (the xDS protocol, variants "state of the world" and "incremental"):
// requests in, responses out. Nothing of sockets or threads.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "proto/xds/ads.pb.h"
#include "rpc/xds_resources.h"

namespace pharos::rpc {

// Of one type, on one stream.
inline constexpr size_t kXdsNamesMax = 1000;

// Why a client refused what it was sent; both empty: it did not.
struct XdsRefusal {
  std::string type_url;
  std::string message;
};

// State of the world: each request names all resources of its type that are wanted.
class SotwSession {
 public:
  using Request = ::envoy::service::discovery::v3::DiscoveryRequest;
  using Response = ::envoy::service::discovery::v3::DiscoveryResponse;

  // InvalidArgument for a type that is not served; ResourceExhausted for too many names.
  absl::Status Take(const Request& request, XdsRefusal& refusal);
  // Of these services something may have changed.
  void Touch(const std::set<std::string>& lower_services);
  // What is to be sent next; nullopt when nothing is.
  std::optional<Response> Next(XdsResources& resources, const registry::Snapshot& snapshot);
  // The services whose endpoints are wanted, in lower case.
  std::set<std::string> Services() const;

 private:
  struct Wanted {
    std::map<std::string, std::string>
        versions;                   // By name, as the client was told; empty: nothing.
    std::set<std::string> touched;  // Of these names.
    bool all = false;               // The whole type is to be sent.
    std::string nonce;              // Of the last response.
  };
  std::array<Wanted, kXdsTypes> wanted_;
  uint64_t last_nonce_ = 0;
};

// Incremental: requests say what is wanted besides, and what not any more.
class DeltaSession {
 public:
  using Request = ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using Response = ::envoy::service::discovery::v3::DeltaDiscoveryResponse;

  absl::Status Take(const Request& request, XdsRefusal& refusal);
  void Touch(const std::set<std::string>& lower_services);
  std::optional<Response> Next(XdsResources& resources, const registry::Snapshot& snapshot);
  std::set<std::string> Services() const;

 private:
  struct Wanted {
    std::map<std::string, std::string> versions;
    std::set<std::string> touched;
    std::set<std::string> asked;  // To be answered whatever the client has.
  };
  std::array<Wanted, kXdsTypes> wanted_;
  uint64_t last_nonce_ = 0;
};

}  // namespace pharos::rpc
