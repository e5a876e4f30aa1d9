#include "agent/cli/api_client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "http/read_options.h"

namespace pharos::agent {
namespace {

constexpr size_t kTokenOctetsMax = 4096;
constexpr long kConnectTimeoutS = 5;

constexpr Flag kApiFlags[] = {
    {"http-addr", "address", "Address of the agent: HOST:PORT, a URL or unix:///path."},
    {"token", "value", "ACL token to use."},
    {"token-file", "path", "File that holds the ACL token."},
    {"ca-file", "path", "Certificates of authorities to trust."},
    {"ca-path", "path", "Directory of such certificates."},
    {"client-cert", "path", "Certificate to show."},
    {"client-key", "path", "Its private key."},
    {"tls-server-name", "name", "Name to expect in the agent's certificate."},
    {"datacenter", "name", "Datacenter to ask; the agent's own unless given."},
    {"stale", "", "Let any server answer."},
};

struct FreeCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Transfer {
  ApiReply reply;
  const std::function<bool(std::string_view)>* take = nullptr;  // Null: kept in reply.body.
};

size_t TakeBody(char* data, size_t size, size_t count, void* to) {
  auto& transfer = *static_cast<Transfer*>(to);
  const std::string_view piece(data, size * count);
  if (transfer.take != nullptr && transfer.reply.status == 200) {
    return (*transfer.take)(piece) ? piece.size() : 0;
  }
  transfer.reply.body += piece;
  return piece.size();
}

size_t TakeHeader(char* data, size_t size, size_t count, void* to) {
  auto& reply = static_cast<Transfer*>(to)->reply;
  const std::string line(data, size * count);
  if (line.starts_with("HTTP/")) {
    reply.status = std::atoi(line.substr(line.find(' ') + 1).c_str());
  } else if (const size_t colon = line.find(':'); colon != std::string::npos) {
    reply.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return line.size();
}

// What a variable of the environment turns on or off.
absl::StatusOr<bool> Switch(std::string_view name, std::string_view text, bool otherwise) {
  if (text.empty()) return otherwise;
  const std::optional<bool> on = http::ParseBool(text);
  if (on) return *on;
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is \"%s\"; expected true or false", name, text));
}

// libcurl expects the certificate of the name in the URL, so the URL gets that name, and the
// connection goes where the URL pointed before, which is returned.
curl_slist* UseServerName(const std::string& name, std::string& url) {
  constexpr std::string_view kScheme = "https://";
  if (name.empty() || !url.starts_with(kScheme)) return nullptr;
  const size_t begin = kScheme.size();
  const size_t end = url[begin] == '[' ? url.find(']', begin) + 1 : url.find_first_of(":/", begin);
  const std::string host = url.substr(begin, end - begin);
  url.replace(begin, host.size(), name);
  return curl_slist_append(nullptr, absl::StrFormat("%s::%s:", name, host).c_str());
}

std::string Capitalized(std::string_view method) {
  std::string word = absl::AsciiStrToLower(std::string(method));
  word[0] = absl::ascii_toupper(static_cast<unsigned char>(word[0]));
  return word;
}

absl::Status Unexpected(const ApiReply& reply) {
  return absl::InternalError(absl::StrFormat("Unexpected response code: %d (%s)", reply.status,
                                             std::string(absl::StripAsciiWhitespace(reply.body))));
}

void SetAddress(const std::string& given, bool tls, ApiOptions& options) {
  if (given.starts_with("unix://")) {
    options.unix_path = given.substr(7);
    options.base_url = "http://localhost";
  } else if (given.find("://") != std::string::npos) {
    options.base_url = given;
  } else {
    options.base_url = (tls ? "https://" : "http://") + given;
  }
  while (options.base_url.ends_with('/')) options.base_url.pop_back();
}

}  // namespace

std::vector<Flag> WithApiFlags(std::vector<Flag> own) {
  own.insert(own.end(), std::begin(kApiFlags), std::end(kApiFlags));
  return own;
}

std::string ReadProcessEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<ApiOptions> ReadApiOptions(const ParsedFlags& parsed, const ReadEnvironment& read) {
  const auto variable = [&read](const char* name) {
    const std::string ours = read((std::string("PHAROS_") + name).c_str());
    return ours.empty() ? read((std::string("CONSUL_") + name).c_str()) : ours;
  };
  const auto value = [&](const char* flag, const char* name) {
    const std::string given(parsed.Last(flag));
    return given.empty() ? variable(name) : given;
  };
  ApiOptions options;
  const std::string address = value("http-addr", "HTTP_ADDR");
  ASSIGN_OR_RETURN(const bool tls, Switch("HTTP_SSL", variable("HTTP_SSL"), false));
  SetAddress(address.empty() ? "127.0.0.1:8500" : address, tls, options);
  options.token = value("token", "HTTP_TOKEN");
  const std::string token_file = value("token-file", "HTTP_TOKEN_FILE");
  if (!token_file.empty()) {
    ASSIGN_OR_RETURN(const std::string token, ReadFile(token_file, kTokenOctetsMax));
    options.token = std::string(absl::StripAsciiWhitespace(token));
  }
  options.user_and_password = variable("HTTP_AUTH");
  options.ca_file = value("ca-file", "CACERT");
  options.ca_path = value("ca-path", "CAPATH");
  options.client_cert = value("client-cert", "CLIENT_CERT");
  options.client_key = value("client-key", "CLIENT_KEY");
  options.tls_server_name = value("tls-server-name", "TLS_SERVER_NAME");
  ASSIGN_OR_RETURN(options.verify_tls,
                   Switch("HTTP_SSL_VERIFY", variable("HTTP_SSL_VERIFY"), true));
  options.datacenter = std::string(parsed.Last("datacenter"));
  options.stale = parsed.Has("stale");
  return options;
}

std::string EncodePathPart(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(octet) || absl::StrContains("-_.~:", c)) {
      encoded += c;
    } else {
      absl::StrAppendFormat(&encoded, "%%%02X", octet);
    }
  }
  return encoded;
}

absl::StatusOr<ApiReply> ApiClient::Perform(
    std::string_view method, const std::string& path, const QueryPairs& query,
    const std::string& body, const std::function<bool(std::string_view)>& take) const {
  std::string url = options_.base_url + "/v1/" + path;
  QueryPairs all = query;
  if (!options_.datacenter.empty()) all.emplace_back("dc", options_.datacenter);
  if (options_.stale) all.emplace_back("stale", "");
  char separator = '?';
  for (const auto& [name, value] : all) {
    url += separator + EncodePathPart(name) + (value.empty() ? "" : "=" + EncodePathPart(value));
    separator = '&';
  }

  const std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
  CURL* c = curl.get();
  const std::unique_ptr<curl_slist, FreeCurl> connect_to(
      UseServerName(options_.tls_server_name, url));
  if (connect_to != nullptr) curl_easy_setopt(c, CURLOPT_CONNECT_TO, connect_to.get());
  Transfer transfer;
  if (take) transfer.take = &take;
  char why[CURL_ERROR_SIZE] = "";
  std::unique_ptr<curl_slist, FreeCurl> headers;
  if (!options_.token.empty()) {
    headers.reset(curl_slist_append(nullptr, ("X-Consul-Token: " + options_.token).c_str()));
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  }
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, TakeBody);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, std::string(method).c_str());
  if (method != "GET") {
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, body.c_str());
  }
  const auto set = [c](CURLoption option, const std::string& value) {
    if (!value.empty()) curl_easy_setopt(c, option, value.c_str());
  };
  set(CURLOPT_UNIX_SOCKET_PATH, options_.unix_path);
  set(CURLOPT_USERPWD, options_.user_and_password);
  set(CURLOPT_CAINFO, options_.ca_file);
  set(CURLOPT_CAPATH, options_.ca_path);
  set(CURLOPT_SSLCERT, options_.client_cert);
  set(CURLOPT_SSLKEY, options_.client_key);
  if (!options_.verify_tls) {
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  const CURLcode code = curl_easy_perform(c);
  const bool ended_by_taker = code == CURLE_WRITE_ERROR && take != nullptr;
  if (code != CURLE_OK && !ended_by_taker) {
    return absl::UnavailableError(absl::StrFormat("%s \"%s\": %s", Capitalized(method), url,
                                                  why[0] == '\0' ? curl_easy_strerror(code) : why));
  }
  return std::move(transfer.reply);
}

absl::StatusOr<ApiReply> ApiClient::Ask(std::string_view method, const std::string& path,
                                        const QueryPairs& query, const std::string& body) const {
  return Perform(method, path, query, body, nullptr);
}

absl::StatusOr<ApiReply> ApiClient::Get(const std::string& path, const QueryPairs& query) const {
  ASSIGN_OR_RETURN(ApiReply reply, Ask("GET", path, query));
  if (reply.status != 200) return Unexpected(reply);
  return reply;
}

absl::Status ApiClient::Put(const std::string& path, const QueryPairs& query,
                            const std::string& body) const {
  ASSIGN_OR_RETURN(const ApiReply reply, Ask("PUT", path, query, body));
  return reply.status == 200 ? absl::OkStatus() : Unexpected(reply);
}

absl::Status ApiClient::Stream(const std::string& path, const QueryPairs& query,
                               const std::function<bool(std::string_view)>& take) const {
  ASSIGN_OR_RETURN(const ApiReply reply, Perform("GET", path, query, "", take));
  return reply.status == 200 ? absl::OkStatus() : Unexpected(reply);
}

}  // namespace pharos::agent
