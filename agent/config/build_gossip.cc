#include "agent/config/build_gossip.h"

#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/config/address_template.h"
#include "agent/config/template_hint.h"
#include "cluster/gossip/join_address.h"
#include "cluster/gossip/keyring.h"

namespace pharos::agent {
namespace {

constexpr int kCountMax = 1'000'000;
constexpr int kMultiplierMax = 100;
constexpr absl::Duration kIntervalMin = absl::Milliseconds(10);
constexpr absl::Duration kReconnectTimeoutMin = absl::Hours(8);

void BuildBind(const Settings& settings, const std::string& path, const Machine& machine,
               IpAddress& bind) {
  std::string text;
  settings.Read(path, text);
  if (text.empty()) return;
  const absl::StatusOr<std::string> expanded = ExpandAddressTemplates(text, machine.interfaces);
  const std::optional<IpAddress> ip = expanded.ok() ? IpAddress::Parse(*expanded) : std::nullopt;
  if (ip) {
    bind = *ip;
    return;
  }
  settings.Problem(
      path, WithTemplateHint(absl::StrFormat("%s: invalid ip address: %s", path, text), text));
}

void ReadInterval(const Settings& settings, const std::string& path, absl::Duration& target) {
  settings.Read(path, target);
  if (target >= kIntervalMin) return;
  settings.Problem(
      path, absl::StrFormat("%s is %s; expected at least %s", path, absl::FormatDuration(target),
                            absl::FormatDuration(kIntervalMin)));
}

// `group` is gossip_lan or gossip_wan.
void BuildProfile(const Settings& settings, const std::string& group, gossip::Profile& profile) {
  std::string name;
  const std::string path = absl::StrCat(group, ".profile");
  settings.Read(path, name);
  if (name == "lan") profile = gossip::Profile::Lan();
  if (name == "wan") profile = gossip::Profile::Wan();
  if (name == "local") profile = gossip::Profile::Local();
  if (name == "fast") profile = gossip::Profile::Fast();
  if (!name.empty() && name != "lan" && name != "wan" && name != "local" && name != "fast") {
    settings.Problem(path,
                     absl::StrFormat("%s is \"%s\"; expected lan, wan, local or fast", path, name));
  }
  const auto key = [&](const char* last) { return absl::StrCat(group, ".", last); };
  ReadInterval(settings, key("gossip_interval"), profile.gossip_interval);
  ReadInterval(settings, key("probe_interval"), profile.probe_interval);
  ReadInterval(settings, key("probe_timeout"), profile.probe_timeout);
  settings.ReadInt(key("gossip_nodes"), 1, kCountMax, profile.gossip_nodes);
  settings.ReadInt(key("retransmit_mult"), 1, kMultiplierMax, profile.retransmit_multiplier);
  settings.ReadInt(key("suspicion_mult"), 1, kMultiplierMax, profile.suspicion_multiplier);
  if (profile.probe_timeout > profile.probe_interval) {
    settings.Problem(key("probe_timeout"),
                     absl::StrFormat("%s is longer than %s, so that no probe could end in time",
                                     key("probe_timeout"), key("probe_interval")));
  }
}

void BuildJoins(const Settings& settings, const std::string& suffix, uint16_t port,
                PoolConfig& pool) {
  for (const auto& [path, list] : {std::pair("start_join" + suffix, &pool.start_join),
                                   std::pair("retry_join" + suffix, &pool.retry_join)}) {
    settings.Read(path, *list);
    for (const std::string& address : *list) {
      const auto parsed = gossip::ParseJoinAddress(address, port);
      if (parsed.ok()) continue;
      settings.Problem(
          path,
          WithTemplateHint(absl::StrFormat("%s: %s", path, std::string(parsed.status().message())),
                           address));
    }
  }
  settings.Read("retry_interval" + suffix, pool.retry_interval);
  settings.ReadInt("retry_max" + suffix, 0, std::numeric_limits<int>::max(), pool.retry_max);
  settings.Read("reconnect_timeout" + suffix, pool.reconnect_timeout);
  if (pool.reconnect_timeout < kReconnectTimeoutMin) {
    settings.Problem("reconnect_timeout" + suffix,
                     absl::StrFormat("reconnect_timeout%s must be >= %s", suffix,
                                     absl::FormatDuration(kReconnectTimeoutMin)));
  }
}

void BuildAllowed(const Settings& settings, const std::string& path, PoolConfig& pool) {
  std::vector<std::string> blocks;
  settings.Read(path, blocks);
  for (const std::string& text : blocks) {
    const std::optional<Cidr> block = Cidr::Parse(text);
    if (block) {
      pool.allowed.push_back(*block);
      continue;
    }
    settings.Problem(path, absl::StrFormat("%s: \"%s\" is no block of addresses; expected one such "
                                           "as 10.0.0.0/8",
                                           path, text));
  }
}

void BuildEncrypt(const Settings& settings, GossipConfig& gossip) {
  settings.Read("encrypt", gossip.encrypt);
  settings.Read("encrypt_verify_incoming", gossip.verify_incoming);
  settings.Read("encrypt_verify_outgoing", gossip.verify_outgoing);
  if (gossip.encrypt.empty()) return;
  const absl::StatusOr<std::string> key = gossip::ParseKey(gossip.encrypt);
  if (key.ok()) return;
  // The key itself is a secret, even a wrong one, and stays out of the message.
  settings.Problem("encrypt", WithTemplateHint(absl::StrCat("encrypt has invalid key: ",
                                                            std::string(key.status().message())),
                                               gossip.encrypt));
}

}  // namespace

void BuildGossip(const Settings& settings, const Machine& machine, Config& config) {
  GossipConfig& gossip = config.gossip;
  gossip.wan.profile = gossip::Profile::Wan();
  // As Consul's, so that one server finds out soon and no test waits for it.
  if (config.dev_mode) {
    for (PoolConfig* const pool : {&gossip.lan, &gossip.wan}) {
      pool->profile.gossip_interval = absl::Milliseconds(100);
      pool->profile.probe_interval = absl::Milliseconds(100);
      pool->profile.probe_timeout = absl::Milliseconds(100);
      pool->profile.suspicion_multiplier = 3;
    }
  }
  for (PoolConfig* const pool : {&gossip.lan, &gossip.wan}) pool->bind = config.bind_addr;
  BuildBind(settings, "serf_lan", machine, gossip.lan.bind);
  BuildBind(settings, "serf_wan", machine, gossip.wan.bind);
  BuildProfile(settings, "gossip_lan", gossip.lan.profile);
  BuildProfile(settings, "gossip_wan", gossip.wan.profile);
  BuildJoins(settings, "", static_cast<uint16_t>(config.ports.serf_lan), gossip.lan);
  BuildJoins(settings, "_wan", static_cast<uint16_t>(config.ports.serf_wan), gossip.wan);
  BuildAllowed(settings, "serf_lan_allowed_cidrs", gossip.lan);
  BuildAllowed(settings, "serf_wan_allowed_cidrs", gossip.wan);
  BuildEncrypt(settings, gossip);
  bool disable_keyring_file = false;
  settings.Read("disable_keyring_file", disable_keyring_file);
  gossip.keep_keys = !disable_keyring_file && !config.data_dir.empty();
  settings.Read("rejoin_after_leave", gossip.rejoin_after_leave);
}

}  // namespace pharos::agent
