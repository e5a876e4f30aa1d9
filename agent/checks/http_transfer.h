// One HTTP request by libcurl, on a connection of its own.
#pragma once

#include <curl/curl.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/checks/curl_multi.h"
#include "agent/checks/options.h"

namespace pharos::agent {

struct HttpRequest {
  std::string url{};  // http or https.
  std::string method = "GET";
  std::vector<std::string> headers{};  // `Name: value`; what libcurl adds by itself is left out.
  std::string body{};
  std::string unix_socket{};      // A path: what is connected to, whatever the URL says.
  bool follow_redirects = false;  // At most ten, within http and https.
  bool tls_skip_verify = false;
  std::string tls_server_name{};  // Asked for and verified in place of the URL's host.
};

struct HttpReply {
  int code = 0;
  std::string status;  // `200 OK`: of the last response's status line.
  std::string body;    // The first `octets_max` octets.
};

// All calls are on the loop's thread.
class HttpTransfer {
 public:
  // An error is Unavailable, in libcurl's words. The transfer may be destroyed within.
  using Done = std::function<void(absl::StatusOr<HttpReply>)>;

  // Keeps `octets_max` of the body. A body is read on to 1 MiB, and what comes after is not waited
  // for; all header fields together are at most 64 KiB.
  HttpTransfer(CurlMulti& curl, size_t octets_max) : curl_(curl), octets_max_(octets_max) {}
  // Ends the transfer, if it runs.
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  // Sends the request; `done` is called once, later. TLS files are those of `options`. There is no
  // time limit but the transfer's destruction. Once.
  void Start(const HttpRequest& request, const RunnerOptions& options, Done done);

 private:
  static size_t OnHeader(char* text, size_t one, size_t octets, void* self);
  static size_t OnBody(char* text, size_t one, size_t octets, void* self);
  void SetUp(const HttpRequest& request);
  void SetUpMethod(const HttpRequest& request);
  void SetUpTls(const HttpRequest& request, const RunnerOptions& options);
  void UseServerName(const HttpRequest& request);
  void TakeEnd(CURLcode code);

  CurlMulti& curl_;
  size_t octets_max_;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
  Done done_;
  HttpReply reply_;
  size_t header_octets_ = 0;
  size_t body_octets_ = 0;
  bool stopped_reading_ = false;
};

}  // namespace pharos::agent
