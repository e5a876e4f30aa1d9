// The HTTP API of an agent as commands use it. Blocks.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/cli/flags.h"

namespace pharos::agent {

// The options that every command which asks an agent takes, behind the command's own.
std::vector<Flag> WithApiFlags(std::vector<Flag> own);

// Reads an environment variable; empty if it is not set. Tests give their own.
using ReadEnvironment = std::function<std::string(const char* name)>;
std::string ReadProcessEnvironment(const char* name);

// Where the agent is and who asks.
struct ApiOptions {
  std::string base_url = "http://127.0.0.1:8500";  // Without a final slash.
  std::string unix_path;                           // Empty: over TCP.
  std::string token, user_and_password;
  std::string ca_file, ca_path, client_cert, client_key, tls_server_name;
  bool verify_tls = true;
  std::string datacenter;
  bool stale = false;
};

// From the options, else from PHAROS_HTTP_ADDR and the like, else from CONSUL_HTTP_ADDR and the
// like. InvalidArgument for a token file that cannot be read.
absl::StatusOr<ApiOptions> ReadApiOptions(const ParsedFlags& parsed, const ReadEnvironment& read);

struct ApiReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;
};

using QueryPairs = std::vector<std::pair<std::string, std::string>>;

class ApiClient {
 public:
  explicit ApiClient(ApiOptions options) : options_(std::move(options)) {}

  // `path` stands behind /v1/ and is encoded already; `query` is not. Unavailable when nobody
  // answers, in the form `Get "URL": REASON`.
  absl::StatusOr<ApiReply> Ask(std::string_view method, const std::string& path,
                               const QueryPairs& query = {}, const std::string& body = "") const;
  // The same, and any status but 200 is an error: `Unexpected response code: 500 (TEXT)`.
  absl::StatusOr<ApiReply> Get(const std::string& path, const QueryPairs& query = {}) const;
  absl::Status Put(const std::string& path, const QueryPairs& query = {},
                   const std::string& body = "") const;
  // Hands on what comes as it comes, until `take` returns false or the agent ends it.
  absl::Status Stream(const std::string& path, const QueryPairs& query,
                      const std::function<bool(std::string_view)>& take) const;

 private:
  absl::StatusOr<ApiReply> Perform(std::string_view method, const std::string& path,
                                   const QueryPairs& query, const std::string& body,
                                   const std::function<bool(std::string_view)>& take) const;

  ApiOptions options_;
};

// A part of a path, percent-encoded.
std::string EncodePathPart(std::string_view text);

}  // namespace pharos::agent
