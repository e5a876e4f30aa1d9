// Packets and streams as members of HashiCorp's programs sent them (testdata/README.md): each is
// decoded and compared with its content, encoded anew and compared octet by octet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "cluster/gossip/coordinate.h"
#include "cluster/gossip/lzw.h"
#include "cluster/gossip/packet.h"
#include "cluster/gossip/serf_messages.h"
#include "cluster/gossip/stream.h"

namespace pharos::gossip {
namespace {

using nlohmann::json;

std::string ReadTestData(const std::string& name) {
  const absl::StatusOr<std::string> text =
      ReadFile(std::string(TESTDATA_FOLDER) + "/" + name, 64 << 20);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

std::string FromHex(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());
  return absl::HexStringToBytes(text);
}

std::string Hex(Octets octets) { return absl::BytesToHexString(std::string(AsText(octets))); }

// A record as the vectors' JSON shows it: octets as `hex:...`, texts as they are.
class JsonFields {
 public:
  explicit JsonFields(json& out) : out_(out) {}
  template <typename T>
  void operator()(std::string_view name, const T& field) {
    out_[std::string(name)] = Show(field);
  }
  void operator()(std::string_view name, const BlobOrLeftOut<const std::string>& field) {
    if (!field.value.empty()) out_[std::string(name)] = ShowOctets(field.value);
  }
  template <typename T>
  void operator()(std::string_view name, const LeftOut<T>& field) {
    if (field.value != std::remove_const_t<T>()) out_[std::string(name)] = Show(field.value);
  }

  static json ShowOctets(const std::string& octets) {
    return octets.empty() ? json() : json("hex:" + absl::BytesToHexString(octets));
  }
  template <typename T>
  static json Show(const T& value) {
    if constexpr (Record<T>) {
      json shown = json::object();
      T::Visit(value, JsonFields(shown));
      return shown;
    } else {
      return json(value);
    }
  }
  template <typename T>
  static json Show(const Blob<T>& field) {
    return ShowOctets(field.value);
  }
  template <typename T>
  static json Show(const ListOrNil<T>& list) {
    return Show(list.value);
  }
  template <typename T>
  static json Show(const std::vector<T>& list) {
    json shown = json::array();
    for (const T& value : list) shown.push_back(Show(value));
    return shown;
  }
  static json Show(const std::vector<std::optional<EventSlot>>& slots) {
    json shown = json::array();
    for (const auto& slot : slots) {
      if (slot) shown.push_back(Show(*slot));
    }
    return shown;
  }
  template <typename T>
  static json Show(const TextMap<T>& map) {
    json shown = json::object();
    for (const auto& [key, value] : map) shown[key] = value;
    return shown;
  }

 private:
  json& out_;
};

json ShowTags(const std::string& meta) {
  const Tags tags = ParseTags(meta);
  return tags.empty() && meta.empty() ? json{{"role", ""}} : json(tags);
}

// Decodes a record, puts it into `shown`, and checks that it is encoded as it was read.
template <Record T>
T Take(Octets octets, json& shown, size_t* size = nullptr) {
  MsgPackReader reader(octets);
  T record;
  ReadValue(reader, record);
  EXPECT_TRUE(reader.ok());
  std::string again;
  PackValue(record, again);
  EXPECT_EQ(Hex(AsOctets(again)), Hex(octets.first(reader.offset())));
  if (size != nullptr) {
    *size = reader.offset();
  } else {
    EXPECT_EQ(reader.remaining(), 0u);
  }
  shown.update(JsonFields::Show(record));
  return record;
}

json ShowFilters(const std::vector<std::string>& filters) {
  json shown = json::array();
  for (const std::string& filter : filters) {
    const Octets body = AsOctets(filter).subspan(1);
    if (filter[0] == 0) {
      MsgPackReader reader(body);
      std::vector<std::string> nodes;
      ReadValue(reader, nodes);
      EXPECT_EQ(PackNodeFilter(nodes), filter);
      shown.push_back({{"node", nodes}});
    } else {
      json tag = json::object();
      EXPECT_EQ(PackTagFilter(Take<TagFilter>(body, tag)), filter);
      shown.push_back({{"tag", tag}});
    }
  }
  return shown;
}

json ShowSerf(Octets message);

json ShowSerfState(Octets body) {
  json shown = {{"serf", "pushPull"}};
  const SerfState state = Take<SerfState>(body, shown);
  shown["EventSlots"] = state.events.size();
  return shown;
}

json ShowQuery(Octets body) {
  json shown = {{"serf", "query"}};
  const Query query = Take<Query>(body, shown);
  shown["Filters"] = ShowFilters(query.filters);
  if (query.name.ends_with("-key") && query.payload.starts_with('\x07')) {
    json request = json::object();
    Take<KeyRequest>(AsOctets(query.payload).subspan(1), request);
    shown["Payload"] = {{"keyRequest", request}};
  }
  return shown;
}

json ShowResponse(Octets body) {
  json shown = {{"serf", "queryResponse"}};
  const QueryResponse response = Take<QueryResponse>(body, shown);
  const Octets payload = AsOctets(response.payload);
  if (response.payload.starts_with('\x06')) {
    json inner;
    MsgPackReader reader(payload, 1);
    if (!reader.TakeNil()) {
      inner = json::object();
      Take<MemberRecord>(payload.subspan(1), inner);
    }
    shown["Payload"] = {{"conflictResponse", inner}};
  } else if (response.payload.starts_with('\x08')) {
    json inner = json::object();
    Take<KeyResponse>(payload.subspan(1), inner);
    shown["Payload"] = {{"keyResponse", inner}};
  }
  return shown;
}

template <Record T>
json ShowAs(const char* key, const char* name, Octets body) {
  json shown = {{key, name}};
  Take<T>(body, shown);
  return shown;
}

json ShowSerf(Octets message) {
  const Octets body = message.subspan(1);
  switch (static_cast<SerfType>(message[0])) {
    case SerfType::kLeaveIntent:
      return ShowAs<LeaveIntent>("serf", "leave", body);
    case SerfType::kJoinIntent:
      return ShowAs<JoinIntent>("serf", "join", body);
    case SerfType::kPushPull:
      return ShowSerfState(body);
    case SerfType::kUserEvent:
      return ShowAs<UserEvent>("serf", "userEvent", body);
    case SerfType::kQuery:
      return ShowQuery(body);
    case SerfType::kQueryResponse:
      return ShowResponse(body);
    case SerfType::kRelay: {
      json header = json::object();
      size_t size = 0;
      Take<RelayHeader>(body, header, &size);
      return {{"serf", "relay"}, {"header", header}, {"inner", ShowSerf(body.subspan(size))}};
    }
    case SerfType::kConflictResponse:
    case SerfType::kKeyRequest:
    case SerfType::kKeyResponse:
      break;
  }
  ADD_FAILURE() << "a Serf message of type " << int{message[0]};
  return {};
}

json ShowPushPull(Octets message) {
  const std::optional<PushPull> state = DecodePushPull(message);
  EXPECT_TRUE(state.has_value());
  if (!state) return {};
  EXPECT_EQ(Hex(AsOctets(EncodePushPull(*state))), Hex(message));
  json nodes = json::array();
  for (const NodeState& node : state->nodes) {
    json shown = JsonFields::Show(node);
    shown["Tags"] = ShowTags(node.meta);
    nodes.push_back(shown);
  }
  return {{"msg", "pushPull"},
          {"header",
           {{"Join", state->join},
            {"Nodes", state->nodes.size()},
            {"UserStateLen", state->user_state.size()}}},
          {"nodes", nodes},
          {"user", state->user_state.empty() ? json() : ShowSerf(AsOctets(state->user_state))}};
}

json ShowMessage(Octets message) {
  const Octets body = message.subspan(1);
  switch (static_cast<MessageType>(message[0])) {
    case MessageType::kPing:
      return ShowAs<Ping>("msg", "ping", body);
    case MessageType::kIndirectPing:
      return ShowAs<IndirectPing>("msg", "indirectPing", body);
    case MessageType::kAck: {
      json shown = {{"msg", "ackResp"}};
      const Ack ack = Take<Ack>(body, shown);
      if (!ack.payload.empty()) {
        json coordinate = json::object();
        Take<Coordinate>(AsOctets(ack.payload).subspan(1), coordinate);
        shown["Payload"] = {{"coordinate", coordinate}};
      }
      return shown;
    }
    case MessageType::kNack:
      return ShowAs<Nack>("msg", "nackResp", body);
    case MessageType::kSuspect:
      return ShowAs<Suspect>("msg", "suspect", body);
    case MessageType::kDead:
      return ShowAs<Dead>("msg", "dead", body);
    case MessageType::kAlive: {
      json shown = {{"msg", "alive"}};
      shown["Tags"] = ShowTags(Take<Alive>(body, shown).meta);
      return shown;
    }
    case MessageType::kUser: {
      json shown = ShowSerf(body);
      shown["msg"] = "user";
      return shown;
    }
    case MessageType::kError:
      return ShowAs<StreamError>("msg", "err", body);
    case MessageType::kPushPull:
      return ShowPushPull(message);
    default:
      ADD_FAILURE() << "a message of type " << int{message[0]};
      return {};
  }
}

struct Vector {
  std::string file, octets;
  json content, about;
  Keyring keyring;
  Security security;
  bool udp = false;
};

std::vector<std::unique_ptr<Vector>> LoadVectors() {
  const json index = json::parse(ReadTestData("index.json"));
  std::vector<std::unique_ptr<Vector>> vectors;
  for (const json& about : index["vectors"]) {
    auto vector = std::make_unique<Vector>();
    vector->file = about["file"];
    vector->octets = FromHex(ReadTestData(vector->file));
    vector->content =
        json::parse(ReadTestData(vector->file.substr(0, vector->file.size() - 3) + "json"));
    vector->about = about;
    for (const json& key : about["keys"]) {
      const std::string base64 = index["keys"][key.get<std::string>()];
      EXPECT_TRUE(vector->keyring.Install(*ParseKey(base64)).ok());
    }
    vector->security.keyring = &vector->keyring;
    for (const std::string layer : about["layers"]) {
      if (layer.starts_with("label:")) vector->security.label = layer.substr(6);
    }
    if (about.contains("label_of_connection")) {
      vector->security.label = about["label_of_connection"];
    }
    vector->udp = about["transport"] == "udp";
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

StreamSide SenderOf(const Vector& vector) {
  const bool labelled = static_cast<uint8_t>(vector.octets[0]) == 244;
  return labelled || vector.security.label.empty() ? StreamSide::kDialler : StreamSide::kAcceptor;
}

// The message of a packet or stream without encryption (compression and CRC are still there on a
// packet).
absl::StatusOr<std::string> Open(const Vector& vector, const Security& security) {
  if (vector.udp) return OpenPacket(AsOctets(vector.octets), security);
  StreamReader reader(SenderOf(vector), security);
  const absl::StatusOr<bool> whole = reader.Feed(AsOctets(vector.octets));
  if (!whole.ok()) return whole.status();
  if (!*whole) return absl::OutOfRangeError("cut off");
  return reader.message();
}

TEST(Vectors, AreDecodedAndEncodedAnew) {
  const auto vectors = LoadVectors();
  EXPECT_EQ(vectors.size(), 53u);
  for (const auto& vector : vectors) {
    SCOPED_TRACE(vector->file);
    const absl::StatusOr<std::string> opened = Open(*vector, vector->security);
    ASSERT_TRUE(opened.ok()) << opened.status();
    json shown;
    if (vector->udp) {
      json parts = json::array();
      EXPECT_TRUE(ForEachMessage(AsOctets(*opened),
                                 [&](Octets message) { parts.push_back(ShowMessage(message)); }));
      shown = parts.size() == 1 ? parts[0] : json{{"msg", "compound"}, {"parts", parts}};
    } else {
      shown = ShowMessage(AsOctets(*opened));
    }
    EXPECT_EQ(shown, vector->content);
  }
}

TEST(Vectors, NeedTheirKeyAndLabelAndEveryBit) {
  const Keyring other({std::string(32, 'x')});
  for (const auto& vector : LoadVectors()) {
    if (!vector->security.encrypts()) continue;
    SCOPED_TRACE(vector->file);
    Security security = vector->security;
    security.keyring = &other;
    EXPECT_FALSE(Open(*vector, security).ok()) << "with another key";
    security = vector->security;
    security.label += "x";
    EXPECT_FALSE(Open(*vector, security).ok()) << "with another label";
    security.keyring = nullptr;
    if (!vector->udp) {
      EXPECT_FALSE(Open(*vector, security).ok()) << "without a key";
    }
    // The octet of version is not authenticated, and a change of it may look like a padding.
    const bool labelled = static_cast<uint8_t>(vector->octets[0]) == 244;
    const size_t version_at =
        (labelled ? 2 + vector->security.label.size() : 0) + (vector->udp ? 0 : 5);
    for (size_t bit = 0; bit < 8 * std::min<size_t>(vector->octets.size(), 200); ++bit) {
      if (bit == 8 * version_at) continue;
      vector->octets[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      EXPECT_FALSE(Open(*vector, vector->security).ok()) << "with bit " << bit << " flipped";
      vector->octets[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    }
  }
}

TEST(Vectors, ThatAreCutOffOrChangedDoNoHarm) {
  for (const auto& vector : LoadVectors()) {
    SCOPED_TRACE(vector->file);
    const absl::StatusOr<std::string> opened = Open(*vector, vector->security);
    ASSERT_TRUE(opened.ok());
    const size_t looked_at = std::min<size_t>(opened->size(), 400);
    const auto decode = [&](const std::string& message) {
      int messages = 0;
      ForEachMessage(AsOctets(message), [&](Octets) { ++messages; });
      DecodePushPull(AsOctets(message));
      if (message.empty()) return;
      DecodeRecord<Alive>(AsOctets(message).subspan(1));
      DecodeRecord<Query>(AsOctets(message).subspan(1));
    };
    for (size_t size = 1; size <= looked_at; ++size) decode(opened->substr(0, size));
    for (size_t bit = 0; bit < 8 * looked_at; ++bit) {
      std::string changed = *opened;
      changed[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      decode(changed);
    }
    if (vector->udp) continue;
    for (size_t size = 0; size < std::min<size_t>(vector->octets.size(), 400); ++size) {
      StreamReader reader(SenderOf(*vector), vector->security);
      const absl::StatusOr<bool> whole = reader.Feed(AsOctets(vector->octets).first(size));
      EXPECT_FALSE(whole.ok() && *whole) << size;
    }
  }
}

TEST(Vectors, ComeApartInAnyPieces) {
  for (const auto& vector : LoadVectors()) {
    if (vector->udp) continue;
    SCOPED_TRACE(vector->file);
    StreamReader reader(SenderOf(*vector), vector->security);
    for (size_t at = 0; at < vector->octets.size(); ++at) {
      const absl::StatusOr<bool> whole = reader.Feed(AsOctets(vector->octets).subspan(at, 1));
      ASSERT_TRUE(whole.ok()) << whole.status();
      ASSERT_EQ(*whole, at + 1 == vector->octets.size()) << at;
    }
  }
}

// Everything compressed in the vectors, compressed anew in one of the two ways there are.
TEST(Vectors, AreCompressedAnew) {
  int compressed = 0;
  for (const auto& vector : LoadVectors()) {
    SCOPED_TRACE(vector->file);
    if (std::ranges::find(vector->about["layers"], "compress") == vector->about["layers"].end()) {
      continue;
    }
    std::string packet;
    if (vector->udp) {
      packet = *OpenPacket(AsOctets(vector->octets), vector->security);
      if (packet[0] == static_cast<char>(MessageType::kCrc)) packet.erase(0, 5);
    } else if (vector->security.encrypts()) {
      const bool labelled = static_cast<uint8_t>(vector->octets[0]) == 244;
      const Octets stream =
          AsOctets(vector->octets).subspan(labelled ? 2 + vector->security.label.size() : 0);
      const std::string additional = std::string(AsText(stream.first(5))) + vector->security.label;
      packet = *vector->keyring.Decrypt(stream.subspan(5), AsOctets(additional));
    } else {
      packet = vector->octets;
    }
    ASSERT_EQ(packet[0], static_cast<char>(MessageType::kCompressed));
    const auto record = DecodeRecord<Compressed>(AsOctets(packet).subspan(1));
    ASSERT_TRUE(record.has_value());
    const absl::StatusOr<std::string> plain = LzwDecompress(AsOctets(record->octets), 40 << 20);
    ASSERT_TRUE(plain.ok()) << plain.status();
    EXPECT_TRUE(LzwCompress(AsOctets(*plain)) == record->octets ||
                LzwCompress(AsOctets(*plain), false) == record->octets);
    ++compressed;
  }
  EXPECT_EQ(compressed, 17);
}

TEST(Vectors, AreEncryptedAnewWithTheSameNonce) {
  int encrypted = 0;
  for (const auto& vector : LoadVectors()) {
    if (!vector->security.encrypts()) continue;
    SCOPED_TRACE(vector->file);
    const bool labelled = static_cast<uint8_t>(vector->octets[0]) == 244;
    Octets blob =
        AsOctets(vector->octets).subspan(labelled ? 2 + vector->security.label.size() : 0);
    std::string additional = vector->security.label;
    if (!vector->udp) {
      additional.insert(0, AsText(blob.first(5)));
      blob = blob.subspan(5);
    }
    Nonce nonce;
    std::copy_n(blob.begin() + 1, nonce.size(), nonce.begin());
    // The key that it was encrypted with is not always the first one.
    bool same = false;
    for (const std::string& key : vector->keyring.keys()) {
      const Keyring ring({key});
      const std::optional<std::string> plain = ring.Decrypt(blob, AsOctets(additional));
      same =
          same || (plain && ring.Encrypt(static_cast<EncryptionVersion>(blob[0]), nonce,
                                         AsOctets(*plain), AsOctets(additional)) == AsText(blob));
    }
    EXPECT_TRUE(same);
    ++encrypted;
  }
  EXPECT_EQ(encrypted, 22);
}

}  // namespace
}  // namespace pharos::gossip
