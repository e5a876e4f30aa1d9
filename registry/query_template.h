// Texts of prepared query templates: `${match(1)}-${name.suffix}`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace pharos::registry {

// What a template's texts may refer to.
struct TemplateValues {
  std::string_view full;            // ${name.full}: the name that was asked.
  std::string_view prefix, suffix;  // ${name.prefix}, ${name.suffix}: it, split behind the
                                    // template's own name.
  std::vector<std::string> groups;  // ${match(N)}: 0 is the whole match; more are empty.
  std::string_view segment;         // ${agent.segment}
};

// Appends the text with what it refers to filled in; `$${` stands for `${`. InvalidArgument, in
// words for the author of the text, for a reference that is none.
absl::Status RenderTemplateText(std::string_view text, const TemplateValues& values,
                                std::string& rendered);

}  // namespace pharos::registry
