#include "agent/gossip.h"

#include <algorithm>
#include <latch>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/version.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/gossip/coordinate.h"
#include "cluster/gossip_tags.h"

namespace pharos::agent {
namespace {

using gossip::Member;
using gossip::Pool;
using gossip::PoolOptions;
using gossip::Tags;

constexpr absl::Duration kPublishEvery = absl::Seconds(2);
constexpr absl::Duration kFloodEvery = absl::Minutes(1);

// As Consul's agents have them, but for the role.
Tags MakeTags(const Config& config, const std::string& node_id) {
  Tags tags = {{cluster::kRoleTag, cluster::kRole},
               {"acls", "0"},
               {"build", std::string(kVersion) + ":"},
               {"dc", config.datacenter},
               {"id", node_id},
               {"segment", ""},
               {"vsn", "2"},
               {"vsn_max", "3"},
               {"vsn_min", "2"}};
  if (!config.server) return tags;
  tags[cluster::kServerTag] = "1";
  tags["port"] = absl::StrCat(config.ports.server);
  tags["raft_vsn"] = "3";
  if (config.ports.serf_wan > 0) tags["wan_join_port"] = absl::StrCat(config.ports.serf_wan);
  if (config.bootstrap) tags["bootstrap"] = "1";
  if (config.bootstrap_expect > 0) tags["expect"] = absl::StrCat(config.bootstrap_expect);
  return tags;
}

PoolOptions MakeOptions(const Config& config, const PoolConfig& pool, const std::string& name,
                        const std::string& file) {
  PoolOptions options;
  options.log_component =
      absl::StrCat(config.server ? "agent.server.serf." : "agent.client.serf.", name);
  options.serf.profile = pool.profile;
  options.serf.reconnect_timeout = pool.reconnect_timeout;
  options.allowed = pool.allowed;
  options.encrypt_key = config.gossip.encrypt;
  options.verify_incoming = config.gossip.verify_incoming;
  options.verify_outgoing = config.gossip.verify_outgoing;
  options.rejoin_after_leave = config.gossip.rejoin_after_leave;
  options.start_join = pool.start_join;
  options.retry_join = pool.retry_join;
  options.retry_interval = pool.retry_interval;
  options.retry_max = pool.retry_max;
  if (!config.data_dir.empty()) {
    const std::string base = absl::StrCat(config.data_dir, "/serf/", file);
    options.snapshot_path = base + ".snapshot";
    if (config.gossip.keep_keys) options.keyring_path = base + ".keyring";
  }
  return options;
}

bool IsServer(const Member& member) {
  return member.Tag(cluster::kRoleTag) == cluster::kRole && member.Tag(cluster::kServerTag) == "1";
}

}  // namespace

PoolOptions MakeLanOptions(const Config& config, const std::string& node_id) {
  PoolOptions options = MakeOptions(config, config.gossip.lan, "lan", "local");
  const auto port = static_cast<uint16_t>(config.ports.serf_lan);
  options.bind = {config.gossip.lan.bind, port};
  options.advertise = {config.advertise_addr, port};
  options.default_port = port;
  options.serf.name = config.node_name;
  options.serf.tags = MakeTags(config, node_id);
  options.serf.why_not_admitted = [datacenter = config.datacenter](const std::string&,
                                                                   const Tags& tags) {
    // Agents say where they are; members of other programs that do not may be in the pool.
    const auto dc = tags.find("dc");
    const auto role = tags.find(cluster::kRoleTag);
    const bool agent = role != tags.end() && (role->second == cluster::kRole ||
                                              role->second == "consul" || role->second == "node");
    if (!agent || (dc != tags.end() && dc->second == datacenter)) return std::string();
    return absl::StrCat("it is of the datacenter \"", dc == tags.end() ? "" : dc->second,
                        "\"; expected \"", datacenter, "\"");
  };
  return options;
}

PoolOptions MakeWanOptions(const Config& config, const std::string& node_id) {
  PoolOptions options = MakeOptions(config, config.gossip.wan, "wan", "remote");
  const auto port = static_cast<uint16_t>(config.ports.serf_wan);
  options.bind = {config.gossip.wan.bind, port};
  options.advertise = {config.advertise_addr_wan, port};
  options.default_port = port;
  options.serf.name = absl::StrCat(config.node_name, ".", config.datacenter);
  options.serf.tags = MakeTags(config, node_id);
  options.serf.why_not_admitted = [](const std::string&, const Tags& tags) {
    const auto port_tag = tags.find("port");
    int number = 0;
    const bool server = port_tag != tags.end() && absl::SimpleAtoi(port_tag->second, &number);
    return server ? std::string() : std::string("it is no server, and only those are in this pool");
  };
  return options;
}

absl::StatusOr<std::unique_ptr<Gossip>> Gossip::Start(const Config& config,
                                                      const std::string& node_id,
                                                      const Events& events) {
  if (config.ports.serf_lan <= 0) return nullptr;
  std::unique_ptr<Gossip> gossip(new Gossip);
  gossip->loop_ = std::make_unique<Loop>("gossip");
  RETURN_IF_ERROR(gossip->StartPools(config, node_id, events));
  return gossip;
}

absl::Status Gossip::StartPools(const Config& config, const std::string& node_id,
                                const Events& events) {
  if (!config.data_dir.empty()) RETURN_IF_ERROR(CreateDirectories(config.data_dir + "/serf"));
  datacenter_ = config.datacenter;
  on_servers_ = events.servers;
  is_leader_ = events.is_leader;
  ASSIGN_OR_RETURN(
      lan_, Pool::Start(*loop_, MakeLanOptions(config, node_id),
                        {.member =
                             [this, member = events.member](const gossip::MemberEvent& event) {
                               member(event);
                               newcomers_ |= event.kind == gossip::MemberEvent::Kind::kJoin;
                               const bool server = IsServer(event.member);
                               // Not at once: this is a call of the pool itself.
                               if (server && publish_timer_ != nullptr) {
                                 loop_->Post([this] {
                                   TellServers();
                                   Flood();
                                 });
                               }
                             },
                         .user_event = events.user_event,
                         .failed = events.failed}));
  if (config.server && config.ports.serf_wan > 0) {
    ASSIGN_OR_RETURN(
        wan_, Pool::Start(*loop_, MakeWanOptions(config, node_id), {.member = events.wan_member}));
    distance_ = events.distance;
  }
  loop_->PostAndWait([this] {
    publish_timer_ = std::make_unique<LoopTimer>(loop_->uv());
    publish_timer_->Every(kPublishEvery, [this] {
      Publish();
      TellServers();
      TeachKeys();
    });
    Publish();
    TellServers();
    if (wan_ == nullptr) return;
    flood_timer_ = std::make_unique<LoopTimer>(loop_->uv());
    flood_timer_->Every(kFloodEvery, [this] { Flood(); });
  });
  return absl::OkStatus();
}

Gossip::~Gossip() {
  if (loop_ == nullptr) return;
  loop_->PostAndWait([this] {
    publish_timer_.reset();
    flood_timer_.reset();
  });
  wan_.reset();
  lan_.reset();
  loop_->Stop();
}

void Gossip::ReadMembers(Pool& pool, std::function<void(std::vector<Member>)> done) {
  pool.loop().Post([&pool, done = std::move(done)] {
    std::vector<Member> members;
    members.reserve(pool.serf().members().size());
    for (const auto& [name, member] : pool.serf().members()) members.push_back(member);
    done(std::move(members));
  });
}

void Gossip::Leave() {
  std::latch left(2);
  for (Pool* const pool : {wan_.get(), lan_.get()}) {
    const bool posted = pool != nullptr &&
                        loop_->Post([pool, &left] { pool->Leave([&left] { left.count_down(); }); });
    if (!posted) left.count_down();
  }
  left.wait();
}

std::shared_ptr<const Coordinates> Gossip::coordinates() const {
  const std::lock_guard lock(mutex_);
  return coordinates_;
}

void Gossip::SetCoordinate(const std::string& node, const gossip::Coordinate& coordinate) {
  const std::lock_guard lock(mutex_);
  std::string key = node;
  absl::AsciiStrToLower(&key);
  if (other_coordinates_.size() >= kOtherCoordinatesMax && !other_coordinates_.contains(key)) {
    return;
  }
  other_coordinates_[key] = coordinate;
}

std::shared_ptr<const Coordinates> Gossip::ReadCoordinates() const {
  const gossip::Serf& serf = lan_->serf();
  auto coordinates = std::make_shared<Coordinates>(other_coordinates_);
  const auto add = [&](std::string name, const gossip::Coordinate& coordinate) {
    absl::AsciiStrToLower(&name);
    (*coordinates)[name] = coordinate;
  };
  for (const auto& [name, coordinate] : serf.member_coordinates()) add(name, coordinate);
  add(serf.self().name, serf.coordinate());
  return coordinates;
}

void Gossip::Publish() {
  std::vector<PoolFigures> figures = {ReadFigures("lan", *lan_)};
  if (wan_ != nullptr) figures.push_back(ReadFigures("wan", *wan_));
  TellDistances();
  const std::lock_guard lock(mutex_);
  figures_ = std::move(figures);
  coordinates_ = ReadCoordinates();
}

void Gossip::TellServers() {
  std::vector<PoolServer> servers;
  for (const auto& [name, member] : lan_->serf().members()) {
    const bool left = member.status == gossip::MemberStatus::kLeft;
    const bool alive = member.status == gossip::MemberStatus::kAlive;
    uint32_t port = 0;
    if (!(left || alive) || !IsServer(member) || member.Tag("dc") != datacenter_) continue;
    if (!absl::SimpleAtoi(member.Tag("port"), &port) || port > 65535) continue;
    const SocketAddress address{member.address.ip, static_cast<uint16_t>(port)};
    servers.push_back({.address = address.ToString(), .node_id = member.Tag("id"), .left = left});
  }
  on_servers_(servers);
}

void Gossip::TeachKeys() {
  if (!std::exchange(newcomers_, false) || !is_leader_()) return;
  const std::vector<std::string> keys = lan_->keyring().keys();
  if (keys.size() < 2) return;
  for (const std::string& key : keys) {
    lan_->Run([&key](gossip::Serf& serf, absl::Time now) {
      const auto log = [](const gossip::KeyOutcome& outcome) {
        if (outcome.status().ok()) return;
        PHAROS_LOG(kWarn, "agent.server", "Not every node has each key of the pool: %s",
                   std::string(outcome.status().message()));
      };
      serf.StartKeyOperation(gossip::KeyOperation::kInstall, key, 0, log, now);
    });
  }
}

void Gossip::TellDistances() const {
  if (wan_ == nullptr || !distance_) return;
  const gossip::Serf& serf = wan_->serf();
  // To its nearest server, as that is how near it can be had.
  std::map<std::string, absl::Duration> nearest;
  for (const auto& [name, coordinate] : serf.member_coordinates()) {
    const auto member = serf.members().find(name);
    if (member == serf.members().end()) continue;
    const absl::Duration round_trip = gossip::EstimateRoundTrip(serf.coordinate(), coordinate);
    const auto [at, added] = nearest.emplace(member->second.Tag("dc"), round_trip);
    if (!added) at->second = std::min(at->second, round_trip);
  }
  for (const auto& [datacenter, round_trip] : nearest) distance_(datacenter, round_trip);
}

std::vector<PoolFigures> Gossip::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void Gossip::Flood() {
  if (wan_ == nullptr || lan_ == nullptr) return;
  std::vector<std::string> addresses;
  for (const auto& [name, member] : lan_->serf().members()) {
    if (member.status != gossip::MemberStatus::kAlive || !IsServer(member)) continue;
    const std::string wan_name = absl::StrCat(name, ".", datacenter_);
    const auto known = wan_->serf().members().find(wan_name);
    if (known != wan_->serf().members().end() &&
        known->second.status == gossip::MemberStatus::kAlive) {
      continue;
    }
    uint32_t port = 0;
    if (!absl::SimpleAtoi(member.Tag("wan_join_port"), &port) || port > 65535) continue;
    const SocketAddress address{member.address.ip, static_cast<uint16_t>(port)};
    addresses.push_back(absl::StrCat(wan_name, "/", address.ToString()));
  }
  if (addresses.empty()) return;
  wan_->Join(std::move(addresses), [](int, const std::map<std::string, std::string>& errors) {
    for (const auto& [address, why] : errors) {
      PHAROS_LOG(kWarn, "agent.server", "Cannot bring a server into the WAN pool: %s", why);
    }
  });
}

}  // namespace pharos::agent
