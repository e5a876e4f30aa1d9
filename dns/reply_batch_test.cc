#include "dns/reply_batch.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/socket.h"

namespace pharos::dns {
namespace {

// Datagrams between sockets of the loopback are there when sendmmsg returns.
struct Peer {
  Peer() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), owned(fd) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    socklen_t octets = sizeof address;
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &octets), 0);
  }

  // All that came, sorted: the order of replies is not promised.
  std::vector<std::string> ReceiveAll() const {
    std::vector<std::string> all;
    std::vector<char> room(65536);
    ssize_t octets;
    while ((octets = recv(fd, room.data(), room.size(), 0)) >= 0) {
      all.emplace_back(room.data(), static_cast<size_t>(octets));
    }
    std::ranges::sort(all);
    return all;
  }

  int fd;
  Socket owned;
  sockaddr_storage address{};
};

class ReplyBatchTest : public testing::Test {
 protected:
  void Add(const Peer& to, const std::string& text) {
    const MutableOctets room = batch_.Room();
    std::ranges::copy(text, room.begin());
    batch_.Add({&to.address, sizeof(sockaddr_in), {}}, text.size());
  }

  Peer server_;
  SendCounters counters_;
  ReplyBatch batch_{server_.fd, counters_};
};

TEST_F(ReplyBatchTest, EachClientGetsEachOfItsRepliesAsADatagram) {
  // Which ports the kernel picks decides whether two of the three kinds of replies share a place in
  // the table, which keeps them from being merged: one time in forty.
  uint64_t merged = 0;
  for (int tries = 0; tries < 10 && merged != 40; ++tries) {
    Peer a, b;
    std::vector<std::string> to_a, to_b;
    for (int i = 10; i < 30; ++i) {
      const std::string number = std::to_string(i);
      to_a.push_back("same size " + number);
      Add(a, to_a.back());
      // Every third of another size, so that sizes and clients are mixed.
      to_b.push_back((i % 3 == 0 ? "another size " : "one size ") + number);
      Add(b, to_b.back());
    }
    const uint64_t sent = counters_.sent.value(), merged_before = counters_.merged.value();
    batch_.Flush();
    std::ranges::sort(to_b);
    EXPECT_EQ(a.ReceiveAll(), to_a);
    EXPECT_EQ(b.ReceiveAll(), to_b);
    EXPECT_EQ(counters_.sent.value() - sent, 40u);
    merged = counters_.merged.value() - merged_before;
  }
  EXPECT_EQ(merged, 40u) << "every reply had another of its size and client";
  EXPECT_EQ(counters_.send_failed.value(), 0u);
}

TEST_F(ReplyBatchTest, RepliesThatHaveNoneLikeThemLeaveAlone) {
  std::vector<Peer> peers(20);
  for (const Peer& peer : peers) Add(peer, "hello");
  Add(peers[0], "hello, hello");
  const std::string large(ReplyBatch::kSegmentOctetsMax + 1, 'x');
  Add(peers[1], large);
  Add(peers[1], large);
  batch_.Flush();
  EXPECT_EQ(peers[0].ReceiveAll(), (std::vector<std::string>{"hello", "hello, hello"}));
  EXPECT_EQ(peers[1].ReceiveAll(), (std::vector<std::string>{"hello", large, large}));
  for (size_t i = 2; i < peers.size(); ++i) {
    EXPECT_EQ(peers[i].ReceiveAll(), std::vector<std::string>{"hello"});
  }
  EXPECT_EQ(counters_.merged.value(), 0u);
  EXPECT_EQ(counters_.sent.value(), 23u);
}

TEST_F(ReplyBatchTest, AFullBatchLeavesByItself) {
  const Peer peer;
  for (size_t i = 0; i < 2 * ReplyBatch::kMax + 1; ++i) Add(peer, "hello");
  EXPECT_EQ(counters_.sent.value(), 2 * ReplyBatch::kMax);
  batch_.Flush();
  EXPECT_EQ(peer.ReceiveAll().size(), 2 * ReplyBatch::kMax + 1);
  // Room goes to the end of a datagram for each reply, however large the ones before were.
  const std::string large(60000, 'x');
  for (int i = 0; i < 10; ++i) Add(peer, large);
  batch_.Flush();
  EXPECT_EQ(counters_.sent.value(), 2 * ReplyBatch::kMax + 11);
}

TEST_F(ReplyBatchTest, WhatCannotBeSentDoesNotKeepTheOthersBack) {
  const Peer peer;
  Peer nowhere;
  // Port 0 is no address to send to.
  reinterpret_cast<sockaddr_in&>(nowhere.address).sin_port = 0;
  Add(peer, "first");
  Add(nowhere, "lost");
  Add(nowhere, "gone");
  Add(peer, "third");
  batch_.Flush();
  EXPECT_EQ(peer.ReceiveAll(), (std::vector<std::string>{"first", "third"}));
  EXPECT_EQ(counters_.send_failed.value(), 2u);
}

}  // namespace
}  // namespace pharos::dns
