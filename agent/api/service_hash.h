// The hash by which clients block on one service of the agent (X-Consul-ContentHash). It is
// Consul's own, so that one kept by a client stays good, and clients' tests that know it do too.
#pragma once

#include <string>

#include "registry/types.h"

namespace pharos::agent {

// 16 hexadecimal digits or fewer: a structural FNV-1 hash of the fields in the API's form.
std::string ServiceContentHash(const registry::Service& service);

}  // namespace pharos::agent
