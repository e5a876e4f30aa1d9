// Any octets as two requests on an xDS stream, of each variant: what is taken stays within the
// bound of names, and what is sent is of what was asked for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "registry/catalog.h"
#include "rpc/xds_session.h"

namespace {

using pharos::rpc::XdsRefusal;
using pharos::rpc::XdsResources;

void Require(bool holds) {
  if (!holds) std::abort();
}

const pharos::registry::Snapshot& World() {
  static pharos::registry::Catalog catalog("dc1");
  static const std::unique_ptr<const pharos::registry::Snapshot> snapshot = [] {
    pharos::catalog::v1::Command command;
    auto& change = *command.mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    change.add_services()->set_name("orders");
    change.mutable_services(0)->set_port(80);
    Require(catalog.Apply(1, command).ok());
    return catalog.MakeSnapshot();
  }();
  return *snapshot;
}

template <typename Session>
void Try(const uint8_t* data, size_t size) {
  Session session;
  XdsResources resources;
  const size_t half = size / 2;
  for (const auto& [at, length] : {std::pair(size_t{0}, half), std::pair(half, size - half)}) {
    typename Session::Request request;
    if (!request.ParseFromArray(data + at, static_cast<int>(length))) continue;
    XdsRefusal refusal;
    if (!session.Take(request, refusal).ok()) return;
    Require(session.Services().size() <= pharos::rpc::kXdsNamesMax);
    session.Touch({"orders"});
    int responses = 0;
    while (const auto response = session.Next(resources, World())) {
      Require(pharos::rpc::ParseTypeUrl(response->type_url()).has_value());
      Require(static_cast<size_t>(response->resources_size()) <= pharos::rpc::kXdsNamesMax);
      Require(++responses <= 8);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Try<pharos::rpc::SotwSession>(data, size);
  Try<pharos::rpc::DeltaSession>(data, size);
  return 0;
}
