// The messages of Serf 0.9, which travel in membership's: as user messages of packets, as the state
// that a push/pull carries, as metadata of nodes and as payloads of acks and queries. Each is an
// octet of type with a record behind it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/gossip/record.h"

namespace pharos::gossip {

enum class SerfType : uint8_t {
  kLeaveIntent = 0,
  kJoinIntent = 1,
  kPushPull = 2,
  kUserEvent = 3,
  kQuery = 4,
  kQueryResponse = 5,
  kConflictResponse = 6,
  kKeyRequest = 7,
  kKeyResponse = 8,
  kRelay = 9,
};

using LamportTime = uint64_t;

// Tags of a member. As metadata: a map behind the octet 0xff, or, of old members, a bare role.
using Tags = std::map<std::string, std::string>;
std::string PackTags(const Tags& tags);
// Metadata that is malformed has no tags.
Tags ParseTags(std::string_view meta);

struct JoinIntent {
  static constexpr bool kIsRecord = true;
  LamportTime time = 0;
  std::string node = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("LTime", self.time);
    fields("Node", self.node);
  }
};

struct LeaveIntent {
  static constexpr bool kIsRecord = true;
  LamportTime time = 0;
  std::string node = {};
  bool prune = false;  // Forget the member at once.
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("LTime", self.time);
    fields("Node", self.node);
    fields("Prune", self.prune);
  }
};

struct UserEvent {
  static constexpr bool kIsRecord = true;
  LamportTime time = 0;
  std::string name = {}, payload = {};
  bool coalesce = false;  // Of many with one name the last is enough.
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("CC", self.coalesce);
    fields("LTime", self.time);
    fields("Name", self.name);
    fields("Payload", Blob{self.payload});
  }
};

// The user events of one Lamport time.
struct EventSlot {
  static constexpr bool kIsRecord = true;
  struct Event {
    static constexpr bool kIsRecord = true;
    std::string name = {}, payload = {};
    template <typename Self, typename Fields>
    static void Visit(Self& self, Fields&& fields) {
      fields("Name", self.name);
      fields("Payload", Blob{self.payload});
    }
  };
  LamportTime time = 0;
  std::vector<Event> events = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Events", ListOrNil{self.events});
    fields("LTime", self.time);
  }
};

// Serf's part of a push/pull.
struct SerfState {
  static constexpr bool kIsRecord = true;
  LamportTime time = 0;
  TextMap<LamportTime> status_times = {};  // Of members, by name.
  std::vector<std::string> left_members = {};
  LamportTime event_time = 0;
  std::vector<std::optional<EventSlot>> events = {};
  LamportTime query_time = 0;
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("EventLTime", self.event_time);
    fields("Events", self.events);
    fields("LTime", self.time);
    fields("LeftMembers", self.left_members);
    fields("QueryLTime", self.query_time);
    fields("StatusLTimes", self.status_times);
  }
};

inline constexpr uint32_t kQueryWantsAck = 1, kQueryNoBroadcast = 2;

struct Query {
  static constexpr bool kIsRecord = true;
  LamportTime time = 0;
  uint32_t id = 0;
  std::string address = {};  // Where responses go.
  uint16_t port = 0;
  std::string source_node = {};
  std::vector<std::string> filters = {};  // Those it is for fit all of them (FitsFilter).
  uint32_t flags = 0;
  uint8_t relay_factor = 0;
  int64_t timeout_ns = 0;
  std::string name = {}, payload = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Addr", Blob{self.address});
    fields("Filters", ListOrNil{self.filters});
    fields("Flags", self.flags);
    fields("ID", self.id);
    fields("LTime", self.time);
    fields("Name", self.name);
    fields("Payload", Blob{self.payload});
    fields("Port", self.port);
    fields("RelayFactor", self.relay_factor);
    fields("SourceNode", self.source_node);
    fields("Timeout", self.timeout_ns);
  }
};

struct TagFilter {
  static constexpr bool kIsRecord = true;
  std::string tag = {}, expression = {};  // RE2, found anywhere in the tag's value.
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Expr", self.expression);
    fields("Tag", self.tag);
  }
};

// Filters as a query has them: for the nodes named, and for those whose tag fits.
std::string PackNodeFilter(const std::vector<std::string>& nodes);
std::string PackTagFilter(const TagFilter& filter);
// Whether the node fits; false for a filter of an unknown kind or that is malformed.
bool FitsFilter(std::string_view filter, const std::string& node, const Tags& tags);

inline constexpr uint32_t kResponseIsAck = 1;

struct QueryResponse {
  static constexpr bool kIsRecord = true;
  LamportTime time = 0;
  uint32_t id = 0;
  std::string from = {};
  uint32_t flags = 0;
  std::string payload = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Flags", self.flags);
    fields("From", self.from);
    fields("ID", self.id);
    fields("LTime", self.time);
    fields("Payload", Blob{self.payload});
  }
};

// Goes before a whole message that the receiver is asked to send on to the destination.
struct RelayHeader {
  static constexpr bool kIsRecord = true;
  struct Address {
    static constexpr bool kIsRecord = true;
    std::string ip = {};
    uint16_t port = 0;
    std::string zone = {};
    template <typename Self, typename Fields>
    static void Visit(Self& self, Fields&& fields) {
      fields("IP", Blob{self.ip});
      fields("Port", self.port);
      fields("Zone", self.zone);
    }
  };
  Address destination = {};
  std::string destination_name = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("DestAddr", self.destination);
    fields("DestName", self.destination_name);
  }
};

struct KeyRequest {
  static constexpr bool kIsRecord = true;
  std::string key = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Key", Blob{self.key});
  }
};

struct KeyResponse {
  static constexpr bool kIsRecord = true;
  bool result = false;
  std::string message = {};
  std::vector<std::string> keys = {};  // Base64, in the order of the ring.
  std::string primary_key = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Keys", ListOrNil{self.keys});
    fields("Message", self.message);
    fields("PrimaryKey", self.primary_key);
    fields("Result", self.result);
  }
};

// A member as a conflict response has it.
struct MemberRecord {
  static constexpr bool kIsRecord = true;
  std::string name = {}, address = {};
  uint16_t port = 0;
  TextMap<std::string> tags = {};
  int32_t status = 0;
  uint8_t protocol_min = 0, protocol_max = 0, protocol_current = 0;
  uint8_t delegate_min = 0, delegate_max = 0, delegate_current = 0;
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Addr", Blob{self.address});
    fields("DelegateCur", self.delegate_current);
    fields("DelegateMax", self.delegate_max);
    fields("DelegateMin", self.delegate_min);
    fields("Name", self.name);
    fields("Port", self.port);
    fields("ProtocolCur", self.protocol_current);
    fields("ProtocolMax", self.protocol_max);
    fields("ProtocolMin", self.protocol_min);
    fields("Status", self.status);
    fields("Tags", self.tags);
  }
};

}  // namespace pharos::gossip
