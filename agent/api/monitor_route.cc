// /v1/agent/monitor: the log as it is written, until the client leaves.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "base/json_writer.h"
#include "base/log.h"

namespace pharos::agent {
namespace {

// One client that follows the log. Shared by its exchange and the lines on their way to it.
struct Monitor {
  std::shared_ptr<http::Exchange> exchange;
  bool as_json = false;
  int listener = 0;
  uint64_t lost = 0;  // Lines the client was too slow for.
};

// `TIME [LEVEL] COMPONENT: MESSAGE` as the object that Consul writes with log_json.
std::string JsonLine(std::string_view line) {
  const size_t open = std::min(line.find(" ["), line.size());
  const size_t close = std::min(line.find(']', open), line.size());
  const std::string_view time = line.substr(0, open);
  std::string level(line.substr(std::min(open + 2, close), close - std::min(open + 2, close)));
  absl::AsciiStrToLower(&level);
  const size_t component = std::min(line.find_first_not_of(' ', close + 1), line.size());
  const size_t colon = std::min(line.find(": ", component), line.size());
  JsonWriter json;
  json.BeginObject();
  json.Field("@level", level);
  json.Field("@message", line.substr(std::min(colon + 2, line.size())));
  json.Field("@module", line.substr(component, colon - component));
  json.Field("@timestamp", time);
  json.EndObject();
  return json.Take();
}

void Stop(Monitor& monitor) {
  if (monitor.listener != 0) RemoveLogListener(monitor.listener);
  monitor.listener = 0;
  monitor.exchange.reset();
}

void SendLine(Monitor& monitor, const std::string& line) {
  if (monitor.exchange == nullptr) return;
  if (monitor.exchange->gone()) return Stop(monitor);
  std::string text;
  if (monitor.lost > 0) {
    // Said with the next line that gets through.
    text =
        absl::StrFormat("%s [WARN]  agent: %d lines were lost here: this client reads too slowly",
                        line.substr(0, line.find(' ')), monitor.lost);
    text = (monitor.as_json ? JsonLine(text) : text) + "\n";
  }
  text += (monitor.as_json ? JsonLine(line) : line) + "\n";
  if (monitor.exchange->Write(text)) {
    monitor.lost = 0;
  } else {
    ++monitor.lost;
  }
}

void Follow(http::Api& api, const std::shared_ptr<http::Exchange>& exchange) {
  const http::Request& request = exchange->request();
  std::string_view name = request.Parameter("loglevel").value_or("");
  if (name.empty()) name = "INFO";
  const std::optional<LogLevel> level = ParseLogLevel(name);
  if (!level) {
    return exchange->Respond(
        http::TextResponse(400, absl::StrFormat("Bad request: Unknown log level: %s", name)));
  }
  const auto monitor = std::make_shared<Monitor>();
  monitor->as_json = request.HasParameter("logjson");
  monitor->exchange = exchange;
  http::Response head;
  head.content_type = "text/plain; charset=utf-8";
  exchange->BeginStream(std::move(head));
  exchange->OnGone([monitor] { Stop(*monitor); });
  monitor->listener = AddLogListener(*level, [mailbox = api.mailbox(),
                                              monitor](std::string_view line) {
    LoopMailbox::Post(mailbox, [monitor, text = std::string(line)] { SendLine(*monitor, text); });
  });
}

}  // namespace

void AddMonitorRoute(http::Api& api) {
  api.router().Add(http::Method::kGet, "/v1/agent/monitor",
                   [&api](const std::shared_ptr<http::Exchange>& exchange, const std::string&) {
                     Follow(api, exchange);
                   });
}

}  // namespace pharos::agent
