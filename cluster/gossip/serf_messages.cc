#include "cluster/gossip/serf_messages.h"

#include <re2/re2.h>

#include <algorithm>

namespace pharos::gossip {
namespace {

constexpr char kTagsMark = '\xff';
constexpr char kNodeFilter = 0, kTagFilter = 1;
constexpr int64_t kExpressionMemory = 1 << 20;

}  // namespace

std::string PackTags(const Tags& tags) {
  std::string meta(1, kTagsMark);
  PackMap(tags.size(), meta);
  for (const auto& [key, value] : tags) {
    PackRaw(key, meta);
    PackRaw(value, meta);
  }
  return meta;
}

Tags ParseTags(std::string_view meta) {
  if (meta.empty()) return {};
  if (meta[0] != kTagsMark) return {{"role", std::string(meta)}};
  MsgPackReader reader(AsOctets(meta), 1);
  TextMap<std::string> read;
  ReadValue(reader, read);
  if (!reader.ok()) return {};
  return Tags(read.begin(), read.end());
}

std::string PackNodeFilter(const std::vector<std::string>& nodes) {
  std::string filter(1, kNodeFilter);
  PackValue(nodes, filter);
  return filter;
}

std::string PackTagFilter(const TagFilter& filter) { return EncodeMessage(kTagFilter, filter); }

bool FitsFilter(std::string_view filter, const std::string& node, const Tags& tags) {
  if (filter.empty()) return false;
  const Octets body = AsOctets(filter.substr(1));
  if (filter[0] == kNodeFilter) {
    MsgPackReader reader(body);
    std::vector<std::string> nodes;
    ReadValue(reader, nodes);
    return reader.ok() && std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  }
  if (filter[0] != kTagFilter) return false;
  const std::optional<TagFilter> wanted = DecodeRecord<TagFilter>(body);
  if (!wanted) return false;
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kExpressionMemory);
  const RE2 expression(wanted->expression, options);
  const auto found = tags.find(wanted->tag);
  return expression.ok() &&
         RE2::PartialMatch(found == tags.end() ? std::string() : found->second, expression);
}

}  // namespace pharos::gossip
