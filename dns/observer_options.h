// How queries are told of: what an operator can set.
#pragma once

#include <cstdint>
#include <string>

namespace pharos::dns {

struct DnstapOptions {
  std::string socket;  // Path of a Unix socket that a collector listens on; empty: no dnstap.
  bool queries = true;
  bool responses = true;
  std::string identity = {};  // Empty: not said.
  std::string version = {};
  friend bool operator==(const DnstapOptions&, const DnstapOptions&) = default;
};

enum class QueryLogFormat : uint8_t { kJson, kText };

struct QueryLogOptions {
  std::string file;      // Empty: no log.
  double sample = 0.01;  // The share of queries that is written: above 0, at most 1.
  QueryLogFormat format = QueryLogFormat::kJson;
  friend bool operator==(const QueryLogOptions&, const QueryLogOptions&) = default;
};

}  // namespace pharos::dns
