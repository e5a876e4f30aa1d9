#include "dns/recent_replies.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dns/judge.h"

namespace pharos::dns {
namespace {

// A reply that repeats the question and says something.
std::vector<uint8_t> MakeReply(const std::vector<uint8_t>& request, size_t extra_octets) {
  std::vector<uint8_t> reply = request;
  reply[2] |= 0x80;
  reply.resize(reply.size() + extra_octets, 0xab);
  return reply;
}

size_t QuestionOctets(const std::vector<uint8_t>& request) {
  return request.size() - kHeaderOctets;
}

class RecentRepliesTest : public testing::Test {
 protected:
  size_t Find(const std::vector<uint8_t>& request, int64_t second) {
    return recent_.Find(request, second, found_).octets;
  }

  RecentReplies recent_;
  std::vector<uint8_t> found_ = std::vector<uint8_t>(RecentReplies::kReplyOctetsMax);
};

TEST_F(RecentRepliesTest, GivesAReplyAgainToTheVerySameQuestionWithinItsSecond) {
  std::vector<uint8_t> request = MakeQuery("www.example.", RrType::kA);
  const std::vector<uint8_t> reply = MakeReply(request, 20);
  EXPECT_EQ(Find(request, 7), 0u);
  recent_.Add(request, QuestionOctets(request), reply, 7);
  ASSERT_EQ(Find(request, 7), reply.size());
  EXPECT_EQ(
      std::vector<uint8_t>(found_.begin(), found_.begin() + static_cast<ptrdiff_t>(reply.size())),
      reply);
  EXPECT_EQ(recent_.Find(request, 7, found_).qtype, RrType::kA);

  const std::vector<uint8_t> upper = MakeQuery("WWW.example.", RrType::kA);
  request = upper;
  request[0] = 0x77;
  ASSERT_EQ(Find(request, 7), reply.size());
  EXPECT_EQ(found_[0], 0x77) << "the id of this request";
  EXPECT_EQ(found_[13], 'W') << "the spelling of this request";

  EXPECT_EQ(Find(upper, 8), 0u) << "a second later";
  EXPECT_EQ(Find(MakeQuery("www.example.", RrType::kAaaa), 7), 0u) << "another type";
  EXPECT_EQ(Find(MakeQuery("www.example.", RrType::kA, 1232), 7), 0u) << "with EDNS";
  std::vector<uint8_t> not_recursive = upper;
  not_recursive[2] = 0;
  EXPECT_EQ(Find(not_recursive, 7), 0u) << "other flags";
  recent_.Clear();
  EXPECT_EQ(Find(upper, 7), 0u);
}

TEST_F(RecentRepliesTest, TakesNeitherLargeRepliesNorOddRequests) {
  const std::vector<uint8_t> request = MakeQuery("www.example.", RrType::kA);
  recent_.Add(request, QuestionOctets(request), MakeReply(request, RecentReplies::kReplyOctetsMax),
              7);
  EXPECT_EQ(Find(request, 7), 0u) << "a large reply";

  const std::vector<uint8_t> reply = MakeReply(request, 20);
  std::vector<uint8_t> pointer = request;
  pointer[12] = 0xc0;
  recent_.Add(pointer, QuestionOctets(request), reply, 7);
  EXPECT_EQ(Find(pointer, 7), 0u) << "a name that is not plain";
  const std::vector<uint8_t> cut(request.begin(), request.end() - 3);
  recent_.Add(cut, QuestionOctets(cut), reply, 7);
  EXPECT_EQ(Find(cut, 7), 0u) << "a question cut short";
  const std::vector<uint8_t> large(RecentReplies::kRequestOctetsMax + 1, 0);
  recent_.Add(large, QuestionOctets(large), reply, 7);
  EXPECT_EQ(Find(large, 7), 0u) << "a large request";
}

}  // namespace
}  // namespace pharos::dns
