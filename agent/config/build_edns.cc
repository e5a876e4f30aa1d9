#include "agent/config/build_edns.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "dns/reply_frame.h"

namespace pharos::agent {
namespace {

constexpr size_t kCookieSecretsMax = 8;

bool IsHex(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); });
}

void BuildCookies(const Settings& settings, DnsConfig& dns) {
  settings.Read("dns_config.cookies", dns.cookies);
  settings.Read("dns_config.require_cookie", dns.require_cookie);
  if (dns.require_cookie && !dns.cookies) {
    settings.Problem("dns_config.require_cookie",
                     "dns_config.require_cookie is true but dns_config.cookies is false; expected "
                     "cookies where they are required");
  }
  std::vector<std::string> secrets;
  settings.Read("dns_config.cookie_secret", secrets);
  if (secrets.size() > kCookieSecretsMax) {
    settings.Problem("dns_config.cookie_secret",
                     absl::StrFormat("dns_config.cookie_secret has %d secrets; expected at most %d",
                                     secrets.size(), kCookieSecretsMax));
  }
  for (const std::string& text : secrets) {
    dns::CookieSecret secret;
    if (text.size() != 2 * secret.size() || !IsHex(text)) {
      // Not repeated in the message, which ends up in logs.
      settings.Problem("dns_config.cookie_secret",
                       absl::StrFormat("dns_config.cookie_secret has an element of %d characters; "
                                       "expected 32 hexadecimal digits each",
                                       text.size()));
      continue;
    }
    const std::string octets = absl::HexStringToBytes(text);
    std::copy(octets.begin(), octets.end(), secret.begin());
    dns.cookie_secrets.push_back(secret);
  }
}

void BuildNsid(const Settings& settings, const std::string& node_name, DnsConfig& dns) {
  const Value* given = settings.Find("dns_config.nsid");
  if (given == nullptr) return;
  if (given->is(Value::Kind::kBool)) {
    if (given->boolean) dns.nsid = node_name;
  } else if (given->is(Value::Kind::kText)) {
    dns.nsid = given->text;
  } else {
    settings.Problem("dns_config.nsid",
                     "dns_config.nsid is neither a bool nor a text; expected true for the node's "
                     "name, false, or a text");
  }
  if (dns.nsid.size() > dns::kNsidOctetsMax) {
    settings.Problem("dns_config.nsid",
                     absl::StrFormat("dns_config.nsid has %d octets; expected at most %d",
                                     dns.nsid.size(), dns::kNsidOctetsMax));
  }
}

}  // namespace

void BuildEdns(const Settings& settings, Config& config) {
  BuildCookies(settings, config.dns);
  BuildNsid(settings, config.node_name, config.dns);
}

}  // namespace pharos::agent
