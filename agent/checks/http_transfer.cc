#include "agent/checks/http_transfer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::agent {
namespace {

constexpr size_t kHeaderOctetsMax = size_t{64} * 1024;
constexpr size_t kBodyReadOctetsMax = size_t{1024} * 1024;
constexpr long kRedirectsMax = 10;

bool Names(const std::vector<std::string>& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [&](const std::string& header) {
    return header.size() > name.size() && header[name.size()] == ':' &&
           absl::EqualsIgnoreCase(header.substr(0, name.size()), std::string(name));
  });
}

// A part of a URL, or empty.
std::string UrlPart(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

}  // namespace

HttpTransfer::~HttpTransfer() {
  if (easy_ != nullptr) {
    curl_.Remove(easy_);
    curl_easy_cleanup(easy_);
  }
  curl_slist_free_all(headers_);
  curl_slist_free_all(connect_to_);
}

void HttpTransfer::Start(const HttpRequest& request, const RunnerOptions& options, Done done) {
  done_ = std::move(done);
  easy_ = curl_easy_init();
  CHECK(easy_ != nullptr);
  SetUp(request);
  SetUpMethod(request);
  SetUpTls(request, options);
  curl_.Add(easy_, [this](CURLcode code) { TakeEnd(code); });
}

void HttpTransfer::SetUp(const HttpRequest& request) {
  curl_easy_setopt(easy_, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, request.follow_redirects ? 1L : 0L);
  curl_easy_setopt(easy_, CURLOPT_MAXREDIRS, kRedirectsMax);
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_PROXY, "");  // Not the environment's.
  curl_easy_setopt(easy_, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(easy_, CURLOPT_FORBID_REUSE, 1L);
  // Ending a transfer while its resolver's thread still waits for DNS must not wait for it too.
  curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_.data());
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &HttpTransfer::OnHeader);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &HttpTransfer::OnBody);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  if (!request.unix_socket.empty()) {
    curl_easy_setopt(easy_, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
  }
}

void HttpTransfer::SetUpMethod(const HttpRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
  } else if (!request.body.empty() || request.method == "POST") {
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy_, CURLOPT_COPYPOSTFIELDS, request.body.c_str());
    if (request.method != "POST") {
      curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
  } else if (request.method != "GET") {
    curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  for (const std::string& header : request.headers) {
    headers_ = curl_slist_append(headers_, header.c_str());
  }
  for (const std::string_view own : {"Content-Type", "Expect"}) {
    if (Names(request.headers, own)) continue;
    headers_ = curl_slist_append(headers_, absl::StrFormat("%s:", own).c_str());
  }
}

void HttpTransfer::SetUpTls(const HttpRequest& request, const RunnerOptions& options) {
  const auto set_path = [&](CURLoption option, const std::string& path) {
    if (!path.empty()) curl_easy_setopt(easy_, option, path.c_str());
  };
  set_path(CURLOPT_CAINFO, options.ca_file);
  set_path(CURLOPT_CAPATH, options.ca_path);
  set_path(CURLOPT_SSLCERT, options.cert_file);
  set_path(CURLOPT_SSLKEY, options.key_file);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, request.tls_skip_verify ? 0L : 1L);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, request.tls_skip_verify ? 0L : 2L);
  if (!request.tls_server_name.empty()) UseServerName(request);
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
}

// libcurl takes the server name from the URL, so the URL gets that name, the connection goes where
// the URL pointed before, and the Host field stays as it was.
void HttpTransfer::UseServerName(const HttpRequest& request) {
  CURLU* url = curl_url();
  if (curl_url_set(url, CURLUPART_URL, request.url.c_str(), 0) == CURLUE_OK &&
      UrlPart(url, CURLUPART_SCHEME, 0) == "https") {
    const std::string host = UrlPart(url, CURLUPART_HOST, 0);
    const std::string explicit_port = UrlPart(url, CURLUPART_PORT, 0);
    const std::string port = UrlPart(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (curl_url_set(url, CURLUPART_HOST, request.tls_server_name.c_str(), 0) == CURLUE_OK) {
      connect_to_ = curl_slist_append(
          connect_to_,
          absl::StrFormat("%s:%s:%s:%s", request.tls_server_name, port, host, port).c_str());
      curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to_);
      curl_easy_setopt(easy_, CURLOPT_URL, UrlPart(url, CURLUPART_URL, 0).c_str());
      if (!Names(request.headers, "Host")) {
        const std::string field =
            explicit_port.empty() ? host : absl::StrFormat("%s:%s", host, explicit_port);
        headers_ = curl_slist_append(headers_, absl::StrFormat("Host: %s", field).c_str());
      }
    }
  }
  curl_url_cleanup(url);
}

size_t HttpTransfer::OnHeader(char* text, size_t, size_t octets, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  std::string_view line(text, octets);
  transfer->header_octets_ += octets;
  if (transfer->header_octets_ > kHeaderOctetsMax) return 0;  // Ends the transfer.
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  const size_t space = line.find(' ');
  if (line.starts_with("HTTP/") && space != std::string_view::npos) {
    // A redirect's target answers anew.
    transfer->reply_.status = line.substr(space + 1, transfer->octets_max_);
    transfer->reply_.body.clear();
  }
  return octets;
}

size_t HttpTransfer::OnBody(char* text, size_t, size_t octets, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  std::string& body = transfer->reply_.body;
  body.append(text, std::min(octets, transfer->octets_max_ - body.size()));
  transfer->body_octets_ += octets;
  transfer->stopped_reading_ = transfer->body_octets_ > kBodyReadOctetsMax;
  return transfer->stopped_reading_ ? 0 : octets;
}

void HttpTransfer::TakeEnd(CURLcode code) {
  const Done done = std::move(done_);
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && stopped_reading_)) {
    long response = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &response);
    reply_.code = static_cast<int>(response);
    done(std::move(reply_));
    return;
  }
  if (header_octets_ > kHeaderOctetsMax) {
    done(absl::UnavailableError(
        absl::StrFormat("the response's header is longer than %d octets", kHeaderOctetsMax)));
    return;
  }
  done(absl::UnavailableError(error_[0] != '\0' ? error_.data() : curl_easy_strerror(code)));
}

}  // namespace pharos::agent
