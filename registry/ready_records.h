// The records of a service's instances as they go into replies, one beside the other in one block
// of memory: what an answer needs of its instances is on a cache line or two, not in three objects
// for each of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/octets.h"
#include "base/prefetch.h"
#include "registry/ref.h"

namespace pharos::registry {

class InstanceList;

// Immutable; made and destroyed on the writer's thread, read on any. By position, as the list of
// instances it was made from.
class ReadyRecords : public RefCounted {
 public:
  // SRV records are made ready for so many instances at most. Of more, a reply shows a few, which
  // are written faster one by one than thousands would be made ready at each change.
  static constexpr size_t kSrvInstancesMax = 64;

  using AddressV4 = std::array<uint8_t, 4>;

  // An SRV record (RFC 2782) but for owner, TTL and the end of its target, which is the zone's:
  // `node.<dc>.<zone>` or `addr.<dc>.<zone>`.
  struct Srv {
    uint16_t weight;
    uint16_t port;
    uint8_t target_index;  // The first position whose record has the same target.
    bool is_node;
    Octets labels;   // Of the target before the zone's end of it, in wire form.
    Octets address;  // 4 or 16 octets: RDATA of the target's address record.
  };

  // Null when there is nothing to be made ready.
  static Ref<const ReadyRecords> Make(const InstanceList& instances);
  static void operator delete(void* block) { ::operator delete(block); }

  // Of an instance that is in a selection for A questions.
  AddressV4 v4(uint32_t position) const { return Addresses()[position]; }
  // Whether every instance that SRV questions see has its record here.
  bool has_srv() const { return srv_offset_ != 0; }
  // Whether the nodes of some of them have metadata, which goes with SRV records as TXT.
  bool has_node_meta() const { return has_node_meta_; }
  // Of an instance that is in a selection for SRV questions, if has_srv().
  Srv srv(uint32_t position) const;
  // Whether something here depends on the instances' health: the weights of SRV records do.
  bool has_health() const { return has_srv(); }

  // Asks the processor for the beginning, which is all of it for a few instances.
  void Prefetch() const {
    PrefetchLine(this);
    PrefetchLine(reinterpret_cast<const uint8_t*>(this) + kLineOctets);
  }

 private:
  static constexpr size_t kLineOctets = 64;

  // How an SRV record stands in the block: this, the labels, the address.
  struct SrvHead {
    uint16_t weight;
    uint16_t port;
    uint8_t target_index;
    uint8_t is_node;
    uint8_t labels_octets;
    uint8_t address_octets;
  };

  ReadyRecords(uint32_t srv_offset, bool has_node_meta)
      : srv_offset_(srv_offset), has_node_meta_(has_node_meta) {}
  uint8_t* block() { return reinterpret_cast<uint8_t*>(this); }
  const uint8_t* block() const { return reinterpret_cast<const uint8_t*>(this); }
  const AddressV4* Addresses() const {
    return reinterpret_cast<const AddressV4*>(block() + sizeof(ReadyRecords));
  }

  // From the beginning of the block: where for each position an offset stands, as u16, from there
  // to its SRV record. 0: there are none.
  uint32_t srv_offset_;
  bool has_node_meta_;
};

}  // namespace pharos::registry
