// Any octets as each request of the gRPC services: what Validate takes is within the bounds that
// the rest of the agent counts on, and what it refuses it can say in a status.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "proto/discovery.pb.h"
#include "rpc/errors.h"
#include "rpc/instances.h"
#include "rpc/validate.h"

namespace {

using pharos::discovery::v1::InstanceSpec;

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckTaken(const InstanceSpec& instance) {
  Require(!pharos::rpc::IdOf(instance).empty() && instance.service().size() <= 63);
  Require(instance.port() <= 65535 && instance.tags_size() <= 64 && instance.meta().size() <= 64);
}

// Parses and validates; what is refused must fit into the trailer of a response.
template <typename Message, typename Take>
void Try(const uint8_t* data, size_t size, Take take) {
  Message message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return;
  const absl::Status valid = pharos::rpc::Validate(message);
  if (valid.ok()) {
    take(message);
  } else {
    Require(pharos::rpc::ToGrpcStatus(valid).error_details().size() < 8192);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pharos;  // NOLINT(google-build-using-namespace): one function, no header.
  Try<discovery::v1::HoldRequest>(data, size, [](const discovery::v1::HoldRequest& request) {
    Require(request.open().instances_size() <= rpc::kInstancesPerLeaseMax);
    for (const InstanceSpec& instance : request.open().instances()) CheckTaken(instance);
    if (request.has_register_()) CheckTaken(request.register_().instance());
  });
  Try<discovery::v1::RegisterRequest>(
      data, size,
      [](const discovery::v1::RegisterRequest& request) { CheckTaken(request.instance()); });
  Try<discovery::v1::UpdateHealthRequest>(data, size, [](const auto&) {});
  Try<discovery::v1::Selector>(data, size, [](const discovery::v1::Selector& selector) {
    const auto query = rpc::MakeInstanceQuery(selector, "dc1");
    Require(!query.ok() || !query->lower_service.empty());
  });
  return 0;
}
