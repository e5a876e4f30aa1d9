// Docker checks: a command run in a container, by the daemon's API (Docker Engine API v1.24,
// "Exec"): made, started, and asked for its exit code.
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/checks/docker_stream.h"
#include "agent/checks/http_transfer.h"
#include "agent/checks/output.h"
#include "agent/checks/probe.h"
#include "base/go_duration.h"

namespace pharos::agent {
namespace {

using registry::Health;
using Json = nlohmann::json;

constexpr size_t kAnswerOctetsMax = size_t{64} * 1024;
constexpr size_t kPrintedOctetsMax = size_t{1024} * 1024;

// Text that may stand as one segment of a URL's path.
std::string PathSegment(std::string_view text) {
  std::string segment;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(octet) || c == '-' || c == '_' || c == '.') {
      segment += c;
    } else {
      segment += absl::StrFormat("%%%02X", octet);
    }
  }
  return segment;
}

class DockerProbe : public Probe {
 public:
  DockerProbe(const ProbeContext& context, const CheckDefinition& definition, size_t octets_max)
      : context_(context), definition_(definition), output_(octets_max) {}

  ProbeResult TimedOut(absl::Duration timeout) override {
    return {Health::kCritical,
            absl::StrFormat("Timed out (%s) running check", FormatGoDuration(timeout))};
  }

 protected:
  std::optional<ProbeResult> Begin() override {
    const Json command = definition_.shell.empty()
                             ? Json(definition_.args)
                             : Json{definition_.shell, "-c", absl::StrJoin(definition_.args, " ")};
    const Json body = {{"AttachStdin", false},
                       {"AttachStdout", true},
                       {"AttachStderr", true},
                       {"Tty", false},
                       {"Cmd", command}};
    Ask("POST",
        absl::StrFormat("/containers/%s/exec", PathSegment(definition_.docker_container_id)),
        body.dump(-1, ' ', false, Json::error_handler_t::replace), kAnswerOctetsMax, 201,
        [this](const HttpReply& reply) { TakeCreated(reply); });
    return std::nullopt;
  }

 private:
  void TakeCreated(const HttpReply& reply) {
    const Json answer = Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
    const auto id = answer.is_object() ? answer.find("Id") : answer.end();
    if (id == answer.end() || !id->is_string()) {
      FinishCritical("the daemon made a command without an Id");
      return;
    }
    exec_id_ = PathSegment(id->get_ref<const std::string&>());
    Ask("POST", absl::StrFormat("/exec/%s/start", exec_id_), R"({"Detach":false,"Tty":false})",
        kPrintedOctetsMax, 200, [this](const HttpReply& started) { TakeStarted(started); });
  }

  void TakeStarted(const HttpReply& reply) {
    output_.Add(ReadDockerStream(reply.body));
    Ask("GET", absl::StrFormat("/exec/%s/json", exec_id_), "", kAnswerOctetsMax, 200,
        [this](const HttpReply& inspected) { TakeInspected(inspected); });
  }

  void TakeInspected(const HttpReply& reply) {
    const Json answer = Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
    const auto code = answer.is_object() ? answer.find("ExitCode") : answer.end();
    if (code == answer.end() || !code->is_number_integer()) {
      FinishCritical("the daemon knows no exit code of the command");
      return;
    }
    const auto exit_code = code->get<int64_t>();
    const Health status = exit_code == 0   ? Health::kPassing
                          : exit_code == 1 ? Health::kWarning
                                           : Health::kCritical;
    Finish({status, output_.Text()});
  }

  // Asks the daemon; `next` gets the answer if its code is `want`, else the run is over.
  void Ask(const std::string& method, const std::string& path, const std::string& body,
           size_t octets_max, int want, std::function<void(const HttpReply&)> next) {
    HttpRequest request{.url = "http://docker/v1.24" + path,
                        .method = method,
                        .headers = {"User-Agent: " + context_.options.user_agent},
                        .body = body,
                        .unix_socket = context_.options.docker_socket};
    if (!body.empty()) request.headers.emplace_back("Content-Type: application/json");
    // The transfer before this one is ending, in whose callback we are: it is kept until then.
    last_transfer_ = std::move(transfer_);
    transfer_ = std::make_unique<HttpTransfer>(context_.curl, octets_max);
    transfer_->Start(request, context_.options,
                     [this, want, then = std::move(next)](const absl::StatusOr<HttpReply>& reply) {
                       if (!reply.ok()) {
                         FinishCritical(reply.status().message());
                       } else if (reply->code != want) {
                         FinishCritical(absl::StrFormat("%s: %s", reply->status, reply->body));
                       } else {
                         then(*reply);
                       }
                     });
  }

  void FinishCritical(absl::string_view why) {
    output_.Add(absl::StrFormat("Docker at %s: %s", context_.options.docker_socket, why));
    Finish({Health::kCritical, output_.Text()});
  }

  const ProbeContext& context_;
  const CheckDefinition& definition_;
  std::string exec_id_;
  OutputTail output_;
  std::unique_ptr<HttpTransfer> transfer_, last_transfer_;
};

}  // namespace

std::unique_ptr<Probe> MakeDockerProbe(const ProbeContext& context,
                                       const CheckDefinition& definition, size_t octets_max) {
  return std::make_unique<DockerProbe>(context, definition, octets_max);
}

}  // namespace pharos::agent
