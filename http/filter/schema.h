// What filter expressions may name in a record: a constant table of its fields, each with a
// function that reads it. Reading gives views into the record and copies nothing.
//
//   constexpr auto kNodeFields = FilterFields<Node>(FilterField<&Node::id>("ID"),
//                                                   FilterField<&Node::meta>("Meta"));
//   constexpr RecordSchema<Node> kNodeSchema(kNodeFields);
//
// A field is reached by a chain of members, or of functions of the record before: each step is
// applied to what the step before gave, through pointers and references alike.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace pharos::http {

struct FilterSchema;

// How each kind of field is read. `record` is of the type whose schema the field stands in.
struct TextAccess {
  std::string_view (*get)(const void* record);
};
struct IntegerAccess {
  int64_t (*get)(const void* record);
};
struct BoolAccess {
  bool (*get)(const void* record);
};
struct ListAccess {
  std::span<const std::string> (*get)(const void* record);
};
struct MapAccess {  // Text by unique keys.
  std::span<const std::pair<std::string, std::string>> (*get)(const void* record);
};
struct RecordAccess {  // A record in the record.
  const void* (*get)(const void* record);
  const FilterSchema* schema;
};
struct RecordMapAccess {  // Records by unique keys.
  size_t (*count)(const void* record);
  const void* (*find)(const void* record, std::string_view key);  // Null: no such key.
  const FilterSchema* schema;
};
struct RecordListAccess {
  size_t (*count)(const void* record);
  const void* (*at)(const void* record, size_t position);
  const FilterSchema* schema;
};

struct FilterFieldEntry {
  std::string_view name;  // As in the endpoint's JSON.
  std::variant<TextAccess, IntegerAccess, BoolAccess, ListAccess, MapAccess, RecordAccess,
               RecordMapAccess, RecordListAccess>
      access;
};

struct FilterSchema {
  std::span<const FilterFieldEntry> fields;

  // Null when there is no such field; upper and lower case differ.
  const FilterFieldEntry* Find(std::string_view name) const {
    for (const FilterFieldEntry& field : fields) {
      if (field.name == name) return &field;
    }
    return nullptr;
  }
};

// An entry, and a table of them, that know the type they read.
template <typename Record>
struct RecordFieldEntry {
  FilterFieldEntry entry;
};
template <typename Record, size_t kCount>
struct RecordFields {
  std::array<FilterFieldEntry, kCount> entries;
};

// Borrows the table, which is a constant.
template <typename Record>
struct RecordSchema : FilterSchema {
  template <size_t kCount>
  constexpr explicit RecordSchema(const RecordFields<Record, kCount>& table)
      : FilterSchema{table.entries} {}
};

template <typename Record, typename... Entries>
constexpr auto FilterFields(Entries... entries) {
  static_assert((std::same_as<Entries, RecordFieldEntry<Record>> && ...),
                "a field of another record");
  return RecordFields<Record, sizeof...(Entries)>{{entries.entry...}};
}

namespace filter_internal {

template <typename Step>
struct StartOf;
template <typename Record, typename Value>
struct StartOf<Value Record::*> {
  using Type = Record;
};
template <typename Record, typename Value>
struct StartOf<Value (*)(const Record&)> {
  using Type = Record;
};

// The record that a chain beginning with this step starts at.
template <auto kFirst>
using Start = typename StartOf<decltype(kFirst)>::Type;

template <auto kFirst, auto... kRest, typename From>
constexpr decltype(auto) Follow(const From& from) {
  if constexpr (sizeof...(kRest) == 0) {
    return std::invoke(kFirst, from);
  } else {
    return Follow<kRest...>(std::invoke(kFirst, from));
  }
}

template <auto kFirst, auto... kRest>
constexpr decltype(auto) FollowErased(const void* record) {
  return Follow<kFirst, kRest...>(*static_cast<const Start<kFirst>*>(record));
}

template <typename Result, auto... kSteps>
Result Get(const void* record) {
  return Result(FollowErased<kSteps...>(record));
}

template <typename Value>
const void* AddressOf(const Value& value) {
  if constexpr (std::is_pointer_v<Value>) {
    return value;
  } else {
    return &value;
  }
}

template <auto... kSteps>
const void* GetRecord(const void* record) {
  return AddressOf(FollowErased<kSteps...>(record));
}

template <auto... kSteps>
size_t Count(const void* record) {
  return FollowErased<kSteps...>(record).size();
}

template <auto... kSteps>
const void* At(const void* record, size_t position) {
  return &FollowErased<kSteps...>(record)[position];
}

template <auto kKey, auto... kSteps>
const void* FindByKey(const void* record, std::string_view key) {
  for (const auto& candidate : FollowErased<kSteps...>(record)) {
    if (std::invoke(kKey, candidate) == key) return &candidate;
  }
  return nullptr;
}

}  // namespace filter_internal

// A record as one of its own fields: the start of a chain for what JSON nests and we do not.
template <typename Record>
constexpr const Record& Itself(const Record& record) {
  return record;
}

// A field of text, a number, a bool, a list of text or a map of text, by what the chain ends at.
template <auto kFirst, auto... kRest>
constexpr auto FilterField(std::string_view name) {
  using Record = filter_internal::Start<kFirst>;
  using Value = decltype(filter_internal::Follow<kFirst, kRest...>(std::declval<const Record&>()));
  using Plain = std::remove_cvref_t<Value>;
  using TextList = std::span<const std::string>;
  using TextMap = std::span<const std::pair<std::string, std::string>>;
  static_assert(std::is_lvalue_reference_v<Value> || std::is_trivially_copyable_v<Plain>,
                "a view of a temporary");
  if constexpr (std::same_as<Plain, bool>) {
    return RecordFieldEntry<Record>{
        {name, BoolAccess{&filter_internal::Get<bool, kFirst, kRest...>}}};
  } else if constexpr (std::integral<Plain>) {
    return RecordFieldEntry<Record>{
        {name, IntegerAccess{&filter_internal::Get<int64_t, kFirst, kRest...>}}};
  } else if constexpr (std::convertible_to<Value, std::string_view>) {
    return RecordFieldEntry<Record>{
        {name, TextAccess{&filter_internal::Get<std::string_view, kFirst, kRest...>}}};
  } else if constexpr (std::convertible_to<Value, TextList>) {
    return RecordFieldEntry<Record>{
        {name, ListAccess{&filter_internal::Get<TextList, kFirst, kRest...>}}};
  } else {
    return RecordFieldEntry<Record>{
        {name, MapAccess{&filter_internal::Get<TextMap, kFirst, kRest...>}}};
  }
}

// A nested record: the chain ends at one, or at a pointer to one, never null.
template <auto kFirst, auto... kRest, typename Nested>
constexpr auto FilterRecord(std::string_view name, const RecordSchema<Nested>& schema) {
  using Record = filter_internal::Start<kFirst>;
  using Value = std::remove_cvref_t<decltype(filter_internal::Follow<kFirst, kRest...>(
      std::declval<const Record&>()))>;
  static_assert(std::same_as<std::remove_cv_t<std::remove_pointer_t<Value>>, Nested>);
  return RecordFieldEntry<Record>{
      {name, RecordAccess{&filter_internal::GetRecord<kFirst, kRest...>, &schema}}};
}

// Records by key: the chain ends at a vector or span of them, and `kKey` is their member that holds
// the key.
template <auto kKey, auto kFirst, auto... kRest>
constexpr auto FilterRecordMap(std::string_view name,
                               const RecordSchema<filter_internal::Start<kKey>>& schema) {
  return RecordFieldEntry<filter_internal::Start<kFirst>>{
      {name, RecordMapAccess{&filter_internal::Count<kFirst, kRest...>,
                             &filter_internal::FindByKey<kKey, kFirst, kRest...>, &schema}}};
}

// Records without keys: the chain ends at a vector or span of them.
template <auto kFirst, auto... kRest, typename Nested>
constexpr auto FilterRecordList(std::string_view name, const RecordSchema<Nested>& schema) {
  using Record = filter_internal::Start<kFirst>;
  using Value =
      decltype(filter_internal::Follow<kFirst, kRest...>(std::declval<const Record&>())[size_t{0}]);
  static_assert(std::same_as<std::remove_cvref_t<Value>, Nested>);
  return RecordFieldEntry<Record>{
      {name, RecordListAccess{&filter_internal::Count<kFirst, kRest...>,
                              &filter_internal::At<kFirst, kRest...>, &schema}}};
}

}  // namespace pharos::http
