// Every key a configuration may hold, and the check of a tree against that list.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "agent/config/problems.h"
#include "agent/config/value.h"

namespace pharos::agent {

enum class KeyType : uint8_t {
  kBool,
  kInt,
  kFloat,
  kText,
  kDuration,  // A text in Go's form: "10s".
  kPort,      // An integer to 65535; 0 and below turn the listener off.
  kTextList,
  kTextMap,
  kDurationMap,
  kTextListMap,
  kDefinition,   // A service, a check or a watch (definition.h looks into it).
  kDefinitions,  // A list of them.
  kAnything,     // Not looked into.
};

// Whether this version of the agent does anything with a key, so that one it merely accepts can be
// named in the log.
enum class Effect : uint8_t { kNone, kYes };

// Whether a changed key takes effect at a reload or only at the next start.
enum class Change : uint8_t { kRestart, kReload };

struct Key {
  std::string_view path;  // Keys joined by dots: dns_config.soa.refresh.
  KeyType type;
  Effect effect;
  Change change;
};

// The whole table, sorted by path. A path that others go through (dns_config) is a group and has no
// row of its own.
std::span<const Key> ConfigKeys();

// The row of `path`, or null.
const Key* FindKey(std::string_view path);

// Checks one source's tree: every key known, every value of its type, durations and ports readable.
// What is not goes to `problems` in Consul's words. Returns the tree with nulls left out, lists of
// one object unwrapped where an object belongs, and each `service` and `check` put into `services`
// and `checks`.
Value CheckAgainstSchema(const Value& tree, Problems& problems);

// `name` of a map whose keys are `known`: `invalid config key ui_confg; did you mean ui_config?`,
// the key written behind `path`.
std::string UnknownKeyMessage(std::string_view path, std::string_view name,
                              std::span<const std::string_view> known);

// `'server' expected type 'bool', got unconvertible type 'string'`, with a hint where there is one.
std::string WrongTypeMessage(std::string_view path, std::string_view expected, const Value& value);

}  // namespace pharos::agent
