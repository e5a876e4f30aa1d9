#include "dns/upstream.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "dns/name.h"

namespace pharos::dns {
namespace {

constexpr std::string_view kTlsScheme = "tls://";
constexpr uint16_t kDnsPort = 53;
constexpr uint16_t kTlsPort = 853;

// A host name as certificates have them.
bool IsHostName(std::string_view text) {
  const std::optional<Name> name = Name::FromText(text);
  return name && !name->is_root() &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string_view::npos;
}

}  // namespace

std::string Upstream::ToString() const {
  if (!tls) return address.ToString();
  return absl::StrCat(std::string(kTlsScheme), address.ToString(), tls_name.empty() ? "" : "#",
                      tls_name);
}

absl::StatusOr<Upstream> ParseUpstream(std::string_view text) {
  Upstream upstream;
  if (!text.starts_with(kTlsScheme)) {
    ASSIGN_OR_RETURN(upstream.address, ParseSocketAddress(text, kDnsPort));
    return upstream;
  }
  upstream.tls = true;
  std::string_view address = text.substr(kTlsScheme.size());
  if (const size_t hash = address.find('#'); hash != std::string_view::npos) {
    upstream.tls_name = address.substr(hash + 1);
    address = address.substr(0, hash);
    if (upstream.tls_name.ends_with('.')) upstream.tls_name.pop_back();
    if (!IsHostName(upstream.tls_name)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("\"%s\" has no host name behind the #; expected tls://IP:PORT#NAME, as "
                          "in tls://1.1.1.1#cloudflare-dns.com",
                          text));
    }
  }
  ASSIGN_OR_RETURN(upstream.address, ParseSocketAddress(address, kTlsPort));
  return upstream;
}

}  // namespace pharos::dns
