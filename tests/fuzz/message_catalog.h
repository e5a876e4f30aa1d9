// The catalog that whole queries are asked of: every kind of record, and what is odd about some.
#pragma once

#include <memory>
#include <vector>

#include "proto/catalog.pb.h"
#include "registry/snapshot.h"

namespace pharos::fuzz {

inline constexpr char kDatacenter[] = "dc1";

// The registrations, as given: what the model goes by.
const std::vector<catalog::v1::Register>& Registrations();
// The same as the server has them.
const registry::Snapshot& TestSnapshot();

}  // namespace pharos::fuzz
