// Watches: what a configuration wants to be called when something that is registered changes, as
// plain values.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/config/definition.h"
#include "agent/config/problems.h"
#include "agent/config/value.h"

namespace pharos::agent {

// An HTTP endpoint that is sent each new answer.
struct WatchHttpHandler {
  std::string url;  // Empty: a command is called instead.
  std::string method = "POST";
  std::vector<std::string> headers;  // `Name: value`
  absl::Duration timeout = absl::Seconds(10);
  bool tls_skip_verify = false;
  friend bool operator==(const WatchHttpHandler&, const WatchHttpHandler&) = default;
};

struct WatchDefinition {
  // The API's path and query whose answer is watched.
  std::string path;
  TextPairs query;
  bool by_hash = false;  // Its changes are told by a hash rather than an index.
  // A command with its arguments, which gets each new answer on its standard input.
  std::vector<std::string> args;
  WatchHttpHandler http;
  friend bool operator==(const WatchDefinition&, const WatchDefinition&) = default;
};

// Reads the value of `watches` of a checked tree (null: none). What is wrong goes to `problems`:
// unknown fields, a type that is none, no handler, or two. Types of what this version does not have
// (key, keyprefix, event, connect_roots, connect_leaf) go to the notes, and nowhere else.
std::vector<WatchDefinition> ReadWatches(const Value* watches, Problems& problems,
                                         DefinitionNotes& notes);

}  // namespace pharos::agent
