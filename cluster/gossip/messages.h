// The messages of membership, as HashiCorp's memberlist 0.2 has them. Each is an octet of type with
// a record behind it; streams and packets carry them in layers (packet.h, stream.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "cluster/gossip/record.h"

namespace pharos::gossip {

enum class MessageType : uint8_t {
  kPing = 0,
  kIndirectPing = 1,
  kAck = 2,
  kSuspect = 3,
  kAlive = 4,
  kDead = 5,
  kPushPull = 6,  // Streams only, as are kEncrypted and kError.
  kCompound = 7,
  kUser = 8,
  kCompressed = 9,
  kEncrypted = 10,
  kNack = 11,
  kCrc = 12,
  kError = 13,
  kLabel = 244,
};

// The greatest metadata that we send; more is taken from others.
inline constexpr size_t kMetaOctetsMax = 512;

// An address as records have it: 4 or 16 octets, kept as received, as other members compare them
// octet by octet. nullopt for another number of octets; IPv4-mapped IPv6 is IPv4.
std::optional<IpAddress> ParseAddress(std::string_view octets);
std::string PackAddress(const IpAddress& address);

// What a node speaks, of membership and of the layer above: six octets.
struct Versions {
  uint8_t protocol_min = 1, protocol_max = 5, protocol_current = 2;
  uint8_t delegate_min = 2, delegate_max = 5, delegate_current = 4;

  // nullopt if there are fewer than six.
  static std::optional<Versions> Parse(std::string_view octets);
  std::string Pack() const;
  friend bool operator==(const Versions&, const Versions&) = default;
};
// The greatest version of a member that answers pings by TCP, sends nacks, checks CRCs.
inline constexpr uint8_t kVersionOfTcpPing = 3, kVersionOfNack = 4, kVersionOfCrc = 5;

struct Ping {
  static constexpr bool kIsRecord = true;
  uint32_t sequence = 0;
  std::string node = {};  // Who is meant; nobody else answers.
  // Where the answer goes, if both are given; else where the packet came from.
  std::string source_address = {};
  uint16_t source_port = 0;
  std::string source_node = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Node", self.node);
    fields("SeqNo", self.sequence);
    fields("SourceAddr", BlobOrLeftOut{self.source_address});
    fields("SourceNode", LeftOut{self.source_node});
    fields("SourcePort", LeftOut{self.source_port});
  }
};

// Asks the receiver to ping the target for us.
struct IndirectPing {
  static constexpr bool kIsRecord = true;
  uint32_t sequence = 0;
  std::string target = {};  // Address.
  uint16_t port = 0;
  std::string node = {};
  bool nack = false;  // Whether a nack is wanted where no answer comes.
  std::string source_address = {};
  uint16_t source_port = 0;
  std::string source_node = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Nack", self.nack);
    fields("Node", self.node);
    fields("Port", self.port);
    fields("SeqNo", self.sequence);
    fields("SourceAddr", BlobOrLeftOut{self.source_address});
    fields("SourceNode", LeftOut{self.source_node});
    fields("SourcePort", LeftOut{self.source_port});
    fields("Target", Blob{self.target});
  }
};

struct Ack {
  static constexpr bool kIsRecord = true;
  uint32_t sequence = 0;
  std::string payload = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Payload", Blob{self.payload});
    fields("SeqNo", self.sequence);
  }
};

struct Nack {
  static constexpr bool kIsRecord = true;
  uint32_t sequence = 0;
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("SeqNo", self.sequence);
  }
};

// That `from` thinks the node failed. Dead has the same fields, and means that the node left if it
// is from the node itself.
struct Suspect {
  static constexpr bool kIsRecord = true;
  uint32_t incarnation = 0;
  std::string node = {}, from = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("From", self.from);
    fields("Incarnation", self.incarnation);
    fields("Node", self.node);
  }
};
using Dead = Suspect;

struct Alive {
  static constexpr bool kIsRecord = true;
  uint32_t incarnation = 0;
  std::string node = {};
  std::string address = {};
  uint16_t port = 0;
  std::string meta = {};
  std::string versions = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Addr", Blob{self.address});
    fields("Incarnation", self.incarnation);
    fields("Meta", Blob{self.meta});
    fields("Node", self.node);
    fields("Port", self.port);
    fields("Vsn", Blob{self.versions});
  }
};

enum class NodeStatus : uint8_t { kAlive = 0, kSuspect = 1, kDead = 2, kLeft = 3 };

// One node of a push/pull.
struct NodeState {
  static constexpr bool kIsRecord = true;
  std::string name = {};
  std::string address = {};
  uint16_t port = 0;
  std::string meta = {};
  uint32_t incarnation = 0;
  uint8_t state = 0;  // NodeStatus, or what is not known to us.
  std::string versions = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Addr", Blob{self.address});
    fields("Incarnation", self.incarnation);
    fields("Meta", Blob{self.meta});
    fields("Name", self.name);
    fields("Port", self.port);
    fields("State", self.state);
    fields("Vsn", Blob{self.versions});
  }
};

struct PushPullHeader {
  static constexpr bool kIsRecord = true;
  uint32_t nodes = 0;
  uint32_t user_state_octets = 0;
  bool join = false;
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Join", self.join);
    fields("Nodes", self.nodes);
    fields("UserStateLen", self.user_state_octets);
  }
};

// A whole push/pull message, which is its header, the nodes and the state of the layer above.
struct PushPull {
  bool join = false;
  std::vector<NodeState> nodes = {};
  std::string user_state = {};
};
inline constexpr uint32_t kPushPullNodesMax = 1 << 20;
inline constexpr uint32_t kUserStateOctetsMax = 20 << 20;

// With its octet of type.
std::string EncodePushPull(const PushPull& state);
// `message` with its octet of type; nullopt if it is malformed, cut off, or has a node without a
// name.
std::optional<PushPull> DecodePushPull(Octets message);

// What an acceptor answers to what it does not take.
struct StreamError {
  static constexpr bool kIsRecord = true;
  std::string error = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Error", self.error);
  }
};

// What a message of the layer above begins with on a stream.
struct UserStreamHeader {
  static constexpr bool kIsRecord = true;
  uint32_t octets = 0;
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("UserMsgLen", self.octets);
  }
};

struct Compressed {
  static constexpr bool kIsRecord = true;
  uint8_t algorithm = 0;  // 0: LZW.
  std::string octets = {};
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Algo", self.algorithm);
    fields("Buf", Blob{self.octets});
  }
};

}  // namespace pharos::gossip
