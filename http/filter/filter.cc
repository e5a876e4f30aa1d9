#include "http/filter/filter.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace pharos::http {
namespace {

using Path = std::span<const FilterStep>;

// A key that a map does not have equals nothing, holds nothing and is empty.
bool MatchesAbsent(const FilterMatch& match) {
  return (match.op == FilterOperator::kIsEmpty) != match.negated;
}

bool MatchesText(const FilterMatch& match, std::string_view value) {
  switch (match.op) {
    case FilterOperator::kEqual:
      return (value == match.text) != match.negated;
    case FilterOperator::kIn:
      return (value.find(match.text) != std::string_view::npos) != match.negated;
    case FilterOperator::kIsEmpty:
      return value.empty() != match.negated;
    case FilterOperator::kMatches:
      return re2::RE2::PartialMatch(value, *match.regex) != match.negated;
  }
  return false;
}

// For what has members: `holds` says whether the match's text is one of them.
bool MatchesContainer(const FilterMatch& match, bool empty, bool holds) {
  return (match.op == FilterOperator::kIsEmpty ? empty : holds) != match.negated;
}

bool MatchesPath(const FilterMatch& match, Path path, const void* record);

struct Evaluator {
  const FilterMatch& match;
  Path path;  // Its first step is the field that is read.
  const void* record;

  bool operator()(const TextAccess& access) const { return MatchesText(match, access.get(record)); }

  bool operator()(const IntegerAccess& access) const {
    return (access.get(record) == match.integer) != match.negated;
  }

  bool operator()(const BoolAccess& access) const {
    return (access.get(record) == match.boolean) != match.negated;
  }

  bool operator()(const ListAccess& access) const {
    const auto list = access.get(record);
    const bool holds = std::find(list.begin(), list.end(), match.text) != list.end();
    return MatchesContainer(match, list.empty(), holds);
  }

  bool operator()(const MapAccess& access) const {
    const auto map = access.get(record);
    const auto& key = path.front().key;
    const std::string& sought = key ? *key : match.text;
    const auto found = std::find_if(map.begin(), map.end(),
                                    [&](const auto& pair) { return pair.first == sought; });
    if (!key) return MatchesContainer(match, map.empty(), found != map.end());
    return found == map.end() ? MatchesAbsent(match) : MatchesText(match, found->second);
  }

  bool operator()(const RecordAccess& access) const {
    return MatchesPath(match, path.subspan(1), access.get(record));
  }

  bool operator()(const RecordMapAccess& access) const {
    const auto& key = path.front().key;
    const void* found = access.find(record, key ? *key : match.text);
    if (!key) return MatchesContainer(match, access.count(record) == 0, found != nullptr);
    return found == nullptr ? MatchesAbsent(match) : MatchesPath(match, path.subspan(1), found);
  }

  // One member that fits is enough, also for `!=` and its like.
  bool operator()(const RecordListAccess& access) const {
    const size_t count = access.count(record);
    if (path.size() == 1) return MatchesContainer(match, count == 0, false);
    for (size_t i = 0; i < count; ++i) {
      if (MatchesPath(match, path.subspan(1), access.at(record, i))) return true;
    }
    return false;
  }
};

// As deep as the schema nests records.
bool MatchesPath(const FilterMatch& match, Path path, const void* record) {
  return std::visit(Evaluator{match, path, record}, path.front().field->access);
}

bool MatchesWithoutNot(const FilterNode& node, const void* record) {
  const auto matches = [&](const FilterNode& child) { return MatchesRecord(child, record); };
  switch (node.kind) {
    case FilterNode::Kind::kMatch:
      return MatchesPath(node.match, node.match.path, record);
    case FilterNode::Kind::kAll:
      return std::all_of(node.children.begin(), node.children.end(), matches);
    case FilterNode::Kind::kAny:
      return std::any_of(node.children.begin(), node.children.end(), matches);
  }
  return false;
}

}  // namespace

bool MatchesRecord(const FilterNode& node, const void* record) {
  return MatchesWithoutNot(node, record) != node.negated;
}

}  // namespace pharos::http
