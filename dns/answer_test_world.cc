#include "dns/answer_test_world.h"

#include <google/protobuf/text_format.h>

#include <optional>

#include "absl/strings/str_format.h"
#include "base/check.h"

namespace pharos::dns {
namespace {
// The catalog that most questions are asked of.
constexpr char kCatalog[] = R"pb(
  commands {
    time_unix_ms: 1700000000000
    register {
      node {
        name: "alpha"
        address: "10.0.0.1"
        meta { key: "rack" value: "r1" }
      }
      services { name: "web" port: 80 tags: "primary" tags: "v1" tags: "a.b.c" }
      services { name: "single" port: 9000 address: "10.9.0.1" tags: "tcp" }
      services { name: "svc6" port: 9001 address: "fd00::51" }
      services { id: "h1" name: "hostsvc" port: 9021 address: "www.example.net" }
      services { name: "inner" port: 9024 address: "web.service.consul" }
      services { name: "bynode" port: 9025 address: "alpha.node.consul" }
      services { name: "selfname" port: 9027 address: "SelfName.service.consul" }
      services { name: "ring1" port: 1 address: "ring2.service.consul" }
      services { name: "ring2" port: 1 address: "ring1.service.consul" }
      services { name: "sick" port: 81 }
      services {
        name: "warned"
        port: 82
        weights { passing: 7 warning: 2 }
      }
      checks { id: "c1" service_id: "sick" status: HEALTH_STATUS_CRITICAL }
      checks { id: "c2" service_id: "warned" status: HEALTH_STATUS_WARNING }
    }
  }
  commands {
    register {
      node { name: "Beta" address: "10.0.0.2" }
      services { name: "web" port: 8080 tags: "secondary" tags: "V1" }
      services { name: "consul" port: 8300 }
    }
  }
  commands {
    register {
      node { name: "six" address: "fd00::6" }
      services { name: "on6" port: 1 }
    }
  }
  commands { register { node { name: "zeta.dots.example" address: "10.0.0.6" } } }
  commands { register { node { name: "hosted" address: "ext.example.net" } } }
  commands {
    register {
      node {
        name: "dual"
        address: "10.0.0.8"
        tagged_addresses { key: "lan_ipv6" value: "fd00::8" }
      }
      services { name: "ondual" port: 9008 }
    }
  }
  commands {
    register {
      node {
        name: "a-label-that-is-longer-than-the-sixty-three-octets-that-dns-allows"
        address: "10.0.0.70"
      }
      services { name: "label70" port: 7000 }
    }
  }
)pb";

}  // namespace

AnswerTest::AnswerTest() {
  config_.zones.push_back(*Zone::Make("consul.", "dc1"));
  config_.datacenter = "dc1";
  catalog::v1::Command command;
  CHECK(google::protobuf::TextFormat::ParseFromString(kCatalog, command.mutable_batch()));
  command.set_time_unix_ms(1'700'000'000'000);
  Load(command);
}

void AnswerTest::Load(const catalog::v1::Command& command) {
  const absl::Status status = catalog_.Apply(++index_, command);
  ASSERT_TRUE(status.ok()) << status;
  snapshots_.push_back(catalog_.MakeSnapshot());
}

void AnswerTest::LoadText(const std::string& text) {
  catalog::v1::Command command;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, command.mutable_batch()));
  Load(command);
}

void AnswerTest::LoadBig(const std::string& name, int count) {
  catalog::v1::Command command;
  auto* change = command.mutable_register_();
  change->mutable_node()->set_name("big");
  change->mutable_node()->set_address("10.1.0.0");
  for (int i = 0; i < count; ++i) {
    auto* service = change->add_services();
    service->set_id(absl::StrFormat("%s-%d", name, i));
    service->set_name(name);
    service->set_address(absl::StrFormat("10.2.%d.%d", i / 256, i % 256));
    service->set_port(9300);
  }
  Load(command);
}

Handled AnswerTest::HandleRaw(Octets request, Transport transport) {
  const AnswerContext context{config_,  *snapshots_.back(), transport, random_,
                              scratch_, external_,          true,      client_};
  return HandleQuery(request, context, query_, reply_);
}

Judged AnswerTest::Ask(const std::string& name, RrType type, uint16_t edns_octets,
                       Transport transport) {
  const std::vector<uint8_t> request = MakeQuery(name, type, edns_octets);
  const Handled handled = HandleRaw(request, transport);
  EXPECT_EQ(handled.outcome, Outcome::kReply) << name;
  const std::optional<Judged> judged = Judge(Octets(reply_).first(handled.reply_octets));
  EXPECT_TRUE(judged.has_value()) << name << ": ldns cannot read the reply";
  return judged.value_or(Judged());
}

}  // namespace pharos::dns
