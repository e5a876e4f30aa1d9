#include "agent/config/watch.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/cli/api_client.h"
#include "agent/config/field_reader.h"

namespace pharos::agent {
namespace {

constexpr std::string_view kTypes =
    "services, nodes, service, checks, agent_service, key, keyprefix, event, connect_roots or "
    "connect_leaf";

bool IsOfNoEffect(std::string_view type) {
  constexpr std::string_view kNoEffect[] = {"key", "keyprefix", "event", "connect_roots",
                                            "connect_leaf"};
  return std::find(std::begin(kNoEffect), std::end(kNoEffect), type) != std::end(kNoEffect);
}

// What is watched, by the fields of each type.
struct Subject {
  std::string type, service, service_id, state;
  std::vector<std::string> tags;
  bool passing_only = false;
};

// Fills the path and what of the query is the type's own; why that cannot be, or nothing.
std::string FillPath(const Subject& subject, WatchDefinition& watch) {
  const std::string& type = subject.type;
  if (type == "services" || type == "nodes") {
    watch.path = absl::StrCat("/v1/catalog/", type);
  } else if (type == "service") {
    if (subject.service.empty()) return "a watch of type service needs service";
    watch.path = "/v1/health/service/" + EncodePathPart(subject.service);
    for (const std::string& tag : subject.tags) watch.query.emplace_back("tag", tag);
    if (subject.passing_only) watch.query.emplace_back("passing", "1");
  } else if (type == "checks") {
    if (!subject.service.empty() && !subject.state.empty()) {
      return "a watch of type checks takes service or state, not both";
    }
    watch.path =
        subject.service.empty()
            ? "/v1/health/state/" + EncodePathPart(subject.state.empty() ? "any" : subject.state)
            : "/v1/health/checks/" + EncodePathPart(subject.service);
  } else if (type == "agent_service") {
    if (subject.service_id.empty()) return "a watch of type agent_service needs service_id";
    watch.path = "/v1/agent/service/" + EncodePathPart(subject.service_id);
    watch.by_hash = true;
  } else if (!IsOfNoEffect(type)) {
    return absl::StrFormat("type is \"%s\"; expected %s", type, kTypes);
  }
  return {};
}

void ReadHttpHandler(const Value& value, const std::string& path, Problems& problems,
                     WatchHttpHandler& http) {
  FieldReader fields(value, path, problems);
  std::vector<std::pair<std::string, std::vector<std::string>>> headers;
  fields.Text("path", http.url);
  fields.Text("method", http.method);
  fields.TextListMap("header", headers);
  fields.Duration("timeout", http.timeout);
  fields.Bool("tls_skip_verify", http.tls_skip_verify);
  fields.ReportUnknown();
  for (const auto& [name, values] : headers) {
    for (const std::string& one : values) http.headers.push_back(absl::StrCat(name, ": ", one));
  }
  if (!http.url.starts_with("http://") && !http.url.starts_with("https://")) {
    problems.Add(value.at, absl::StrFormat("%s: path is \"%s\"; expected an http or https URL",
                                           path, http.url));
  }
}

// Reads who is called; why that cannot be, or nothing.
std::string ReadHandler(FieldReader& fields, Problems& problems, WatchDefinition& watch) {
  std::string type, handler;
  fields.Text("handler_type", type);
  fields.Text("handler", handler);
  fields.TextList("args", watch.args);
  const Value* http = fields.Any("http_handler_config");
  if (!handler.empty() && !watch.args.empty()) return "takes handler or args, not both";
  if (!handler.empty()) watch.args = {"/bin/sh", "-c", handler};
  if (http != nullptr && type == "http") {
    if (!watch.args.empty()) return "handler_type is http; expected neither handler nor args";
    ReadHttpHandler(*http, fields.PathOf("http_handler_config"), problems, watch.http);
    return {};
  }
  if (type == "http") return "handler_type is http; expected http_handler_config";
  if (!type.empty() && type != "script") {
    return absl::StrFormat("handler_type is \"%s\"; expected script or http", type);
  }
  if (http != nullptr) return "http_handler_config needs handler_type = \"http\"";
  return watch.args.empty() ? "expected args, or handler_type = \"http\"" : "";
}

std::optional<WatchDefinition> ReadWatch(const Value& value, const std::string& path,
                                         Problems& problems, DefinitionNotes& notes) {
  FieldReader fields(value, path, problems);
  WatchDefinition watch;
  Subject subject;
  fields.Text("type", subject.type);
  fields.Text("service", subject.service);
  fields.Text("service_id", subject.service_id);
  fields.Text("state", subject.state);
  const Value* tag = fields.Any("tag");
  if (tag != nullptr && tag->is(Value::Kind::kText)) {
    subject.tags.push_back(tag->text);
  } else {
    fields.TextList("tag", subject.tags);
  }
  fields.Bool("passingonly", subject.passing_only);
  for (const char* name : {"datacenter", "filter"}) {
    std::string text;
    fields.Text(name, text);
    const bool is_datacenter = std::string_view(name) == "datacenter";
    if (!text.empty()) watch.query.emplace_back(is_datacenter ? "dc" : name, text);
  }
  bool stale = false;
  fields.Bool("stale", stale);
  if (stale) watch.query.emplace_back("stale", "");
  // Of types that have no effect, and of access control, which there is none of.
  for (const char* unused : {"token", "token_file", "key", "prefix", "name"}) fields.Any(unused);
  std::string problem = FillPath(subject, watch);
  if (problem.empty()) problem = ReadHandler(fields, problems, watch);
  fields.ReportUnknown();
  if (!problem.empty()) {
    problems.Add(value.at, absl::StrFormat("%s: %s", path, problem));
    return std::nullopt;
  }
  if (!watch.path.empty()) return watch;
  notes.no_effect_keys.push_back(absl::StrFormat("%s (type %s)", path, subject.type));
  return std::nullopt;
}

}  // namespace

std::vector<WatchDefinition> ReadWatches(const Value* watches, Problems& problems,
                                         DefinitionNotes& notes) {
  std::vector<WatchDefinition> definitions;
  if (watches == nullptr) return definitions;
  for (size_t i = 0; i < watches->list.size(); ++i) {
    std::optional<WatchDefinition> watch =
        ReadWatch(watches->list[i], absl::StrFormat("watches[%d]", i), problems, notes);
    if (watch) definitions.push_back(*std::move(watch));
  }
  return definitions;
}

}  // namespace pharos::agent
