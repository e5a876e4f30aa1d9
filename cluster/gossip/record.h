// Records: maps from the names of fields to their values. A record is a struct whose one list of
// fields, in ascending order of their names, serves both directions:
//
//   struct Suspect {
//     static constexpr bool kIsRecord = true;
//     uint32_t incarnation = 0;
//     std::string node, from;
//     template <typename Self, typename Fields>
//     static void Visit(Self& self, Fields&& fields) {
//       fields("From", self.from);
//       fields("Incarnation", self.incarnation);
//       fields("Node", self.node);
//     }
//   };
#pragma once

#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cluster/gossip/msgpack.h"

namespace pharos::gossip {

template <typename T>
concept Record = requires {
  T::kIsRecord;
};

// How a field is written when it is empty or zero: a text as an empty text, unless the list of
// fields wraps it. Blob: octets, as nil; LeftOut: not at all; BlobOrLeftOut: octets, not at all;
// ListOrNil: a list, as nil.
template <typename T>
struct Blob {
  T& value;
};
template <typename T>
Blob(T&) -> Blob<T>;
template <typename T>
struct LeftOut {
  T& value;
};
template <typename T>
LeftOut(T&) -> LeftOut<T>;
template <typename T>
struct BlobOrLeftOut {
  T& value;
};
template <typename T>
BlobOrLeftOut(T&) -> BlobOrLeftOut<T>;
template <typename T>
struct ListOrNil {
  T& value;
};
template <typename T>
ListOrNil(T&) -> ListOrNil<T>;

// A map from texts, in the order it has on the wire.
template <typename T>
using TextMap = std::vector<std::pair<std::string, T>>;

template <Record T>
void PackValue(const T& record, std::string& out);
template <Record T>
void ReadValue(MsgPackReader& reader, T& record);

inline void PackValue(const std::string& value, std::string& out) { PackRaw(value, out); }
inline void PackValue(bool value, std::string& out) { PackBool(value, out); }
inline void PackValue(double value, std::string& out) { PackDouble(value, out); }
template <std::integral T>
void PackValue(T value, std::string& out) {
  if constexpr (std::is_signed_v<T>) {
    PackInt(value, out);
  } else {
    PackUint(value, out);
  }
}
template <typename T>
void PackValue(const std::optional<T>& value, std::string& out) {
  if (!value) return PackNil(out);
  PackValue(*value, out);
}
template <typename T>
void PackValue(const std::vector<T>& list, std::string& out) {
  PackList(list.size(), out);
  for (const T& value : list) PackValue(value, out);
}
template <typename T>
void PackValue(const TextMap<T>& map, std::string& out) {
  PackMap(map.size(), out);
  for (const auto& [key, value] : map) {
    PackRaw(key, out);
    PackValue(value, out);
  }
}
template <typename T>
void PackValue(Blob<T> field, std::string& out) {
  PackRawOrNil(field.value, out);
}
template <typename T>
void PackValue(BlobOrLeftOut<T> field, std::string& out) {
  PackRaw(field.value, out);
}
template <typename T>
void PackValue(LeftOut<T> field, std::string& out) {
  PackValue(field.value, out);
}
template <typename T>
void PackValue(ListOrNil<T> field, std::string& out) {
  if (field.value.empty()) return PackNil(out);
  PackValue(field.value, out);
}

inline void ReadValue(MsgPackReader& reader, std::string& value) { value = reader.Text(); }
inline void ReadValue(MsgPackReader& reader, bool& value) { value = reader.Bool(); }
inline void ReadValue(MsgPackReader& reader, double& value) { value = reader.Double(); }
template <std::integral T>
void ReadValue(MsgPackReader& reader, T& value) {
  if constexpr (std::is_signed_v<T>) {
    value = static_cast<T>(reader.Int());
  } else {
    value = static_cast<T>(reader.Uint(std::numeric_limits<T>::max()));
  }
}
template <typename T>
void ReadValue(MsgPackReader& reader, std::optional<T>& value) {
  value.reset();
  if (!reader.TakeNil()) ReadValue(reader, value.emplace());
}
template <typename T>
void ReadValue(MsgPackReader& reader, std::vector<T>& list) {
  list.clear();
  const size_t count = reader.List();
  for (size_t i = 0; i < count && reader.ok(); ++i) ReadValue(reader, list.emplace_back());
}
template <typename T>
void ReadValue(MsgPackReader& reader, TextMap<T>& map) {
  map.clear();
  const size_t count = reader.Map();
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    auto& [key, value] = map.emplace_back();
    key = reader.Text();
    ReadValue(reader, value);
  }
}
// A wrapped field is read as what it wraps.
template <template <typename> typename Wrapper, typename T>
requires requires(Wrapper<T> field) { field.value; }
void ReadValue(MsgPackReader& reader, Wrapper<T> field) { ReadValue(reader, field.value); }

namespace record_internal {

template <typename T>
bool IsLeftOut(const T&) {
  return false;
}
template <typename T>
bool IsLeftOut(const LeftOut<T>& field) {
  return field.value == std::remove_const_t<T>();
}
template <typename T>
bool IsLeftOut(const BlobOrLeftOut<T>& field) {
  return field.value.empty();
}

struct FieldCounter {
  size_t count = 0;
  template <typename T>
  void operator()(std::string_view, const T& field) {
    count += IsLeftOut(field) ? 0 : 1;
  }
};

struct FieldPacker {
  std::string& out;
  template <typename T>
  void operator()(std::string_view name, const T& field) {
    if (IsLeftOut(field)) return;
    PackRaw(name, out);
    PackValue(field, out);
  }
};

// Reads the value that comes next into the field with the name, if there is one.
struct FieldReader {
  MsgPackReader& reader;
  std::string_view wanted;
  bool found = false;
  template <typename T>
  void operator()(std::string_view name, T&& field) {
    if (found || name != wanted) return;
    found = true;
    ReadValue(reader, std::forward<T>(field));
  }
};

}  // namespace record_internal

template <Record T>
void PackValue(const T& record, std::string& out) {
  record_internal::FieldCounter counter;
  T::Visit(record, counter);
  PackMap(counter.count, out);
  record_internal::FieldPacker packer{out};
  T::Visit(record, packer);
}

// Fields that are missing keep their defaults, unknown ones are passed over.
template <Record T>
void ReadValue(MsgPackReader& reader, T& record) {
  const size_t count = reader.Map();
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view name = AsText(reader.Raw());
    if (!reader.ok()) return;
    record_internal::FieldReader fields{reader, name};
    T::Visit(record, fields);
    if (!fields.found) reader.Skip();
  }
}

// The octet of the type with the record behind it.
template <typename Type, Record T>
std::string EncodeMessage(Type type, const T& record) {
  std::string message(1, static_cast<char>(type));
  PackValue(record, message);
  return message;
}

// The record that `body` begins with; nullopt if it does not begin with one. What follows it is
// nobody's.
template <Record T>
std::optional<T> DecodeRecord(Octets body) {
  MsgPackReader reader(body);
  T record;
  ReadValue(reader, record);
  if (!reader.ok()) return std::nullopt;
  return record;
}

}  // namespace pharos::gossip
