// Answers from parts of catalogs: of other datacenters, and of the own one on demand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dns/answer.h"
#include "dns/handler.h"
#include "dns/judge.h"
#include "registry/catalog.h"

namespace pharos::dns {
namespace {

using registry::Freshness;
using registry::RemoteCatalogs;
using testing::ElementsAre;
using testing::StartsWith;
using testing::UnorderedElementsAre;

class Parts : public testing::Test {
 protected:
  Parts() {
    config_.zones = {*Zone::Make("consul.", "dc1")};
    config_.datacenter = "dc1";
  }

  // A catalog in which `web` is at the address, and the parts of it that are there; `further` is
  // done to it, too.
  static RemoteCatalogs::Datacenter Of(const std::string& datacenter, const std::string& address,
                                       const std::vector<std::string>& parts,
                                       const std::vector<catalog::v1::Command>& further = {}) {
    registry::Catalog catalog(datacenter);
    catalog::v1::Command command;
    auto& change = *command.mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    auto& service = *change.add_services();
    service.set_name(address.empty() ? "unused" : "web");
    service.set_address(address);
    uint64_t index = 1;
    EXPECT_TRUE(catalog.Apply(index, command).ok());
    for (const catalog::v1::Command& each : further) {
      EXPECT_TRUE(catalog.Apply(++index, each).ok());
    }
    auto uses = std::make_shared<registry::PartUses>();
    for (const std::string& part : parts) {
      uses->emplace(part, std::make_shared<registry::PartUse>());
    }
    return {.snapshot = catalog.MakeSnapshot(), .parts = uses};
  }
  void Know(const std::string& datacenter, RemoteCatalogs::Datacenter known) {
    catalogs_.datacenters[datacenter] = std::move(known);
    if (datacenter != "dc1") catalogs_.nearest.push_back(datacenter);
  }

  Handled Handle(const std::string& name, RrType type) {
    request_ = MakeQuery(name, type, 1232);
    std::map<std::string, std::shared_ptr<const AnswerConfig>, std::less<>> configs;
    const OtherDatacenters others{catalogs_, configs};
    const AnswerContext context{.config = config_,
                                .snapshot = *own_,
                                .transport = Transport::kUdp,
                                .random = random_,
                                .scratch = scratch_,
                                .external = external_,
                                .freshness = freshness_,
                                .others = &others,
                                .unavailable = &unavailable_};
    return HandleQuery(request_, on_demand_ ? WithOwnParts(context) : context, query_, reply_);
  }
  Judged Ask(const std::string& name, RrType type = RrType::kA) {
    const Handled handled = Handle(name, type);
    EXPECT_EQ(handled.outcome, Outcome::kReply) << name;
    const std::optional<Judged> judged = Judge(Octets(reply_).first(handled.reply_octets));
    return judged.value_or(Judged());
  }
  // The part that an answer needs first.
  NeededPart Needed(const std::string& name) {
    Handled handled = Handle(name, RrType::kA);
    EXPECT_EQ(handled.outcome, Outcome::kNeedsPart) << name;
    return handled.part == nullptr ? NeededPart() : *handled.part;
  }

  AnswerConfig config_;
  std::shared_ptr<const registry::Snapshot> own_ = Of("dc1", "10.1.0.1", {}).snapshot;
  RemoteCatalogs catalogs_;
  std::vector<NeededPart> unavailable_;
  Freshness freshness_ = Freshness::kFresh;
  bool on_demand_ = false;
  Random random_{1};
  AnswerScratch scratch_;
  std::vector<ExternalAnswer> external_;
  std::vector<uint8_t> request_;
  Query query_;
  std::vector<uint8_t> reply_ = std::vector<uint8_t>(kMessageOctetsMax);
};

TEST_F(Parts, OfAnotherDatacenterAreAskedForFirst) {
  Know("dc2", Of("dc2", "10.2.0.1", {}));
  EXPECT_EQ(Needed("web.service.dc2.consul."), (NeededPart{"dc2", "sweb"}));
  EXPECT_EQ(Needed("alpha.node.dc2.consul."), (NeededPart{"dc2", "nalpha"}));
  EXPECT_EQ(Needed("web.connect.dc2.consul."), (NeededPart{"dc2", "mweb"}));
  catalogs_.datacenters["dc2"] = Of("dc2", "10.2.0.1", {"sweb"});
  EXPECT_THAT(Ask("web.service.dc2.consul.").answer,
              ElementsAre("web.service.dc2.consul. 0 IN A 10.2.0.1"));
  EXPECT_THAT(Ask("web.service.dc3.consul.").Status(), StartsWith("NXDOMAIN"));
  unavailable_ = {{"dc2", "nalpha"}};
  EXPECT_THAT(Ask("alpha.node.dc2.consul.").Status(), StartsWith("SERVFAIL"));
}

TEST_F(Parts, HostNamesLeadFromOneDatacenterToAnother) {
  // Without a datacenter, the agent's own is meant.
  own_ = Of("dc1", "10.1.1.1", {}).snapshot;
  Know("dc2", Of("dc2", "web.service.consul", {"sweb"}));
  EXPECT_THAT(Ask("web.service.dc2.consul.").answer,
              ElementsAre("web.service.consul. 0 IN A 10.1.1.1",
                          "web.service.dc2.consul. 0 IN CNAME web.service.consul."));
  EXPECT_THAT(Ask("web.service.dc2.consul.", RrType::kSrv).additional,
              ElementsAre("web.service.consul. 0 IN A 10.1.1.1"));
  // From here to there and on.
  own_ = Of("dc1", "web.service.dc2.consul", {}).snapshot;
  catalogs_.datacenters["dc2"] = Of("dc2", "web.service.dc3.consul", {});
  Know("dc3", Of("dc3", "10.3.0.1", {}));
  EXPECT_EQ(Needed("web.service.consul."), (NeededPart{"dc2", "sweb"}));
  catalogs_.datacenters["dc2"] = Of("dc2", "web.service.dc3.consul", {"sweb"});
  EXPECT_EQ(Needed("web.service.consul."), (NeededPart{"dc3", "sweb"}));
  catalogs_.datacenters["dc3"] = Of("dc3", "10.3.0.1", {"sweb"});
  EXPECT_THAT(Ask("web.service.consul.").answer,
              ElementsAre("web.service.consul. 0 IN CNAME web.service.dc2.consul.",
                          "web.service.dc2.consul. 0 IN CNAME web.service.dc3.consul.",
                          "web.service.dc3.consul. 0 IN A 10.3.0.1"));
  // What cannot be had leaves the chain where it is, and so does a circle.
  catalogs_.datacenters["dc3"] = Of("dc3", "10.3.0.1", {});
  unavailable_ = {{"dc3", "sweb"}};
  EXPECT_THAT(Ask("web.service.consul.").answer,
              ElementsAre("web.service.consul. 0 IN CNAME web.service.dc2.consul.",
                          "web.service.dc2.consul. 0 IN CNAME web.service.dc3.consul."));
  catalogs_.datacenters["dc2"] = Of("dc2", "web.service.consul", {"sweb"});
  EXPECT_THAT(Ask("web.service.consul.").answer,
              ElementsAre("web.service.consul. 0 IN CNAME web.service.dc2.consul.",
                          "web.service.dc2.consul. 0 IN CNAME web.service.consul."));
}

TEST_F(Parts, HostNamesOfOtherServicesAreAskedForToo) {
  on_demand_ = true;
  Know("dc1", Of("dc1", "db.service.consul", {"sweb"}));
  EXPECT_EQ(Needed("web.service.consul."), (NeededPart{"dc1", "sdb"}));
  unavailable_ = {{"dc1", "sdb"}};
  EXPECT_THAT(Ask("web.service.consul.").answer,
              ElementsAre("web.service.consul. 0 IN CNAME db.service.consul."));
  // The node of an instance is there with it.
  catalogs_.datacenters["dc1"] = Of("dc1", "alpha.node.consul", {"sweb"});
  EXPECT_THAT(Ask("web.service.consul.").answer,
              ElementsAre("alpha.node.consul. 0 IN A 10.0.0.1",
                          "web.service.consul. 0 IN CNAME alpha.node.consul."));
}

TEST_F(Parts, DatacentersAreNamesWithOthersBelowThem) {
  Know("dc2", Of("dc2", "10.2.0.1", {}));
  config_.any_datacenter = true;
  for (const char* name : {"dc2.consul.", "dc2.dc.consul.", "dc1.consul.", "any.consul.",
                           "service.dc2.consul.", "service.any.consul."}) {
    EXPECT_THAT(Ask(name).Status(), StartsWith("NOERROR")) << name;
  }
  for (const char* name : {"dc3.consul.", "dc3.dc.consul.", "service.dc3.consul."}) {
    EXPECT_THAT(Ask(name).Status(), StartsWith("NXDOMAIN")) << name;
  }
}

TEST_F(Parts, AReverseNameIsBelievedAsFarAsTheCatalogIs) {
  EXPECT_THAT(Ask("1.0.1.10.in-addr.arpa.", RrType::kPtr).Status(), StartsWith("NOERROR"));
  freshness_ = Freshness::kExpired;
  EXPECT_THAT(Ask("1.0.1.10.in-addr.arpa.", RrType::kPtr).Status(), StartsWith("SERVFAIL"));
}

TEST_F(Parts, OfTheOwnDatacenterAreAskedForWhereItHasNoMore) {
  on_demand_ = true;
  EXPECT_EQ(Needed("web.service.consul."), (NeededPart{"dc1", "sweb"}));
  Know("dc1", Of("dc1", "10.1.0.9", {"sweb", "snone"}));
  EXPECT_THAT(Ask("web.service.consul.").answer,
              ElementsAre("web.service.consul. 0 IN A 10.1.0.9"));
  EXPECT_THAT(Ask("none.service.consul.").Status(), StartsWith("NXDOMAIN"));
  EXPECT_EQ(Needed("alpha.node.dc1.consul."), (NeededPart{"dc1", "nalpha"}));
  EXPECT_EQ(Needed("consul."), (NeededPart{"dc1", "sconsul"}))
      << "its servers are its name servers";
  EXPECT_EQ(Needed("web.ingress.consul."), (NeededPart{"dc1", "I"}));
  unavailable_ = {{"dc1", "sother"}};
  EXPECT_THAT(Ask("other.service.consul.").Status(), StartsWith("SERVFAIL"));
  freshness_ = Freshness::kExpired;
  EXPECT_THAT(Ask("web.service.consul.").Status(), StartsWith("SERVFAIL"));
}

// Two gateways, of which one lets `web` in, and one every service.
std::vector<catalog::v1::Command> Gateways() {
  std::vector<catalog::v1::Command> commands;
  const struct {
    std::string gateway, lets_in, address;
  } kRows[] = {{"edge", "web", "10.2.0.7"}, {"all", "*", "10.2.0.8"}, {"no", "api", "10.2.0.9"}};
  for (const auto& row : kRows) {
    auto& entry = *commands.emplace_back().mutable_set_ingress_gateway();
    entry.set_name(row.gateway);
    auto& listener = *entry.add_listeners();
    listener.set_port(8443);
    listener.add_services()->set_name(row.lets_in);
    auto& change = *commands.emplace_back().mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    auto& service = *change.add_services();
    service.set_name(row.gateway);
    service.set_kind("ingress-gateway");
    service.set_address(row.address);
  }
  return commands;
}

TEST_F(Parts, IngressGatewaysTakeThePartThatSaysWhichAndThoseOfTheirServices) {
  Know("dc2", Of("dc2", "10.2.0.1", {}, Gateways()));
  EXPECT_EQ(Needed("web.ingress.dc2.consul."), (NeededPart{"dc2", "I"}));
  catalogs_.datacenters["dc2"] = Of("dc2", "10.2.0.1", {"I"}, Gateways());
  EXPECT_EQ(Needed("web.ingress.dc2.consul."), (NeededPart{"dc2", "sedge"}));
  catalogs_.datacenters["dc2"] = Of("dc2", "10.2.0.1", {"I", "sedge"}, Gateways());
  EXPECT_EQ(Needed("web.ingress.dc2.consul."), (NeededPart{"dc2", "sall"}));
  catalogs_.datacenters["dc2"] = Of("dc2", "10.2.0.1", {"I", "sedge", "sall"}, Gateways());
  EXPECT_THAT(Ask("web.ingress.dc2.consul.").answer,
              UnorderedElementsAre("web.ingress.dc2.consul. 0 IN A 10.2.0.7",
                                   "web.ingress.dc2.consul. 0 IN A 10.2.0.8"));
  EXPECT_THAT(Ask("other.ingress.dc2.consul.").answer,
              ElementsAre("other.ingress.dc2.consul. 0 IN A 10.2.0.8"));
}

// A query for `web` that stands in the datacenter and may go on to these.
std::vector<catalog::v1::Command> QueryWithFailover(const std::vector<std::string>& datacenters,
                                                    int nearest_n) {
  std::vector<catalog::v1::Command> commands(1);
  auto& set = *commands[0].mutable_set_prepared_query();
  set.set_create(true);
  set.mutable_query()->set_id("6a4e7c3f-9f63-4f9c-8c1b-0d4d6e6b1f11");
  set.mutable_query()->set_name("web-anywhere");
  auto& service = *set.mutable_query()->mutable_service();
  service.set_service("web");
  for (const std::string& name : datacenters) service.mutable_failover()->add_datacenters(name);
  service.mutable_failover()->set_nearest_n(nearest_n);
  return commands;
}

TEST_F(Parts, AQueryOfAnotherDatacenterFailsOverFromThere) {
  const std::string name = "web-anywhere.query.dc2.consul.";
  const auto query = QueryWithFailover({"dc2", "dc3", "dc1"}, 0);
  Know("dc2", Of("dc2", "10.2.0.1", {"Q", "sweb"}, query));
  Know("dc3", Of("dc3", "10.3.0.1", {}));
  EXPECT_THAT(Ask(name).answer, ElementsAre(name + " 0 IN A 10.2.0.1"));
  catalogs_.datacenters["dc2"] = Of("dc2", "", {"Q", "sweb"}, query);
  EXPECT_EQ(Needed(name), (NeededPart{"dc3", "sweb"}));
  catalogs_.datacenters["dc3"] = Of("dc3", "10.3.0.1", {"sweb"});
  EXPECT_THAT(Ask(name).answer, ElementsAre(name + " 0 IN A 10.3.0.1"));
  // From there, this datacenter is another one.
  catalogs_.datacenters["dc3"] = Of("dc3", "", {"sweb"});
  EXPECT_THAT(Ask(name).answer, ElementsAre(name + " 0 IN A 10.1.0.1"));
  EXPECT_THAT(Ask(name, RrType::kSrv).answer,
              ElementsAre(name + " 0 IN SRV 1 1 0 0a010001.addr.dc1.consul."));
  own_ = Of("dc1", "", {}).snapshot;
  EXPECT_THAT(Ask(name).Status(), StartsWith("NXDOMAIN"));
  // Wherever it is answered from, names without a datacenter are this one's.
  own_ = Of("dc1", "10.1.0.1", {}).snapshot;
  catalogs_.datacenters["dc3"] = Of("dc3", "web.service.consul", {"sweb"});
  EXPECT_THAT(Ask(name).answer, ElementsAre(name + " 0 IN CNAME web.service.consul.",
                                            "web.service.consul. 0 IN A 10.1.0.1"));
  catalogs_.datacenters["dc3"] = Of("dc3", "", {"sweb"});
  own_ = Of("dc1", "web.service.dc4.consul", {}).snapshot;
  Know("dc4", Of("dc4", "10.4.0.1", {"sweb"}));
  EXPECT_THAT(Ask(name).answer, ElementsAre(name + " 0 IN CNAME web.service.dc4.consul.",
                                            "web.service.dc4.consul. 0 IN A 10.4.0.1"));
}

TEST_F(Parts, TheNearestToWhoAsksForAQueryOfAnotherDatacenterIsThisOne) {
  const std::string name = "web-anywhere.query.dc2.consul.";
  Know("dc2", Of("dc2", "", {"Q", "sweb"}, QueryWithFailover({}, 1)));
  Know("dc3", Of("dc3", "10.3.0.1", {"sweb"}));
  EXPECT_THAT(Ask(name).answer, ElementsAre(name + " 0 IN A 10.1.0.1"));
  own_ = Of("dc1", "", {}).snapshot;
  EXPECT_THAT(Ask(name).Status(), StartsWith("NXDOMAIN")) << "one is to be tried, and no more";
}

TEST_F(Parts, AnyDatacenterIsTheNearestThatHasInstances) {
  EXPECT_THAT(Ask("web.service.any.consul.").Status(), StartsWith("NXDOMAIN"))
      << "it is off unless it is turned on";
  config_.any_datacenter = true;
  EXPECT_THAT(Ask("web.service.any.consul.").answer,
              ElementsAre("web.service.any.consul. 0 IN A 10.1.0.1"));
  own_ = Of("dc1", "", {}).snapshot;
  Know("dc2", Of("dc2", "", {"sweb"}));
  Know("dc3", Of("dc3", "10.3.0.1", {}));
  Know("dc4", Of("dc4", "10.4.0.1", {"sweb"}));
  EXPECT_EQ(Needed("web.service.any.consul."), (NeededPart{"dc3", "sweb"}))
      << "the next that may have some, and none beyond";
  catalogs_.datacenters["dc3"] = Of("dc3", "10.3.0.1", {"sweb"});
  EXPECT_THAT(Ask("web.service.any.consul.").answer,
              ElementsAre("web.service.any.consul. 0 IN A 10.3.0.1"));
  EXPECT_THAT(Ask("web.service.any.consul.", RrType::kSrv).answer,
              ElementsAre("web.service.any.consul. 0 IN SRV 1 1 0 0a030001.addr.dc3.consul."));
  // One that is cut off is passed over as long as another has some.
  catalogs_.datacenters["dc3"] = {};
  unavailable_ = {{"dc3", "sweb"}};
  EXPECT_THAT(Ask("web.service.any.consul.").answer,
              ElementsAre("web.service.any.consul. 0 IN A 10.4.0.1"));
  catalogs_.datacenters["dc4"] = Of("dc4", "", {"sweb"});
  EXPECT_THAT(Ask("web.service.any.consul.").Status(), StartsWith("SERVFAIL"))
      << "the one cut off may have some";
  catalogs_.datacenters["dc3"] = Of("dc3", "", {"sweb"});
  EXPECT_THAT(Ask("web.service.any.consul.").Status(), StartsWith("NXDOMAIN"));
  // Who may not know of all datacenters cannot say that none has any.
  catalogs_.complete = false;
  EXPECT_THAT(Ask("web.service.any.consul.").Status(), StartsWith("SERVFAIL"));
  catalogs_.complete = true;
  // A datacenter of that name is that datacenter.
  Know("any", Of("any", "10.7.0.1", {"sweb"}));
  EXPECT_THAT(Ask("web.service.any.consul.").answer,
              ElementsAre("web.service.any.consul. 0 IN A 10.7.0.1"));
}

}  // namespace
}  // namespace pharos::dns
