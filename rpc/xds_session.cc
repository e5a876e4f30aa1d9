#include "rpc/xds_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "rpc/errors.h"

namespace pharos::rpc {
namespace {

absl::Status UnknownType(const std::string& type_url) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "type_url is \"%s\"; expected that of a Listener, RouteConfiguration, Cluster "
      "or ClusterLoadAssignment (v3)",
      Excerpt(type_url)));
}

absl::Status TooMany(size_t count) {
  return absl::ResourceExhaustedError(absl::StrFormat(
      "%d resources of a type are asked for; expected at most %d", count, kXdsNamesMax));
}

// The names in `versions` whose service is one of these.
template <typename Wanted>
void TouchNames(const std::set<std::string>& lower_services, Wanted& wanted) {
  for (const auto& [name, version] : wanted.versions) {
    const std::optional<XdsName> parsed = ParseXdsName(name);
    if (parsed && lower_services.contains(parsed->lower_service)) wanted.touched.insert(name);
  }
}

template <typename Wanted>
std::set<std::string> ServicesOf(const Wanted& wanted) {
  std::set<std::string> services;
  for (const auto& [name, version] : wanted.versions) {
    if (const std::optional<XdsName> parsed = ParseXdsName(name)) {
      services.insert(parsed->lower_service);
    }
  }
  return services;
}

constexpr size_t kEndpointsAt = static_cast<size_t>(XdsType::kEndpoints);

}  // namespace

absl::Status SotwSession::Take(const Request& request, XdsRefusal& refusal) {
  const std::optional<XdsType> type = ParseTypeUrl(request.type_url());
  if (!type) return UnknownType(request.type_url());
  Wanted& wanted = wanted_[static_cast<size_t>(*type)];
  // About an older response than the last: a newer request is on its way.
  if (!request.response_nonce().empty() && request.response_nonce() != wanted.nonce) {
    return absl::OkStatus();
  }
  if (request.has_error_detail()) {
    refusal = {request.type_url(), request.error_detail().message()};
  }
  if (static_cast<size_t>(request.resource_names_size()) > kXdsNamesMax) {
    return TooMany(static_cast<size_t>(request.resource_names_size()));
  }
  std::map<std::string, std::string> versions;
  bool more = false;
  for (const std::string& name : request.resource_names()) {
    const auto known = wanted.versions.find(name);
    more |= known == wanted.versions.end();
    versions.emplace(name, known == wanted.versions.end() ? "" : known->second);
  }
  const bool first = wanted.nonce.empty() && request.response_nonce().empty();
  wanted.all |= more || (first && !versions.empty());
  wanted.versions = std::move(versions);
  return absl::OkStatus();
}

void SotwSession::Touch(const std::set<std::string>& lower_services) {
  TouchNames(lower_services, wanted_[kEndpointsAt]);
}

std::set<std::string> SotwSession::Services() const { return ServicesOf(wanted_[kEndpointsAt]); }

std::optional<SotwSession::Response> SotwSession::Next(XdsResources& resources,
                                                       const registry::Snapshot& snapshot) {
  for (size_t at = 0; at < kXdsTypes; ++at) {
    Wanted& wanted = wanted_[at];
    if (!wanted.all && wanted.touched.empty()) continue;
    const bool all = std::exchange(wanted.all, false);
    const std::set<std::string> touched = std::exchange(wanted.touched, {});
    Response response;
    bool changed = false;
    for (auto& [name, version] : wanted.versions) {
      // Only of endpoints (and routes) may a response leave out what the client has.
      if (!all && !touched.contains(name)) continue;
      const XdsResource* resource = resources.Get(static_cast<XdsType>(at), name, snapshot);
      if (resource == nullptr) continue;  // A client takes what it does not get for nonexistent.
      if (!all && resource->version == version) continue;
      version = resource->version;
      *response.add_resources() = resource->content;
      changed = true;
    }
    if (!changed && !all) continue;
    wanted.nonce = absl::StrCat(++last_nonce_);
    response.set_type_url(std::string(TypeUrlOf(static_cast<XdsType>(at))));
    response.set_nonce(wanted.nonce);
    response.set_version_info(absl::StrCat(snapshot.index(), "-", wanted.nonce));
    return response;
  }
  return std::nullopt;
}

absl::Status DeltaSession::Take(const Request& request, XdsRefusal& refusal) {
  const std::optional<XdsType> type = ParseTypeUrl(request.type_url());
  if (!type) return UnknownType(request.type_url());
  Wanted& wanted = wanted_[static_cast<size_t>(*type)];
  if (request.has_error_detail()) {
    refusal = {request.type_url(), request.error_detail().message()};
  }
  for (const std::string& name : request.resource_names_unsubscribe()) {
    wanted.versions.erase(name);
    wanted.touched.erase(name);
    wanted.asked.erase(name);
  }
  for (const std::string& name : request.resource_names_subscribe()) {
    wanted.versions.try_emplace(name);
    wanted.asked.insert(name);
    if (wanted.versions.size() > kXdsNamesMax) return TooMany(wanted.versions.size());
  }
  // What a client that comes back has already need not be sent again.
  for (const auto& [name, version] : request.initial_resource_versions()) {
    const auto known = wanted.versions.find(name);
    if (known == wanted.versions.end()) continue;
    known->second = version;
    wanted.asked.erase(name);
    wanted.touched.insert(name);
  }
  return absl::OkStatus();
}

void DeltaSession::Touch(const std::set<std::string>& lower_services) {
  TouchNames(lower_services, wanted_[kEndpointsAt]);
}

std::set<std::string> DeltaSession::Services() const { return ServicesOf(wanted_[kEndpointsAt]); }

std::optional<DeltaSession::Response> DeltaSession::Next(XdsResources& resources,
                                                         const registry::Snapshot& snapshot) {
  for (size_t at = 0; at < kXdsTypes; ++at) {
    Wanted& wanted = wanted_[at];
    if (wanted.asked.empty() && wanted.touched.empty()) continue;
    const std::set<std::string> asked = std::exchange(wanted.asked, {});
    std::set<std::string> names = std::exchange(wanted.touched, {});
    names.insert(asked.begin(), asked.end());
    Response response;
    for (const std::string& name : names) {
      const XdsResource* resource = resources.Get(static_cast<XdsType>(at), name, snapshot);
      if (resource == nullptr) {
        response.add_removed_resources(name);
        continue;
      }
      std::string& version = wanted.versions[name];
      if (version == resource->version && !asked.contains(name)) continue;
      version = resource->version;
      auto& sent = *response.add_resources();
      sent.set_name(name);
      sent.set_version(version);
      *sent.mutable_resource() = resource->content;
    }
    if (response.resources().empty() && response.removed_resources().empty()) continue;
    response.set_type_url(std::string(TypeUrlOf(static_cast<XdsType>(at))));
    response.set_nonce(absl::StrCat(++last_nonce_));
    response.set_system_version_info(absl::StrCat(snapshot.index()));
    return response;
  }
  return std::nullopt;
}

}  // namespace pharos::rpc
