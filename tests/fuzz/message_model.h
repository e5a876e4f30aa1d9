// What the catalog says of a name, worked out slowly from the registrations as they were given,
// with nothing of the server's: what its answers are held against.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "dns/answer_config.h"

namespace pharos::fuzz {

// Labels in lower case, the root left out.
using Labels = std::vector<std::string>;
Labels ToLabels(std::string_view wire);

struct Expected {
  // Whether this model knows the name's form. If not, nothing is expected.
  bool modelled = false;
  bool exists = false;
  // All that may stand under the name and type: RDATA in wire form, no name compressed, letters in
  // lower case, behind the type in two octets. `cnames` are alternatives, of which one stands alone
  // in place of `records` when there are none of those.
  std::set<std::string> records;
  std::set<std::string> cnames;
  // How many of `records` a whole answer has. Fewer than those when some are of the same instance.
  size_t whole = 0;
};

// A record as Expected holds it.
std::string TypedRdata(uint16_t type, std::string_view rdata);

// Of a name in one of the zones, or under arpa. `config` says which zones there are and which
// instances count.
Expected Ask(const Labels& name, uint16_t type, const dns::AnswerConfig& config);
// How many labels the zone that a name is in has; -1: it is in none.
int ZoneLabels(const Labels& name, const dns::AnswerConfig& config);

}  // namespace pharos::fuzz
