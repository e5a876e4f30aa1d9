#include "cluster/catalog_access.h"

#include <latch>
#include <utility>

namespace pharos::cluster {

absl::StatusOr<uint64_t> CatalogAccess::ProposeAndWait(catalog::v1::Command command) {
  std::latch finished(1);
  absl::StatusOr<uint64_t> result;
  Propose(std::move(command), [&](absl::StatusOr<uint64_t> outcome) {
    result = std::move(outcome);
    finished.count_down();
  });
  finished.wait();
  return result;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): others keep what they call.
void CatalogAccess::Have(const std::vector<std::string>&, StatusDone done) {
  done(absl::OkStatus());
}

std::shared_ptr<void> CatalogAccess::Hold(const std::vector<std::string>&) { return nullptr; }

}  // namespace pharos::cluster
