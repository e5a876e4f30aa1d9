// The server's and the follower's side of the catalog stream, with no network between them.
#include "cluster/catalog_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/random.h"
#include "cluster/catalog_follower.h"
#include "cluster/image_file.h"
#include "proto/image.pb.h"

namespace pharos::cluster {
namespace {

log::v1::Entry RegisterEntry(const std::string& service, int port) {
  log::v1::Entry entry;
  catalog::v1::Register& change = *entry.add_commands()->mutable_register_();
  change.mutable_node()->set_name("alpha");
  change.mutable_node()->set_address("10.0.0.1");
  catalog::v1::Service& added = *change.add_services();
  added.set_name(service);
  added.set_port(static_cast<uint32_t>(port));
  return entry;
}

// What an image holds, whatever order its records stand in.
std::vector<std::string> ContentsOf(const std::string& image) {
  std::vector<std::string> contents;
  EXPECT_TRUE(ReadImageFile(AsOctets(image), [&contents](std::string_view block) {
                catalog::v1::ImageChunk chunk;
                const bool info = contents.empty();
                if (info || !chunk.ParseFromArray(block.data(), static_cast<int>(block.size()))) {
                  contents.emplace_back(block);
                }
                for (const auto& record : chunk.records()) {
                  contents.push_back(record.SerializeAsString());
                }
                return absl::OkStatus();
              }).ok());
  std::sort(contents.begin(), contents.end());
  return contents;
}

// A server: a log that is applied, and the stream of it.
class Server {
 public:
  explicit Server(std::string cluster_id = "cluster-1")
      : stream("dc1", [this](CatalogStream::ImageDone done) { image_wanted = std::move(done); }) {
    log::v1::Entry first;
    first.set_cluster_id(cluster_id);
    stream.SetClusterId(cluster_id);
    stream.OnRestored(1);
    Apply(first);
  }
  void Apply(const log::v1::Entry& entry) {
    ++index;
    ASSERT_TRUE(state.Apply(index, entry).ok());
    state.Publish();
    const std::string octets = EncodeEntry(entry);
    stream.OnApplied(index, AsOctets(octets));
    stream.Wake();
  }
  void MakeImage() {
    ASSERT_TRUE(image_wanted);
    std::exchange(image_wanted,
                  nullptr)(CatalogStream::Image{.index = index, .parts = state.TakeImage(0, 0)()});
  }
  void Pulse() {
    peer::v1::Pulse pulse;
    pulse.set_index(index);
    stream.SetPulse(pulse);
    stream.Wake();
  }

  uint64_t index = 1;
  StateMachine state{"dc1"};
  CatalogStream::ImageDone image_wanted;
  CatalogStream stream;
};

// A follower, and its connection to a server.
class Client {
 public:
  void Connect(Server& server) {
    connection.reset();
    ready = 0;
    auto begun = server.stream.Follow(follower.Begin(), [this] { ++ready; });
    ASSERT_TRUE(begun.ok()) << begun.status();
    connection = *std::move(begun);
  }
  // Takes one message; false if there is none.
  bool Step() {
    const std::vector<SharedOctets> next = connection->Next();
    if (next.empty()) return false;
    std::string joined;
    for (const SharedOctets& octets : next) joined += *octets;
    peer::v1::FollowResponse response;
    EXPECT_TRUE(response.ParseFromString(joined));
    const absl::Status taken = follower.Take(response);
    EXPECT_TRUE(taken.ok()) << taken;
    if (follower.has_unpublished()) follower.Publish();
    return true;
  }
  void Run() {
    while (Step()) {
    }
  }
  std::vector<std::string> Image() {
    std::string image;
    for (const std::string& part : follower.TakeImage(0)()) image += part;
    return ContentsOf(image);
  }

  CatalogFollower follower{"dc1", "client-1"};
  std::unique_ptr<CatalogStream::Follower> connection;
  int ready = 0;
};

std::vector<std::string> ImageOf(Server& server) {
  std::string image;
  for (const std::string& part : server.state.TakeImage(0, 0)()) image += part;
  return ContentsOf(image);
}

TEST(CatalogStream, AFollowerHasTheCatalogAndThenEveryChange) {
  Server server;
  server.Apply(RegisterEntry("before", 1));
  Client client;
  client.Connect(server);
  client.Run();
  EXPECT_FALSE(client.follower.has_catalog());
  server.MakeImage();
  EXPECT_GT(client.ready, 0) << "told that the image is there";
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(server));
  client.ready = 0;
  server.Apply(RegisterEntry("after", 2));
  EXPECT_EQ(client.ready, 1);
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(server));
  EXPECT_EQ(client.follower.index(), server.index);
  EXPECT_EQ(client.follower.counters().images, 1u);
}

TEST(CatalogStream, AFollowerThatComesBackGoesOnWhereItWas) {
  Server server;
  Client client;
  client.Connect(server);
  client.Run();
  server.MakeImage();
  client.Run();
  client.connection.reset();
  server.Apply(RegisterEntry("meanwhile", 1));
  client.Connect(server);
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(server));
  EXPECT_EQ(client.follower.counters().images, 1u);
  EXPECT_EQ(server.stream.counters().resumed, 1u);
}

TEST(CatalogStream, AServerThatIsBehindTellsNothingUntilItHasCaughtUp) {
  Server ahead, behind;
  Client client;
  client.Connect(ahead);
  client.Run();
  ahead.MakeImage();
  ahead.Apply(RegisterEntry("web", 1));
  client.Run();
  client.Connect(behind);
  client.Run();
  EXPECT_FALSE(behind.image_wanted);
  behind.Apply(RegisterEntry("web", 1));
  behind.Apply(RegisterEntry("db", 2));
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(behind));
}

TEST(CatalogStream, WhoIsOfAnotherClusterGetsTheWholeAnew) {
  Server one("cluster-1"), two("cluster-2");
  two.Apply(RegisterEntry("other", 9));
  Client client;
  client.Connect(one);
  client.Run();
  one.MakeImage();
  client.Run();
  client.Connect(two);
  client.Run();
  two.MakeImage();
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(two));
  EXPECT_EQ(client.follower.cluster_id(), "cluster-2");
}

TEST(CatalogStream, WhoIsSlowIsNotBufferedForButGetsTheWholeAnew) {
  Server server;
  Client client;
  client.Connect(server);
  client.Run();
  server.MakeImage();
  client.Run();
  log::v1::Entry large = RegisterEntry("web", 1);
  large.mutable_commands(0)->mutable_register_()->add_checks()->set_id("c");
  large.mutable_commands(0)->mutable_register_()->mutable_checks(0)->set_output(
      std::string(ChangeRing::kOctetsMax / 8, 'x'));
  for (int i = 0; i < 10; ++i) server.Apply(large);
  EXPECT_LE(server.stream.counters().ring_octets, ChangeRing::kOctetsMax);
  client.Run();
  EXPECT_EQ(server.stream.counters().left_behind, 1u);
  server.MakeImage();
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(server));
}

TEST(CatalogStream, OneImageIsMadeForAllWhoNeedIt) {
  Server server;
  Client clients[3];
  for (Client& client : clients) {
    client.Connect(server);
    client.Run();
  }
  server.MakeImage();
  EXPECT_FALSE(server.image_wanted);
  server.Apply(RegisterEntry("web", 1));
  for (Client& client : clients) {
    client.Run();
    EXPECT_EQ(client.Image(), ImageOf(server));
  }
  EXPECT_EQ(server.stream.counters().images_made, 1u);
}

TEST(CatalogStream, ChangesMadeHereGoWhenAServerIsFollowedAgain) {
  Server server;
  Client client;
  client.Connect(server);
  client.Run();
  server.MakeImage();
  client.Run();
  EXPECT_TRUE(client.follower.ApplyHere(RegisterEntry("own", 1).commands(0)).ok());
  client.follower.Publish();
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(client.follower.published());
    EXPECT_NE(snapshot->FindService("own"), nullptr);
  }
  server.Apply(RegisterEntry("web", 1));
  client.Connect(server);
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(server));
}

TEST(CatalogStream, AServerThatKnowsLessTakesNobodyBack) {
  Server server, restarted(""), behind;
  Client client;
  client.Connect(server);
  server.Apply(RegisterEntry("web", 1));
  client.Run();
  server.MakeImage();
  client.Run();
  const std::vector<std::string> before = client.Image();
  // With nothing yet, it does not even know of which cluster it is.
  client.Connect(restarted);
  client.Run();
  EXPECT_FALSE(restarted.image_wanted);
  EXPECT_EQ(client.Image(), before);
  // Nor when the follower has to have the whole anew, until it is as new as what that has.
  EXPECT_TRUE(client.follower.ApplyHere(RegisterEntry("own", 1).commands(0)).ok());
  client.follower.Publish();
  client.Connect(behind);
  client.Run();
  EXPECT_FALSE(behind.image_wanted);
  behind.Apply(RegisterEntry("web", 1));
  EXPECT_GT(client.ready, 0);
  client.Run();
  behind.MakeImage();
  client.Run();
  EXPECT_EQ(client.Image(), before);
}

TEST(CatalogStream, WhoWantsPulsesAloneGetsNothingElse) {
  Server server;
  peer::v1::FollowRequest request;
  request.set_datacenter("dc1");
  request.set_pulses_only(true);
  int ready = 0;
  const auto follower = *server.stream.Follow(request, [&ready] { ++ready; });
  server.Apply(RegisterEntry("web", 1));
  EXPECT_TRUE(follower->Next().empty());
  server.Pulse();
  EXPECT_EQ(ready, 1);
  const std::vector<SharedOctets> next = follower->Next();
  ASSERT_EQ(next.size(), 1u);
  peer::v1::FollowResponse response;
  ASSERT_TRUE(response.ParseFromString(*next[0]));
  EXPECT_EQ(response.pulse().index(), server.index);
  EXPECT_EQ(response.changes_size(), 0);
  server.Apply(RegisterEntry("web", 2));
  EXPECT_TRUE(follower->Next().empty());
  EXPECT_FALSE(server.image_wanted) << "no image is made for it";
}

TEST(CatalogStream, OneOfAnotherDatacenterIsRefused) {
  Server server;
  peer::v1::FollowRequest request;
  request.set_datacenter("dc2");
  EXPECT_TRUE(absl::IsFailedPrecondition(server.stream.Follow(request, [] {}).status()));
  EXPECT_EQ(server.stream.counters().followers, 0u);
}

TEST(CatalogStream, AtItsBoundFurtherFollowersAreRefused) {
  Server server;
  peer::v1::FollowRequest request;
  request.set_datacenter("dc1");
  std::vector<std::unique_ptr<CatalogStream::Follower>> followers;
  for (size_t i = 0; i < CatalogStream::kFollowersMax; ++i) {
    followers.push_back(*server.stream.Follow(request, [] {}));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(server.stream.Follow(request, [] {}).status()));
  followers.pop_back();
  EXPECT_TRUE(server.stream.Follow(request, [] {}).ok());
}

TEST(CatalogFollower, DamageIsRefusedAndTheCatalogStaysAsItWas) {
  Server server;
  Client client;
  client.Connect(server);
  client.Run();
  server.MakeImage();
  client.Run();
  const std::vector<std::string> before = client.Image();
  const struct {
    std::string_view shows;
    void (*make)(peer::v1::FollowResponse&);
  } kRows[] = {
      {"an entry that is none",
       [](peer::v1::FollowResponse& response) {
         response.add_changes()->set_index(99);
         response.mutable_changes(0)->set_entry("garbage and more");
       }},
      {"an image that is none",
       [](peer::v1::FollowResponse& response) {
         response.add_image()->set_data("garbage");
         response.mutable_image(0)->set_first(true);
         response.mutable_image(0)->set_last(true);
       }},
  };
  for (const auto& row : kRows) {
    peer::v1::FollowResponse response;
    row.make(response);
    EXPECT_FALSE(client.follower.Take(response).ok()) << row.shows;
    EXPECT_EQ(client.Image(), before) << row.shows;
    EXPECT_EQ(client.follower.Begin().index(), 0u) << row.shows << ": the whole is asked for";
  }
}

// Whatever a follower misses, and however often it changes servers, it comes to have what they
// have.
TEST(CatalogStream, RandomMovesAndChangesEndInTheSameCatalog) {
  const uint64_t seed = SecureRandomU64();
  SCOPED_TRACE(absl::StrFormat("seed %d", seed));
  Random random(seed);
  Server servers[2];
  std::vector<log::v1::Entry> log;
  size_t applied[2] = {0, 0};
  Client client;
  client.Connect(servers[0]);
  const auto advance = [&](int server, size_t to) {
    for (; applied[server] < to; ++applied[server]) servers[server].Apply(log[applied[server]]);
  };
  for (int step = 0; step < 3000; ++step) {
    const auto server = static_cast<int>(random.Below(2));
    switch (random.Below(6)) {
      case 0:
        log.push_back(RegisterEntry(absl::StrFormat("s%d", random.Below(40)),
                                    static_cast<int>(random.Below(1000)) + 1));
        break;
      case 1:
        advance(server, applied[server] +
                            random.Below(static_cast<uint32_t>(log.size() - applied[server] + 1)));
        break;
      case 2:
        if (servers[server].image_wanted) servers[server].MakeImage();
        break;
      case 3:
        if (random.Below(10) == 0) client.Connect(servers[server]);
        break;
      case 4:
        servers[server].Pulse();
        break;
      default:
        client.Step();
    }
  }
  for (const int server : {0, 1}) advance(server, log.size());
  client.Connect(servers[1]);
  client.Run();
  if (servers[1].image_wanted) servers[1].MakeImage();
  client.Run();
  EXPECT_EQ(client.Image(), ImageOf(servers[0]));
  EXPECT_EQ(client.Image(), ImageOf(servers[1]));
}

}  // namespace
}  // namespace pharos::cluster
