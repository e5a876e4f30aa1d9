#include "agent/config/merge.h"

#include <utility>

#include "agent/config/map_builder.h"

namespace pharos::agent {

// As deep as the files were read: kConfigDepthMax.
Value Merge(Value earlier, const Value& later) {
  if (earlier.kind != later.kind) return later;
  if (earlier.is(Value::Kind::kList)) {
    earlier.list.insert(earlier.list.end(), later.list.begin(), later.list.end());
    return earlier;
  }
  if (!earlier.is(Value::Kind::kMap)) return later;
  MapBuilder merged(std::move(earlier));
  for (const Entry& entry : later.map) {
    Value* before = merged.Find(entry.key);
    merged.Set(entry.key, entry.at,
               before == nullptr ? entry.value : Merge(std::move(*before), entry.value));
  }
  return std::move(merged).Take();
}

}  // namespace pharos::agent
