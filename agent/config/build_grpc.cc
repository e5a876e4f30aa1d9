#include "agent/config/build_grpc.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

constexpr absl::Duration kKeepaliveMin = absl::Milliseconds(50);

void ReadKeepalive(const Settings& settings, std::string_view path, absl::Duration& target) {
  settings.Read(path, target);
  if (target >= kKeepaliveMin) return;
  settings.Problem(
      path, absl::StrFormat("%s is %s; expected at least %s", path, absl::FormatDuration(target),
                            absl::FormatDuration(kKeepaliveMin)));
}

}  // namespace

void BuildGrpc(const Settings& settings, Config& config, BuildNotes& notes) {
  GrpcConfig& grpc = config.grpc;
  const auto read = [&](const std::string& name, auto& target) {
    settings.Read(name, target);
    settings.Read(absl::StrCat("tls.defaults.", name), target);
    settings.Read(absl::StrCat("tls.grpc.", name), target);
  };
  read("ca_file", grpc.tls.ca_file);
  read("cert_file", grpc.tls.cert_file);
  read("key_file", grpc.tls.key_file);
  read("verify_incoming", grpc.verify_incoming);
  ReadKeepalive(settings, "grpc_config.keepalive_interval", grpc.keepalive_interval);
  ReadKeepalive(settings, "grpc_config.keepalive_timeout", grpc.keepalive_timeout);
  const bool no_certificate = grpc.tls.cert_file.empty() || grpc.tls.key_file.empty();
  if (settings.Has("ports.grpc_tls") && config.ports.grpc_tls > 0 && no_certificate) {
    notes.warnings.push_back(settings.Located(
        "ports.grpc_tls",
        absl::StrFormat("ports.grpc_tls is %d but cert_file and key_file are not both set: gRPC "
                        "with TLS is not started",
                        config.ports.grpc_tls)));
  }
}

}  // namespace pharos::agent
