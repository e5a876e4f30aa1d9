#include "http/api.h"

#include <utility>

#include "http/errors.h"
#include "registry/records.h"

namespace pharos::http {

Distances ApiContext::DistancesFrom(const std::string& near) const {
  return Distances(near == "_agent" ? node_name : registry::LowerCase(near),
                   near.empty() ? nullptr : coordinates());
}

Api::Api(Loop& loop, const ApiContext& context)
    : context_(context),
      mailbox_(std::make_shared<LoopMailbox>(loop)),
      random_(SecureRandomU64()),
      router_(context.router),
      watchers_(loop, context.consensus, context.clock, context.cache_marks, SecureRandomU64()) {
  AddStatusRoutes(*this);
  AddCatalogRoutes(*this);
  AddHealthRoutes(*this);
  AddQueryRoutes(*this);
  AddConfigEntryRoutes(*this);
  AddOperatorRoutes(*this);
}

Api::~Api() { mailbox_->Close(); }

JsonWriter Api::MakeJson(const Request& request) const {
  return JsonWriter(WantsPretty(request, context_.defaults) ? JsonWriter::Style::kIndented
                                                            : JsonWriter::Style::kCompact);
}

void Api::Propose(const std::shared_ptr<Exchange>& exchange, catalog::v1::Command command,
                  Response done) {
  context_.consensus.Propose(
      std::move(command), [mailbox = mailbox_, exchange,
                           done = std::move(done)](const absl::StatusOr<uint64_t>& outcome) {
        LoopMailbox::Post(mailbox, [exchange, done, status = outcome.status()] {
          exchange->Respond(status.ok() ? done : ErrorResponse(status));
        });
      });
}

void Api::AddRead(const std::string& path, MakeReading make) {
  router_.Add(Method::kGet, path,
              [this, make = std::move(make)](const std::shared_ptr<Exchange>& exchange,
                                             const std::string& argument) {
                const Request& request = exchange->request();
                const absl::StatusOr<ReadOptions> options =
                    ParseReadOptions(request, context_.defaults);
                if (!options.ok()) return exchange->Respond(ErrorResponse(options.status()));
                absl::StatusOr<Reading> reading = make(request, *options, argument);
                if (!reading.ok()) return exchange->Respond(ErrorResponse(reading.status()));
                watchers_.Answer(exchange, *options, *std::move(reading));
              });
}

}  // namespace pharos::http
