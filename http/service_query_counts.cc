#include "http/service_query_counts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"

namespace pharos::http {

void ServiceQueryCounts::Add(AskedIn asked_in, const std::string& service,
                             std::vector<std::string> tags, bool found) {
  std::sort(tags.begin(), tags.end());
  Key key{asked_in, service, absl::StrJoin(tags, ",")};
  auto counts = counts_.find(key);
  if (counts == counts_.end()) {
    if (counts_.size() >= kCountedMax) key = {asked_in, std::string(kOthers), ""};
    counts = counts_.try_emplace(std::move(key)).first;
  }
  ++counts->second.asked;
  if (!found) ++counts->second.not_found;
}

}  // namespace pharos::http
