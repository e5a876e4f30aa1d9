#include "agent/checks/endpoint.h"

#include <charconv>

#include "absl/strings/str_format.h"

namespace pharos::agent {

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text) {
  const absl::Status wrong =
      absl::InvalidArgumentError(absl::StrFormat("address %s: expected host:port", text));
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong;
  }
  uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size() || port == 0) return wrong;
  // A NUL would end the name early where C reads it.
  if (host.empty() || host.find('\0') != std::string_view::npos) return wrong;
  return Endpoint{.host = std::string(host), .port = port};
}

}  // namespace pharos::agent
