#include "dns/answer_config.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace pharos::dns {

ServiceTtls::ServiceTtls(const std::vector<std::pair<std::string, uint32_t>>& ttl_s_by_key) {
  for (const auto& [key, ttl_s] : ttl_s_by_key) {
    if (key.ends_with('*')) {
      prefixes_.emplace_back(key.substr(0, key.size() - 1), ttl_s);
    } else {
      exact_[key] = ttl_s;
    }
  }
  std::stable_sort(prefixes_.begin(), prefixes_.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

uint32_t ServiceTtls::Find(std::string_view lower_name) const {
  if (!exact_.empty()) {
    const auto found = exact_.find(absl::string_view(lower_name.data(), lower_name.size()));
    if (found != exact_.end()) return found->second;
  }
  for (const auto& [prefix, ttl_s] : prefixes_) {
    if (lower_name.starts_with(prefix)) return ttl_s;
  }
  return 0;
}

absl::StatusOr<Zone> Zone::Make(std::string_view domain, std::string_view datacenter) {
  const std::string lower = absl::AsciiStrToLower(std::string(domain));
  const auto name = Name::FromText(lower);
  // The longest name we make: 32 hexadecimal digits of an IPv6 address before the addr suffix.
  const auto longest =
      Name::FromText(absl::StrFormat("%s.addr.%s.%s", std::string(32, 'f'), datacenter, lower));
  if (!name || name->is_root() || !longest) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "\"%s\" cannot be served as a domain; expected a domain name such as \"consul.\" that "
        "leaves room for names below it",
        domain));
  }
  Zone zone;
  zone.name = *name;
  zone.node_suffix = *Name::FromText(absl::StrFormat("node.%s.%s", datacenter, lower));
  zone.addr_suffix = *Name::FromText(absl::StrFormat("addr.%s.%s", datacenter, lower));
  zone.mname = *Name::FromText("ns." + lower);
  zone.rname = *Name::FromText("hostmaster." + lower);
  return zone;
}

}  // namespace pharos::dns
