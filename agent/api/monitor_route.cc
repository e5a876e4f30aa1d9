// /v1/agent/monitor: the log as it is written, until the client leaves.

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "base/json_writer.h"
#include "base/log.h"

namespace pharos::agent {
namespace {

// One client that follows the log. Shared by its exchange and the lines on their way to it.
struct Monitor {
  std::shared_ptr<http::Exchange> exchange;
  int listener = 0;
  uint64_t lost = 0;  // Lines the client was too slow for.
};

void Stop(Monitor& monitor) {
  if (monitor.listener != 0) RemoveLogListener(monitor.listener);
  monitor.listener = 0;
  monitor.exchange.reset();
}

void SendLine(Monitor& monitor, const std::string& line) {
  if (monitor.exchange == nullptr) return;
  if (monitor.exchange->gone()) return Stop(monitor);
  // What was lost is said with the next line that gets through.
  const std::string text = monitor.lost == 0 ? line
                                             : absl::StrCat("(", monitor.lost,
                                                            " lines were lost here: this client "
                                                            "reads too slowly)\n",
                                                            line);
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
  const bool as_json = request.HasParameter("logjson");
  const auto monitor = std::make_shared<Monitor>();
  monitor->exchange = exchange;
  http::Response head;
  head.content_type = "text/plain; charset=utf-8";
  exchange->BeginStream(std::move(head));
  exchange->OnGone([monitor] { Stop(*monitor); });
  monitor->listener =
      AddLogListener(*level, [mailbox = api.mailbox(), monitor, as_json](std::string_view line) {
        std::string text;
        if (as_json) {
          JsonWriter json;
          json.BeginObject();
          json.Field("@message", line);
          json.EndObject();
          text = json.Take();
        } else {
          text = line;
        }
        text += '\n';
        LoopMailbox::Post(mailbox, [monitor, text = std::move(text)] { SendLine(*monitor, text); });
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
