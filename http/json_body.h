// JSON request bodies, read with the rules and the words of Go's encoding/json, which clients were
// written against: member names without regard to case (nor to underscores, as in the configuration
// file), types strict, unknown members refused by name.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "http/message.h"

namespace pharos::http {

// Values nested deeper than this are refused.
inline constexpr int kJsonDepthMax = 32;

// The JSON value that a body is. InvalidArgument `Request decode failed: ...` for what is no JSON,
// no UTF-8, or nested too deep.
absl::StatusOr<nlohmann::json> ParseJsonBody(std::string_view body);

// Reads the members of one object; each call reads one member, if it is there and not null, and
// leaves its target alone otherwise. The first error counts.
class ObjectReader {
 public:
  // `value` outlives this. `path` names the object in messages.
  ObjectReader(const nlohmann::json& value, std::string path);

  ObjectReader& String(std::string_view name, std::string& target);
  ObjectReader& Bool(std::string_view name, bool& target);
  ObjectReader& Int(std::string_view name, int64_t& target);
  // A text as Go's durations (`10s`), or an integer of nanoseconds.
  ObjectReader& Duration(std::string_view name, absl::Duration& target);
  ObjectReader& Strings(std::string_view name, std::vector<std::string>& target);
  // An object of texts, sorted by key.
  ObjectReader& Pairs(std::string_view name, TextPairs& target);
  // An object of lists of texts, sorted by key.
  ObjectReader& PairsOfLists(std::string_view name,
                             std::vector<std::pair<std::string, std::vector<std::string>>>& target);
  // Calls `read` for the member's value; for Each, for every element of the list (with an empty
  // name) or member of the object (with its name) that it is.
  using ReadValue = std::function<absl::Status(const nlohmann::json& value)>;
  using ReadMember =
      std::function<absl::Status(const std::string& name, const nlohmann::json& value)>;
  ObjectReader& With(std::string_view name, const ReadValue& read);
  ObjectReader& Each(std::string_view name, const ReadMember& read);
  // A member that may be there and is not used.
  ObjectReader& Ignore(std::string_view name);
  // Members that no call has named may be there too.
  ObjectReader& IgnoreOthers();

  // The first error: InvalidArgument `Request decode failed: json: ...`. A member that no call has
  // named is one.
  absl::Status Finish() const;

 private:
  const nlohmann::json* Take(std::string_view name);
  void WrongType(std::string_view name, const nlohmann::json& value, std::string_view expected);
  void Fail(absl::Status error);

  const nlohmann::json* object_ = nullptr;  // Null if the value is no object.
  std::string path_;
  std::vector<std::string> known_;  // Names in folded form.
  bool ignore_others_ = false;
  absl::Status error_;
};

}  // namespace pharos::http
