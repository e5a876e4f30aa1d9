// The tags by which agents know one another in a pool.
#pragma once

namespace pharos::cluster {

// Not Consul's `consul` or `node`: its servers would take us for one of theirs and send us calls.
inline constexpr const char* kRoleTag = "role";
inline constexpr const char* kRole = "pharos";
// `1` on servers; what else they have is as Consul's servers have it (`port`, `bootstrap`, `expect`
// ...).
inline constexpr const char* kServerTag = "server";

}  // namespace pharos::cluster
