// Whatever a log entry says, the catalog stays whole, and an error changes nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "proto/catalog.pb.h"
#include "registry/catalog.h"

namespace {

void CheckSelection(const pharos::registry::Selection& selection, size_t instances) {
  CHECK(selection.passing_count() <= selection.healthy_count());
  CHECK(selection.healthy_count() <= selection.size());
  for (const uint32_t position : selection.positions()) CHECK(position < instances);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pharos::catalog::v1::Command command;
  if (!command.ParseFromArray(data, static_cast<int>(size))) return 0;
  pharos::registry::Catalog catalog("dc1");
  pharos::catalog::v1::Command first;
  first.mutable_register_()->mutable_node()->set_name("a");
  first.mutable_register_()->mutable_node()->set_address("10.0.0.1");
  first.mutable_register_()->add_services()->set_name("web");
  CHECK(catalog.Apply(1, first).ok());
  const bool applied = catalog.Apply(2, command).ok();
  const auto snapshot = catalog.MakeSnapshot();
  CHECK(snapshot->index() == (applied ? 2 : 1));
  if (const auto* web = snapshot->FindService("web")) {
    CheckSelection(web->all.everyone, web->instances.size());
    CheckSelection(web->all.srv, web->instances.size());
    CheckSelection(web->all.a, web->instances.size());
  } else {
    CHECK(applied);
  }
  return 0;
}
