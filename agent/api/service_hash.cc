#include "agent/api/service_hash.h"

#include <cstdint>
#include <string_view>

#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

// FNV-1, 64 bits (Fowler, Noll and Vo).
uint64_t Hash(std::string_view octets) {
  uint64_t hash = 14695981039346656037U;
  for (const char octet : octets) {
    hash *= 1099511628211U;
    hash ^= static_cast<unsigned char>(octet);
  }
  return hash;
}

// Of a number's octets, the lowest first.
uint64_t HashNumber(uint64_t number) {
  std::string octets;
  for (int shift = 0; shift < 64; shift += 8) octets += static_cast<char>(number >> shift);
  return Hash(octets);
}

uint64_t HashBool(bool value) { return Hash(std::string(1, value ? '\1' : '\0')); }

// Of two hashes whose order matters.
uint64_t Pair(uint64_t first, uint64_t second) {
  std::string octets;
  for (const uint64_t number : {first, second}) {
    for (int shift = 0; shift < 64; shift += 8) octets += static_cast<char>(number >> shift);
  }
  return Hash(octets);
}

// A structure: its type's name and its fields, in any order.
class Structure {
 public:
  explicit Structure(std::string_view type) : hash_(Hash(type)) {}
  Structure& Field(std::string_view name, uint64_t value) {
    hash_ ^= Pair(Hash(name), value);
    return *this;
  }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_;
};

// For those of a mesh the hash is ours, as only few of their fields are kept.
uint64_t HashUnlessEmpty(const std::string& text) {
  return text.empty() ? HashNumber(0) : Hash(text);
}

}  // namespace

std::string ServiceContentHash(const registry::Service& service) {
  uint64_t tags = 0, meta = 0, addresses = 0;
  for (const std::string& tag : service.tags) tags = Pair(tags, Hash(tag));
  for (const auto& [key, value] : service.meta) meta ^= Pair(Hash(key), Hash(value));
  for (const registry::TaggedAddress& tagged : service.details->tagged_addresses) {
    addresses ^= Pair(Hash(tagged.name), Structure("ServiceAddress")
                                             .Field("Address", Hash(tagged.address))
                                             .Field("Port", HashNumber(tagged.port))
                                             .hash());
  }
  const uint64_t weights = Structure("AgentWeights")
                               .Field("Passing", HashNumber(service.weight_passing))
                               .Field("Warning", HashNumber(service.weight_warning))
                               .hash();
  const uint64_t nothing = HashNumber(0);
  return absl::StrFormat("%x",
                         Structure("AgentService")
                             .Field("Kind", Hash(service.details->kind))
                             .Field("ID", Hash(service.id))
                             .Field("Service", Hash(service.name))
                             .Field("Tags", tags)
                             .Field("Meta", meta)
                             .Field("Port", HashNumber(service.port))
                             .Field("Address", Hash(service.address))
                             .Field("TaggedAddresses", addresses)
                             .Field("Weights", weights)
                             .Field("EnableTagOverride", HashBool(service.enable_tag_override))
                             .Field("CreateIndex", nothing)
                             .Field("ModifyIndex", nothing)
                             .Field("ContentHash", Hash(""))
                             .Field("Proxy", HashUnlessEmpty(service.details->proxy_destination))
                             .Field("Connect", service.connect_native ? HashBool(true) : nothing)
                             .hash());
}

}  // namespace pharos::agent
