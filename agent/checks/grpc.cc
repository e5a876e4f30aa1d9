// gRPC checks: the health checking protocol (https://github.com/grpc/grpc, doc/health-checking.md).
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "agent/checks/probe.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cluster/callback_threads.h"
#include "proto/health.pb.h"

namespace pharos::agent {
namespace {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using registry::Health;
using Stub = ::grpc::TemplatedGenericStub<HealthCheckRequest, HealthCheckResponse>;
using Credentials = std::shared_ptr<::grpc::ChannelCredentials>;

constexpr char kMethod[] = "/grpc.health.v1.Health/Check";
constexpr size_t kPemOctetsMax = size_t{4} * 1024 * 1024;
// What a call lasts beyond the time that its check has.
constexpr absl::Duration kGrace = absl::Seconds(1);

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  if (path.empty()) return std::string();
  return ReadFile(path, kPemOctetsMax);
}

// Verified TLS. Of the trusted authorities gRPC knows files only: `ca_path` is not looked at.
absl::StatusOr<Credentials> VerifyingCredentials(const RunnerOptions& options) {
  ::grpc::SslCredentialsOptions ssl;
  ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadPem(options.ca_file));
  ASSIGN_OR_RETURN(ssl.pem_cert_chain, ReadPem(options.cert_file));
  ASSIGN_OR_RETURN(ssl.pem_private_key, ReadPem(options.key_file));
  return ::grpc::SslCredentials(ssl);
}

absl::StatusOr<Credentials> CredentialsFor(const CheckDefinition& definition,
                                           const RunnerOptions& options) {
  if (!definition.grpc_use_tls) return ::grpc::InsecureChannelCredentials();
  if (!definition.tls_skip_verify) return VerifyingCredentials(options);
  namespace experimental = ::grpc::experimental;
  experimental::TlsChannelCredentialsOptions tls;
  tls.set_verify_server_certs(false);
  tls.set_check_call_host(false);
  tls.set_certificate_verifier(std::make_shared<experimental::NoOpCertificateVerifier>());
  return experimental::TlsCredentials(tls);
}

// A channel of one run: it neither shares a connection nor asks the environment for a proxy. It
// gives up connecting (gRPC takes 100 ms at least) before `timeout`.
std::shared_ptr<::grpc::Channel> MakeChannel(const std::string& target, absl::Duration timeout,
                                             const CheckDefinition& definition,
                                             const RunnerOptions& options,
                                             const Credentials& credentials) {
  const int connect_ms = static_cast<int>(
      std::min<int64_t>(absl::ToInt64Milliseconds(timeout * 0.9), std::numeric_limits<int>::max()));
  ::grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ms);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, connect_ms);
  arguments.SetUserAgentPrefix(options.user_agent);
  if (!definition.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(definition.tls_server_name);
  }
  cluster::KeepCallbackThreads();
  return ::grpc::CreateCustomChannel(target, credentials, arguments);
}

// One call. Shared by the probe and gRPC, whose threads may hold it when the probe is gone.
class Call : public std::enable_shared_from_this<Call> {
 public:
  using Done = std::function<void(const ::grpc::Status&, const HealthCheckResponse&)>;

  // `done` is called on the loop's thread, once.
  Call(Loop& loop, std::shared_ptr<::grpc::Channel> channel, Done done)
      : channel_(std::move(channel)), stub_(channel_), done_(std::move(done)), loop_(&loop) {}

  void Start(const std::string& service, absl::Duration timeout) {
    request_.set_service(service);
    context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout + kGrace));
    stub_.UnaryCall(
        &context_, kMethod, {}, &request_, &response_,
        [self = shared_from_this()](::grpc::Status status) { self->Return(std::move(status)); });
  }

  // On the loop's thread: from now on neither `done` is called nor the loop touched.
  void Abandon() {
    done_ = nullptr;
    {
      const std::lock_guard lock(mutex_);
      loop_ = nullptr;
    }
    // gRPC 1.51 aborts, now and then, when a channel goes that is connecting (it counts its
    // references once too often), so a call that is not that far goes on by itself until the
    // channel has connected or given up.
    if (channel_->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY) context_.TryCancel();
  }

 private:
  // On a thread of gRPC's.
  void Return(::grpc::Status status) {
    const std::lock_guard lock(mutex_);
    if (loop_ == nullptr) return;
    loop_->Post([self = shared_from_this(), status = std::move(status)] {
      const Done done = std::move(self->done_);
      if (done) done(status, self->response_);
    });
  }

  ::grpc::ClientContext context_;
  const std::shared_ptr<::grpc::Channel> channel_;
  Stub stub_;
  HealthCheckRequest request_;
  HealthCheckResponse response_;
  Done done_;  // Of the loop's thread.
  std::mutex mutex_;
  Loop* loop_ ABSL_GUARDED_BY(mutex_);  // Null once abandoned.
};

class GrpcProbe : public Probe {
 public:
  GrpcProbe(const ProbeContext& context, const CheckDefinition& definition, absl::Duration timeout)
      : context_(context), definition_(definition), timeout_(timeout) {}
  ~GrpcProbe() override {
    if (call_ != nullptr) call_->Abandon();
  }
  GrpcProbe(const GrpcProbe&) = delete;
  GrpcProbe& operator=(const GrpcProbe&) = delete;

  ProbeResult TimedOut(absl::Duration) override { return Failure("Deadline Exceeded"); }

 protected:
  std::optional<ProbeResult> Begin() override {
    const size_t slash = definition_.grpc.find('/');
    const std::string target = definition_.grpc.substr(0, slash);
    const std::string service =
        slash == std::string::npos ? "" : definition_.grpc.substr(slash + 1);
    const absl::StatusOr<Credentials> credentials = CredentialsFor(definition_, context_.options);
    if (!credentials.ok()) return Failure(credentials.status().message());
    call_ = std::make_shared<Call>(
        context_.loop, MakeChannel(target, timeout_, definition_, context_.options, *credentials),
        [this](const ::grpc::Status& status, const HealthCheckResponse& response) {
          TakeResponse(status, response);
        });
    call_->Start(service, timeout_);
    return std::nullopt;
  }

 private:
  void TakeResponse(const ::grpc::Status& status, const HealthCheckResponse& response) {
    if (!status.ok()) {
      Finish(Failure(status.error_message()));
    } else if (response.status() == HealthCheckResponse::SERVING) {
      Finish({Health::kPassing, absl::StrFormat("gRPC check %s: success", definition_.grpc)});
    } else {
      const std::string name = HealthCheckResponse::ServingStatus_Name(response.status());
      Finish(Failure(name.empty() ? "unknown status" : name));
    }
  }

  ProbeResult Failure(absl::string_view why) const {
    return {Health::kCritical, absl::StrFormat("gRPC check %s: %s", definition_.grpc, why)};
  }

  const ProbeContext& context_;
  const CheckDefinition& definition_;
  const absl::Duration timeout_;
  std::shared_ptr<Call> call_;
};

}  // namespace

std::unique_ptr<Probe> MakeGrpcProbe(const ProbeContext& context, const CheckDefinition& definition,
                                     absl::Duration timeout) {
  return std::make_unique<GrpcProbe>(context, definition, timeout);
}

}  // namespace pharos::agent
