#include "http/api.h"

#include <utility>

#include "http/errors.h"
#include "http/forward.h"
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
  AddSnapshotRoutes(*this);
}

Api::~Api() { mailbox_->Close(); }

void Api::Handle(std::shared_ptr<Exchange> exchange) {
  if (context_.forward == nullptr) return router_.Route(exchange);
  std::optional<std::string> datacenter =
      AnsweredElsewhere(exchange->request(), context_.defaults.datacenter, context_.answers);
  if (!datacenter) return router_.Route(exchange);
  if (!router_.Admits(exchange)) return;
  // Who asks has said what addresses it wants, whatever those who answer want.
  const bool translate = context_.defaults.translate && *datacenter != context_.defaults.datacenter;
  std::function<void()> give_up = context_.forward(
      ToMessage(exchange->request(), *std::move(datacenter), context_.node_name),
      [mailbox = mailbox_, exchange, translate](absl::StatusOr<peer::v1::HttpResponse> response) {
        LoopMailbox::Post(mailbox, [exchange, translate, response = std::move(response)]() mutable {
          if (!response.ok()) {
            return exchange->Respond(
                ErrorResponse(absl::InternalError(response.status().message())));
          }
          if (translate) response->set_body(WithWanAddresses(response->body()));
          Response answer = FromMessage(*std::move(response));
          std::erase_if(answer.headers,
                        [](const auto& header) { return header.first == kTranslateHeader; });
          if (translate) answer.headers.emplace_back(kTranslateHeader, "true");
          exchange->Respond(std::move(answer));
        });
      });
  if (give_up) exchange->OnGone(std::move(give_up));
}

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

void Api::WithStatus(std::function<void(cluster::ConsensusStatus)> then,
                     cluster::CatalogAccess::View view) {
  context_.consensus.WithStatus(
      view, [mailbox = mailbox_, then = std::move(then)](cluster::ConsensusStatus status) {
        LoopMailbox::Post(mailbox, [then, status = std::move(status)] { then(status); });
      });
}

void Api::WhenReadable(const std::shared_ptr<Exchange>& exchange, const ReadOptions& options,
                       std::function<void()> then) {
  cluster::ReadMode mode = cluster::ReadMode::kDefault;
  if (options.consistency == Consistency::kConsistent) mode = cluster::ReadMode::kConsistent;
  if (options.consistency == Consistency::kStale) {
    const bool too_old = options.max_stale > absl::ZeroDuration() &&
                         context_.consensus.last_contact() > options.max_stale;
    if (!too_old) return then();
  }
  if (context_.consensus.IsReadable(mode)) return then();
  context_.consensus.WhenReadable(
      mode, [mailbox = mailbox_, exchange, then = std::move(then)](const absl::Status& status) {
        LoopMailbox::Post(mailbox, [exchange, then, status] {
          if (!status.ok()) return exchange->Respond(ErrorResponse(status));
          then();
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
                WhenReadable(exchange, *options,
                             [this, exchange, options = *options, reading = *std::move(reading)] {
                               watchers_.Answer(exchange, options, reading);
                             });
              });
}

}  // namespace pharos::http
