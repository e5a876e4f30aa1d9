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

class Parts : public testing::Test {
 protected:
  Parts() {
    config_.zones = {*Zone::Make("consul.", "dc1")};
    config_.datacenter = "dc1";
  }

  // A catalog in which `web` is at the address, and the parts of it that are there.
  static RemoteCatalogs::Datacenter Of(const std::string& datacenter, const std::string& address,
                                       const std::vector<std::string>& parts) {
    registry::Catalog catalog(datacenter);
    catalog::v1::Command command;
    auto& change = *command.mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    auto& service = *change.add_services();
    service.set_name(address.empty() ? "unused" : "web");
    service.set_address(address);
    EXPECT_TRUE(catalog.Apply(1, command).ok());
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

TEST_F(Parts, NamesWithoutADatacenterAreNotLookedForInTheCatalogOfAnother) {
  own_ = Of("dc1", "10.1.1.1", {}).snapshot;
  Know("dc2", Of("dc2", "web.service.consul", {"sweb"}));
  EXPECT_THAT(Ask("web.service.dc2.consul.").answer,
              ElementsAre("web.service.dc2.consul. 0 IN CNAME web.service.consul."));
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
  // Nobody has all gateways here, so that nobody can say that there is none.
  EXPECT_THAT(Ask("web.ingress.consul.").Status(), StartsWith("SERVFAIL"));
  unavailable_ = {{"dc1", "sother"}};
  EXPECT_THAT(Ask("other.service.consul.").Status(), StartsWith("SERVFAIL"));
  freshness_ = Freshness::kExpired;
  EXPECT_THAT(Ask("web.service.consul.").Status(), StartsWith("SERVFAIL"));
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
