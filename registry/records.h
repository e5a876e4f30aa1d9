// What DNS needs of records, made when they change: addresses, targets, weights, texts, and the
// selections of a service's instances. Pure functions of the records.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "registry/snapshot.h"
#include "registry/types.h"

namespace pharos::registry {

// ASCII letters in lower case: the form of every key.
std::string LowerCase(std::string_view text);
// Below, at or above 0, as if both were in lower case.
int CompareIgnoringCase(std::string_view a, std::string_view b);
bool LessIgnoringCase(std::string_view a, std::string_view b);

// `text` split at its dots as wire labels, without a root label; empty when a label would be empty
// or longer than 63 octets.
std::string WireLabels(std::string_view text);
// A host name with or without a final dot in wire form with the root label. Empty for what is none:
// other characters than letters, digits, `-` and `_`, or a last label of digits alone, as in a
// mistyped IP address.
std::string HostNameWire(std::string_view text);

// TXT RDATA of node metadata, as Node::meta_txt holds it: `key=value` by RFC 1464, or the value
// alone for keys that begin with `rfc1035-`.
std::string MetaTxt(const StringPairs& meta);

// Fills Node::dns, meta_txt and name_labels.
void FillNodeRecords(Node& node);

// The instance of `service` on `node` with its ready-made parts.
Ref<const Instance> MakeInstance(Ref<const Node> node, Ref<const Service> service, Health health);

// The records of those instances that stand at the positions.
RecordSet MakeRecordSet(const InstanceList& instances, const std::vector<uint32_t>& positions,
                        SelectionPool& pool);
// Where the instance is: its service's locality, else its node's, else what its node's metadata
// says (`region`, `zone`). Borrows from the instance.
inline constexpr std::string_view kRegionMeta = "region";
inline constexpr std::string_view kZoneMeta = "zone";
struct LocalityView {
  std::string_view region, zone;
};
LocalityView LocalityOf(const Instance& instance);

// Fills `all`, `by_tag` and `ready` from `instances`.
void FillServiceRecords(ServiceEntry& entry, SelectionPool& pool);
// Whether UpdateServiceHealth can do with the entry: no instance of it stands for another one too,
// so a change of one's health is no matter of the others.
bool CanUpdateHealth(const ServiceEntry& entry);
// As FillServiceRecords, where only the health of the instances at `changed` (rising) differs from
// `before`, of which CanUpdateHealth is true. Cheap even for thousands of instances.
void UpdateServiceHealth(const ServiceEntry& before, std::span<const uint32_t> changed,
                         ServiceEntry& entry, SelectionPool& pool);

}  // namespace pharos::registry
