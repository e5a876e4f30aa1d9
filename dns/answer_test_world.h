// For tests: a small catalog with every kind of record, and questions asked of it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "base/octets.h"
#include "base/random.h"
#include "dns/answer.h"
#include "dns/handler.h"
#include "dns/judge.h"
#include "registry/catalog.h"

namespace pharos::dns {

class AnswerTest : public testing::Test {
 protected:
  AnswerTest();

  void Load(const catalog::v1::Command& command);
  // A batch of commands in text form.
  void LoadText(const std::string& text);
  // A service with so many instances, each with an address of its own.
  void LoadBig(const std::string& name, int count);

  // The reply is in `reply_`.
  Handled HandleRaw(Octets request, Transport transport = Transport::kUdp);
  // What ldns reads in the reply; a failure of the test when there is none.
  Judged Ask(const std::string& name, RrType type, uint16_t edns_octets = 0,
             Transport transport = Transport::kUdp);

  registry::Catalog catalog_{"dc1"};
  uint64_t index_ = 0;
  std::vector<std::unique_ptr<const registry::Snapshot>> snapshots_;
  AnswerConfig config_;
  Random random_{1};
  AnswerScratch scratch_;
  std::vector<ExternalAnswer> external_;
  IpAddress client_ = *IpAddress::Parse("192.0.2.1");
  Query query_;
  std::vector<uint8_t> reply_ = std::vector<uint8_t>(kMessageOctetsMax);
};

// The SOA record of every negative answer from the catalog.
inline constexpr char kSoa[] =
    "consul. 0 IN SOA ns.consul. hostmaster.consul. 1700000000 3600 600 86400 0";

}  // namespace pharos::dns
