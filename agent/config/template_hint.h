// Configuration files are often rendered from templates; when that step was forgotten, the file
// holds `${HTTPS_PORT}` where a number should be. Then the message should say so.
#pragma once

#include <string>
#include <string_view>

namespace pharos::agent {

// The first placeholder of `text`: `${NAME}`, `$NAME` or `{{ name }}` (empty: none). A template of
// ours (`{{ GetPrivateIP }}` and its like) is no placeholder.
std::string_view FindPlaceholder(std::string_view text);

// `${HTTPS_PORT} looks like a template placeholder that was not filled in; render the file first,
// e.g. with envsubst`.
std::string PlaceholderMessage(std::string_view placeholder);

// `message`, and after it the sentence above when `text` (what was given) holds a placeholder.
std::string WithTemplateHint(std::string message, std::string_view text);

}  // namespace pharos::agent
