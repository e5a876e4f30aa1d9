// Datagrams of a pool, as they are behind encryption: taken apart, every message decoded by its
// type. What is decoded survives being encoded and decoded again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "cluster/gossip/coordinate.h"
#include "cluster/gossip/messages.h"
#include "cluster/gossip/packet.h"
#include "cluster/gossip/serf_messages.h"

using pharos::AsOctets;
using pharos::Octets;
using namespace pharos::gossip;  // NOLINT(google-build-using-namespace): the target is all of it.

namespace {

template <Record T>
void Check(Octets body) {
  const std::optional<T> record = DecodeRecord<T>(body);
  if (!record) return;
  std::string once, twice;
  PackValue(*record, once);
  const std::optional<T> again = DecodeRecord<T>(AsOctets(once));
  CHECK(again.has_value());
  PackValue(*again, twice);
  CHECK(once == twice);
}

void CheckSerf(Octets message) {
  if (message.empty()) return;
  const Octets body = message.subspan(1);
  switch (static_cast<SerfType>(message[0])) {
    case SerfType::kLeaveIntent:
      return Check<LeaveIntent>(body);
    case SerfType::kJoinIntent:
      return Check<JoinIntent>(body);
    case SerfType::kPushPull:
      return Check<SerfState>(body);
    case SerfType::kUserEvent:
      return Check<UserEvent>(body);
    case SerfType::kQuery: {
      Check<Query>(body);
      const std::optional<Query> query = DecodeRecord<Query>(body);
      if (!query) return;
      for (const std::string& filter : query->filters) FitsFilter(filter, "n", {{"role", "web"}});
      return;
    }
    case SerfType::kQueryResponse:
      return Check<QueryResponse>(body);
    case SerfType::kRelay:
      return Check<RelayHeader>(body);
    case SerfType::kConflictResponse:
      return Check<MemberRecord>(body);
    case SerfType::kKeyRequest:
      return Check<KeyRequest>(body);
    case SerfType::kKeyResponse:
      return Check<KeyResponse>(body);
  }
}

void CheckMessage(Octets message) {
  const Octets body = message.subspan(1);
  switch (static_cast<MessageType>(message[0])) {
    case MessageType::kPing:
      return Check<Ping>(body);
    case MessageType::kIndirectPing:
      return Check<IndirectPing>(body);
    case MessageType::kAck: {
      Check<Ack>(body);
      const std::optional<Ack> ack = DecodeRecord<Ack>(body);
      if (ack) ParseCoordinate(ack->payload);
      return;
    }
    case MessageType::kNack:
      return Check<Nack>(body);
    case MessageType::kSuspect:
    case MessageType::kDead:
      return Check<Suspect>(body);
    case MessageType::kAlive: {
      Check<Alive>(body);
      const std::optional<Alive> alive = DecodeRecord<Alive>(body);
      if (!alive) return;
      ParseTags(alive->meta);
      ParseAddress(alive->address);
      Versions::Parse(alive->versions);
      return;
    }
    case MessageType::kUser:
      return CheckSerf(body);
    default:
      return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > kDatagramOctetsMax) return 0;
  const absl::StatusOr<std::string> opened = OpenPacket({data, size}, Security{});
  if (opened.ok()) ForEachMessage(AsOctets(*opened), CheckMessage);
  return 0;
}
