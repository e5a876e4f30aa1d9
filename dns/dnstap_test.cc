#include "dns/dnstap.h"

#include <fstrm.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "proto/dnstap.pb.h"

namespace pharos::dns {
namespace {

namespace pb = ::pharos::dnstap::v1;

class FixedAddress : public Listener {
 public:
  void Send(const ReplyPath& /*path*/, Octets /*message*/) override {}
  SocketAddress LocalAddress() const override { return {*IpAddress::Parse("192.0.2.53"), 53}; }
};

// A collector on a Unix socket, by libfstrm's own reader.
class Collector {
 public:
  Collector() {
    std::string pattern = testing::TempDir() + "/dnstap_XXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    listening_ = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    CHECK(bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(listen(listening_, 1) == 0);
  }
  ~Collector() {
    close(listening_);
    std::filesystem::remove_all(folder_);
  }
  std::string path() const { return folder_ + "/socket"; }

  // Takes one connection and reads it to its end.
  std::vector<pb::Dnstap> Collect() {
    int connection = accept(listening_, nullptr, nullptr);
    CHECK(connection >= 0);
    fstrm_rdwr* rdwr = fstrm_rdwr_init(&connection);
    fstrm_rdwr_set_open(rdwr, [](void*) { return fstrm_res_success; });
    fstrm_rdwr_set_close(rdwr,
                         [](void* fd) { return close(*static_cast<int*>(fd)), fstrm_res_success; });
    fstrm_rdwr_set_read(rdwr, [](void* fd, void* target, size_t octets) {
      const ssize_t got = recv(*static_cast<int*>(fd), target, octets, MSG_WAITALL);
      return got == static_cast<ssize_t>(octets) ? fstrm_res_success : fstrm_res_stop;
    });
    fstrm_rdwr_set_write(rdwr, [](void* fd, const iovec* pieces, int count) {
      return writev(*static_cast<int*>(fd), pieces, count) > 0 ? fstrm_res_success
                                                               : fstrm_res_failure;
    });
    fstrm_reader* reader = fstrm_reader_init(nullptr, &rdwr);
    std::vector<pb::Dnstap> frames;
    const uint8_t* data = nullptr;
    size_t octets = 0;
    while (fstrm_reader_read(reader, &data, &octets) == fstrm_res_success) {
      CHECK(frames.emplace_back().ParseFromArray(data, static_cast<int>(octets)));
    }
    fstrm_reader_destroy(&reader);
    return frames;
  }

 private:
  std::string folder_;
  int listening_;
};

ReplyPath PathTo(Listener& listener) {
  ReplyPath path;
  path.listener = &listener;
  path.client = {*IpAddress::Parse("192.0.2.1"), 1234};
  return path;
}

void Tell(QueryObserver& observer, const ReplyPath& path) {
  const std::array<uint8_t, 12> query{0, 7, 1, 0}, reply{0, 7, 0x81, 3};
  const absl::Time asked = absl::FromUnixNanos(1'700'000'000'000'000'042);
  observer.OnQuery(path, query, asked);
  const Query parsed;
  observer.OnAnswered(
      {path, parsed, reply, AnswerSource::kZone, asked, asked + absl::Nanoseconds(900)});
}

TEST(Dnstap, TellsTheCollectorOfQueriesAndReplies) {
  Collector collector;
  std::vector<pb::Dnstap> frames;
  std::thread reading([&] { frames = collector.Collect(); });
  {
    auto dnstap = Dnstap::Start(
        {.socket = collector.path(), .identity = "node-1", .version = "pharos test"}, 1);
    ASSERT_TRUE(dnstap.ok()) << dnstap.status();
    while (!(*dnstap)->counts().connected) std::this_thread::yield();
    FixedAddress listener;
    Tell(*(*dnstap)->MakeObserver(0), PathTo(listener));
  }  // Sends what waits.
  reading.join();
  ASSERT_EQ(frames.size(), 2u);
  for (const pb::Dnstap& frame : frames) {
    EXPECT_EQ(frame.identity(), "node-1");
    EXPECT_EQ(frame.version(), "pharos test");
    EXPECT_EQ(frame.message().socket_family(), pb::Message::SOCKET_FAMILY_INET);
    EXPECT_EQ(frame.message().socket_protocol(), pb::Message::SOCKET_PROTOCOL_UDP);
    EXPECT_EQ(frame.message().query_address(), std::string("\xc0\0\2\1", 4));
    EXPECT_EQ(frame.message().response_address(), std::string("\xc0\0\2\x35", 4));
    EXPECT_EQ(frame.message().query_port(), 1234u);
    EXPECT_EQ(frame.message().response_port(), 53u);
    EXPECT_EQ(frame.message().query_time_sec(), 1'700'000'000u);
    EXPECT_EQ(frame.message().query_time_nsec(), 42u);
  }
  EXPECT_EQ(frames[0].message().type(), pb::Message::TYPE_CLIENT_QUERY);
  EXPECT_EQ(frames[0].message().query_message().size(), 12u);
  EXPECT_FALSE(frames[0].message().has_response_time_sec());
  EXPECT_EQ(frames[1].message().type(), pb::Message::TYPE_CLIENT_RESPONSE);
  EXPECT_EQ(frames[1].message().response_message().size(), 12u);
  EXPECT_EQ(frames[1].message().response_time_nsec(), 942u);
}

TEST(Dnstap, TellsOnlyWhatIsWanted) {
  Collector collector;
  std::vector<pb::Dnstap> frames;
  std::thread reading([&] { frames = collector.Collect(); });
  {
    auto dnstap = Dnstap::Start({.socket = collector.path(), .queries = false}, 1);
    ASSERT_TRUE(dnstap.ok()) << dnstap.status();
    while (!(*dnstap)->counts().connected) std::this_thread::yield();
    FixedAddress listener;
    Tell(*(*dnstap)->MakeObserver(0), PathTo(listener));
  }
  reading.join();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].message().type(), pb::Message::TYPE_CLIENT_RESPONSE);
}

// Without a collector everything is dropped, nothing waits, and all of it is counted.
TEST(Dnstap, DropsAndCountsWhatNobodyTakes) {
  auto dnstap = Dnstap::Start({.socket = "/nowhere/socket"}, 1);
  ASSERT_TRUE(dnstap.ok()) << dnstap.status();
  FixedAddress listener;
  constexpr uint64_t kMany = 50'000;
  const auto observer = (*dnstap)->MakeObserver(0);
  for (uint64_t i = 0; i < kMany; ++i) Tell(*observer, PathTo(listener));
  const auto counted = [&] {
    const DnstapCounts counts = (*dnstap)->counts();
    EXPECT_EQ(counts.sent, 0u);
    return counts.dropped_queue_full + counts.dropped_unconnected;
  };
  while (counted() < 2 * kMany) std::this_thread::yield();
  EXPECT_EQ(counted(), 2 * kMany);
}

}  // namespace
}  // namespace pharos::dns
