// Pools on real sockets of the loopback, on ports that the kernel picks.
#include "cluster/gossip/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <condition_variable>
#include <latch>
#include <mutex>

#include "absl/strings/str_format.h"

namespace pharos::gossip {
namespace {

using testing::HasSubstr;

const IpAddress kLoopback = IpAddress::V4({127, 0, 0, 1});
constexpr std::chrono::seconds kPatience{20};

// What a pool told, for a thread that waits for it.
class Journal {
 public:
  PoolEvents Events() {
    return {
        .member =
            [this](const MemberEvent& event) {
              static constexpr const char* kNames[] = {"join", "update", "leave", "fail", "reap"};
              Add(absl::StrFormat("%s %s", kNames[static_cast<int>(event.kind)],
                                  event.member.name));
            },
        .user_event = [this](const UserEvent& event) { Add("event " + event.name); },
        .failed = [this](const absl::Status& why) { Add("failed " + std::string(why.message())); }};
  }
  void Add(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  bool WaitFor(const std::string& line) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

PoolOptions OptionsOf(const std::string& name, const std::string& key = "") {
  PoolOptions options;
  options.bind = {kLoopback, 0};
  options.advertise = {kLoopback, 0};
  options.serf.name = name;
  options.serf.profile = Profile::Local();
  options.serf.profile.gossip_interval = absl::Milliseconds(20);
  options.serf.leave_propagate_delay = absl::Milliseconds(100);
  options.encrypt_key = key;
  return options;
}

std::string AddressOf(const Pool& pool) { return pool.address().ToString(); }

struct Joined {
  int count = 0;
  std::map<std::string, std::string> errors;
};

Joined Join(Pool& pool, const std::vector<std::string>& addresses) {
  Joined joined;
  std::latch done(1);
  pool.loop().Post([&] {
    pool.Join(addresses, [&](int count, const auto& errors) {
      joined = {count, errors};
      done.count_down();
    });
  });
  done.wait();
  return joined;
}

const std::string kKeyA = FormatKey(std::string(32, 'a'));
const std::string kKeyB = FormatKey(std::string(32, 'b'));

TEST(Pool, OfTwoIsJoinedToldAndLeft) {
  Loop loop("gossip");
  Journal a_journal, b_journal;
  auto a = *Pool::Start(loop, OptionsOf("a", kKeyA), a_journal.Events());
  auto b = *Pool::Start(loop, OptionsOf("b", kKeyA), b_journal.Events());
  EXPECT_NE(a->address().port, 0);
  EXPECT_EQ(Join(*b, {AddressOf(*a)}).count, 1);
  EXPECT_TRUE(a_journal.WaitFor("join b"));
  EXPECT_TRUE(b_journal.WaitFor("join a"));
  loop.Post([&] {
    a->Run([](Serf& serf, absl::Time now) {
      EXPECT_TRUE(serf.FireEvent("deploy", "x", false, now).ok());
    });
  });
  EXPECT_TRUE(b_journal.WaitFor("event deploy"));
  std::latch left(1);
  loop.Post([&] { b->Leave([&] { left.count_down(); }); });
  left.wait();
  EXPECT_TRUE(a_journal.WaitFor("leave b"));
}

TEST(Pool, SaysWhyAJoinFails) {
  Loop loop("gossip");
  Journal journal;
  auto a = *Pool::Start(loop, OptionsOf("a", kKeyA), journal.Events());
  auto b = *Pool::Start(loop, OptionsOf("b", kKeyB), journal.Events());
  const Joined joined = Join(*b, {AddressOf(*a), "no.such.name.invalid:1", "provider=aws", "[::1"});
  EXPECT_EQ(joined.count, 0);
  EXPECT_EQ(joined.errors.size(), 4u);
  EXPECT_THAT(joined.errors.at(AddressOf(*a)), HasSubstr("Failed to join 127.0.0.1:"));
  EXPECT_THAT(joined.errors.at("no.such.name.invalid:1"), HasSubstr("Failed to resolve"));
}

TEST(Pool, RetriesUntilSomebodyIsThere) {
  Loop loop("gossip");
  Journal a_journal, b_journal;
  // Holds a port that nobody listens on until `a` does.
  auto a = *Pool::Start(loop, OptionsOf("a"), a_journal.Events());
  const SocketAddress address = a->address();
  a.reset();
  PoolOptions options = OptionsOf("b");
  options.retry_join = {address.ToString()};
  auto b = *Pool::Start(loop, std::move(options), b_journal.Events());
  PoolOptions again = OptionsOf("a");
  again.bind = address;
  absl::StatusOr<std::unique_ptr<Pool>> back =
      Pool::Start(loop, std::move(again), a_journal.Events());
  if (!back.ok()) GTEST_SKIP() << "somebody else took the port: " << back.status();
  EXPECT_TRUE(b_journal.WaitFor("join a"));
}

TEST(Pool, GivesUpAfterTheAttemptsThatItIsGiven) {
  Loop loop("gossip");
  Journal journal;
  PoolOptions options = OptionsOf("a");
  options.retry_join = {"provider=none"};
  options.retry_interval = absl::Milliseconds(10);
  options.retry_max = 3;
  const auto a = *Pool::Start(loop, std::move(options), journal.Events());
  EXPECT_TRUE(
      journal.WaitFor("failed no agent of retry_join was joined in 3 attempts (retry_max)"));
}

TEST(Pool, SurvivesWhatIsThrownAtItsPorts) {
  Loop loop("gossip");
  Journal a_journal, b_journal;
  auto a = *Pool::Start(loop, OptionsOf("a"), a_journal.Events());
  sockaddr_storage storage;
  const socklen_t size = a->address().ToSockaddr(storage);
  const Socket udp(socket(AF_INET, SOCK_DGRAM, 0));
  for (int length = 0; length < 64; ++length) {
    std::string octets(static_cast<size_t>(length), '\x07');
    if (length > 1) octets[1] = '\xff';
    EXPECT_EQ(sendto(udp.fd(), octets.data(), octets.size(), 0,
                     reinterpret_cast<sockaddr*>(&storage), size),
              length);
  }
  for (const std::string octets : {"", "\x06", "\xff", "GET / HTTP/1.1\r\n\r\n", "\x0a\xff\xff"}) {
    const Socket tcp(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(tcp.fd(), reinterpret_cast<sockaddr*>(&storage), size), 0);
    EXPECT_EQ(send(tcp.fd(), octets.data(), octets.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(octets.size()));
  }
  auto b = *Pool::Start(loop, OptionsOf("b"), b_journal.Events());
  EXPECT_EQ(Join(*b, {AddressOf(*a)}).count, 1);
}

TEST(Pool, SaysWhatItCannotListenOn) {
  Loop loop("gossip");
  Journal journal;
  const auto a = *Pool::Start(loop, OptionsOf("a"), journal.Events());
  PoolOptions options = OptionsOf("b");
  options.bind = a->address();
  const auto refused = Pool::Start(loop, std::move(options), journal.Events());
  EXPECT_EQ(std::string(refused.status().message()),
            absl::StrFormat("cannot listen on udp %s: address already in use", AddressOf(*a)));
}

}  // namespace
}  // namespace pharos::gossip
