// /v1/snapshot: the whole catalog as a file, and a file in its place.

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "http/api.h"
#include "http/errors.h"
#include "http/gzip.h"
#include "http/shapes.h"

namespace pharos::http {
namespace {

using Shared = std::shared_ptr<Exchange>;

void Save(Api& api, const Shared& exchange) {
  const absl::StatusOr<ReadOptions> options =
      ParseReadOptions(exchange->request(), api.context().defaults);
  if (!options.ok()) return exchange->Respond(ErrorResponse(options.status()));
  api.WhenReadable(exchange, *options, [&api, exchange] {
    auto& consensus = api.context().consensus;
    consensus.TakeBackup([mailbox = api.mailbox(), exchange, &consensus](
                             const absl::StatusOr<cluster::CatalogAccess::Backup>& backup) {
      Response response = backup.ok() ? Response() : ErrorResponse(backup.status());
      if (backup.ok()) {
        response.status = 200;
        response.content_type = "application/x-gzip";
        response.headers = {{"X-Consul-Index", absl::StrCat(backup->index)},
                            {"X-Consul-Knownleader", consensus.has_leader() ? "true" : "false"},
                            {"X-Consul-Lastcontact",
                             absl::StrCat(absl::ToInt64Milliseconds(consensus.last_contact()))}};
        response.body = std::make_shared<const Body>(Gzip(backup->parts));
      }
      LoopMailbox::Post(
          mailbox, [exchange, response = std::move(response)] { exchange->Respond(response); });
    });
  });
}

void Restore(Api& api, const Shared& exchange) {
  absl::StatusOr<std::string> image = GunzipAll(exchange->request().body);
  if (!image.ok()) {
    return exchange->Respond(TextResponse(
        500,
        absl::StrCat("failed to read snapshot file: ", std::string(image.status().message()))));
  }
  api.context().consensus.RestoreBackup(
      *std::move(image), [mailbox = api.mailbox(), exchange](const absl::Status& status) {
        LoopMailbox::Post(mailbox, [exchange, status] {
          exchange->Respond(status.ok() ? EmptyResponse(200)
                                        : TextResponse(500, std::string(status.message())));
        });
      });
}

}  // namespace

void AddSnapshotRoutes(Api& api) {
  api.router().Add(Method::kGet, kSnapshotPath,
                   [&api](const Shared& exchange, const std::string&) { Save(api, exchange); });
  api.router().Add(Method::kPut, kSnapshotPath,
                   [&api](const Shared& exchange, const std::string&) { Restore(api, exchange); });
}

}  // namespace pharos::http
