// How servers find each other and begin a cluster, by asking one another at the addresses they were
// told (retry_join) and at those they learn. Pure: answers and times come in, whom to ask and what
// to do comes out.
//
// Servers that expect a number of others begin a cluster when that many, all blank and of the same
// expectation, know each other: the one with the lowest Raft id begins it alone and takes the
// others in. Before it does, as many as it needs must give it their word to begin none with anybody
// else, so that two overlapping groups cannot both begin.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/peer.pb.h"

namespace pharos::cluster {

class Joining {
 public:
  // What this server is at the moment.
  struct Own {
    bool started = false;    // Its engine runs.
    bool has_state = false;  // It has a Raft configuration.
    bool is_member = false;  // It is part of that.
    std::string cluster_id;  // Empty: of no cluster yet.
    uint64_t leader = 0;
    std::vector<peer::v1::Server> known;
  };
  struct Ask {
    std::string address;
    bool claim = false;
  };
  enum class Verdict {
    kWait,
    kStart,      // Start, and be taken in by others.
    kBootstrap,  // Begin a cluster.
  };

  static constexpr uint64_t kAskMs = 1'000;         // While it is no member.
  static constexpr uint64_t kAskMemberMs = 10'000;  // To learn of others.
  static constexpr uint64_t kFreshMs = 5'000;       // An older answer counts no more.
  static constexpr uint64_t kWordMs = 30'000;       // For so long a word given is kept.

  // `join` are addresses as gRPC takes them. `bootstrap`: it begins a cluster without asking.
  Joining(peer::v1::Server self, std::vector<std::string> join, bool bootstrap)
      : self_(std::move(self)), join_(std::move(join)), bootstrap_(bootstrap) {}

  // Whom to ask now.
  std::vector<Ask> Due(uint64_t now_ms, const Own& own);
  void OnAnswer(uint64_t now_ms, const std::string& address,
                const peer::v1::IntroduceResponse& answer);
  Verdict Decide(uint64_t now_ms, const Own& own) const;
  // The answer to another server that asks.
  peer::v1::IntroduceResponse Answer(uint64_t now_ms, const Own& own,
                                     const peer::v1::IntroduceRequest& request);

 private:
  struct Heard {
    uint64_t at_ms = 0;
    peer::v1::Server server;
    bool blank = false;
    bool in_cluster = false;
    bool word = false;  // It gave us its word.
  };
  bool IsFresh(uint64_t now_ms, const Heard& heard) const {
    return now_ms - heard.at_ms < kFreshMs;
  }
  // The blank servers that this one would begin a cluster with are enough, and it is to begin it.
  bool IsFirst(uint64_t now_ms) const;
  bool GaveWord(uint64_t now_ms) const { return word_to_ != 0 && now_ms - word_ms_ < kWordMs; }

  const peer::v1::Server self_;
  const std::vector<std::string> join_;
  const bool bootstrap_;
  uint64_t asked_ms_ = 0;
  bool asked_ = false;
  std::map<uint64_t, Heard> heard_;      // By Raft id; at most as many as there are servers.
  std::map<std::string, uint64_t> ids_;  // By address: who answered there.
  uint64_t word_to_ = 0, word_ms_ = 0;
};

}  // namespace pharos::cluster
