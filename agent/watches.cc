#include "agent/watches.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/checks/command.h"
#include "agent/checks/http_transfer.h"
#include "base/log.h"

namespace pharos::agent {
namespace {

constexpr absl::Duration kRetryMin = absl::Seconds(5);
constexpr absl::Duration kRetryMax = absl::Minutes(3);
constexpr size_t kOutputOctetsMax = 4096;

struct Answer {
  int status = 0;
  uint64_t index = 0;
  std::string hash;
  std::string body;
};

Answer AnswerOf(const http::Response& response) {
  Answer answer;
  answer.status = response.status;
  for (const auto& [name, value] : response.headers) {
    if (name == "X-Consul-Index" && !absl::SimpleAtoi(value, &answer.index)) answer.index = 0;
    if (name == "X-Consul-ContentHash") answer.hash = value;
  }
  if (response.body != nullptr) answer.body = response.body->plain();
  return answer;
}

// A request of ours, which came on no connection. Shared by the API's thread, whose it is, and by
// whoever asked, who only forgets it.
class OwnExchange : public http::Exchange {
 public:
  OwnExchange(http::Request request, Loop& loop, std::function<void(Answer)> done)
      : request_(std::move(request)), loop_(loop), done_(std::move(done)) {}

  const http::Request& request() const override { return request_; }
  Loop& loop() override { return loop_; }
  void Respond(http::Response response) override {
    on_gone_ = nullptr;
    if (auto done = std::exchange(done_, nullptr)) done(AnswerOf(response));
  }
  // None of what is watched is a stream.
  void BeginStream(http::Response head) override { Respond(std::move(head)); }
  bool Write(std::string_view) override { return false; }
  void EndStream() override {}
  bool gone() const override { return done_ == nullptr; }
  void OnGone(std::function<void()> callback) override { on_gone_ = std::move(callback); }

  void Leave() {
    done_ = nullptr;
    if (auto callback = std::exchange(on_gone_, nullptr)) callback();
  }

 private:
  http::Request request_;
  Loop& loop_;
  std::function<void(Answer)> done_;
  std::function<void()> on_gone_;
};

}  // namespace

// One of them, on the loop's thread: asks, calls, and asks again when what it called has ended.
class Watches::Watch {
 public:
  Watch(State& state, WatchDefinition definition)
      : state_(state),
        definition_(std::move(definition)),
        mailbox_(std::make_shared<LoopMailbox>(state.loop)),
        timer_(state.loop.uv()) {
    Ask();
  }
  ~Watch() {
    mailbox_->Close();
    // A later turn of the API's thread, which may have answered by then.
    if (asked_ != nullptr) {
      LoopMailbox::Post(state_.asked, [exchange = asked_] { exchange->Leave(); });
    }
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  const WatchDefinition& definition() const { return definition_; }

 private:
  void Ask();
  void Take(Answer answer);
  void Retry(const std::string& why);
  void Call();
  void CallCommand();
  void CallEndpoint();
  void TakeEnd(const std::string& problem);

  State& state_;
  const WatchDefinition definition_;
  std::shared_ptr<LoopMailbox> mailbox_;
  LoopTimer timer_;
  std::shared_ptr<OwnExchange> asked_;
  Answer last_;
  absl::Duration retry_ = kRetryMin;
  std::unique_ptr<Command> command_;
  std::unique_ptr<HttpTransfer> transfer_;
};

void Watches::Watch::Ask() {
  http::Request request;
  request.method_name = http::MethodName(request.method);
  request.path = definition_.path;
  request.query = definition_.query;
  if (definition_.by_hash && !last_.hash.empty()) request.query.emplace_back("hash", last_.hash);
  if (!definition_.by_hash && last_.index > 0) {
    request.query.emplace_back("index", absl::StrCat(last_.index));
  }
  asked_ = std::make_shared<OwnExchange>(
      std::move(request), state_.loop, [this, mailbox = mailbox_](Answer answer) {
        LoopMailbox::Post(
            mailbox, [this, answer = std::move(answer)]() mutable { Take(std::move(answer)); });
      });
  LoopMailbox::Post(state_.asked, [&api = state_.api, exchange = asked_] { api.Handle(exchange); });
}

void Watches::Watch::Take(Answer answer) {
  asked_ = nullptr;
  if (answer.status != 200) return Retry(absl::StrFormat("%d (%s)", answer.status, answer.body));
  retry_ = kRetryMin;
  const bool first = last_.status == 0;
  const bool moved = definition_.by_hash ? answer.hash != last_.hash : answer.index != last_.index;
  // Alone, other text is no news: instances are in any order.
  const bool news = first || (moved && answer.body != last_.body);
  // An index that went back is of another history, so the next question begins anew.
  if (answer.index < last_.index) answer.index = 0;
  last_ = std::move(answer);
  if (news) return Call();
  Ask();
}

void Watches::Watch::Retry(const std::string& why) {
  PHAROS_LOG(kWarn, "agent.watch", "Watch errored: path=%s error=%s retry=%s", definition_.path,
             why, absl::FormatDuration(retry_));
  timer_.Once(retry_, [this] { Ask(); });
  retry_ = std::min(retry_ * 2, kRetryMax);
}

void Watches::Watch::Call() { definition_.args.empty() ? CallEndpoint() : CallCommand(); }

void Watches::Watch::CallCommand() {
  command_ = std::make_unique<Command>(state_.loop.uv(), state_.children, kOutputOctetsMax);
  ChildInput input;
  input.text = last_.body;
  input.environment = {definition_.by_hash ? "CONSUL_HASH=" + last_.hash
                                           : absl::StrCat("CONSUL_INDEX=", last_.index)};
  const absl::Status started = command_->Start(
      definition_.args,
      [this](int code) {
        PHAROS_LOG(kDebug, "agent.watch", "Watch handler output: path=%s output=%s",
                   definition_.path, command_->Output());
        TakeEnd(code == 0 ? "" : absl::StrFormat("it ended with status %d", code));
      },
      input);
  if (!started.ok()) TakeEnd(std::string(started.message()));
}

void Watches::Watch::CallEndpoint() {
  const WatchHttpHandler& http = definition_.http;
  HttpRequest request{.url = http.url,
                      .method = http.method,
                      .headers = http.headers,
                      .body = last_.body,
                      .tls_skip_verify = http.tls_skip_verify};
  request.headers.emplace_back("Content-Type: application/json");
  request.headers.push_back(definition_.by_hash ? "X-Consul-ContentHash: " + last_.hash
                                                : absl::StrCat("X-Consul-Index: ", last_.index));
  transfer_ = std::make_unique<HttpTransfer>(state_.curl, kOutputOctetsMax);
  timer_.Once(http.timeout, [this] { TakeEnd("it did not answer in time"); });
  transfer_->Start(request, RunnerOptions(), [this](const absl::StatusOr<HttpReply>& reply) {
    timer_.Cancel();
    if (!reply.ok()) return TakeEnd(std::string(reply.status().message()));
    const bool accepted = reply->code >= 200 && reply->code < 300;
    TakeEnd(accepted ? "" : absl::StrFormat("it answered %s", reply->status));
  });
}

void Watches::Watch::TakeEnd(const std::string& problem) {
  if (!problem.empty()) {
    PHAROS_LOG(kError, "agent.watch", "Failed to run watch handler: path=%s handler=%s error=%s",
               definition_.path,
               definition_.args.empty() ? definition_.http.url : definition_.args.front(), problem);
  }
  // In a later turn, as this is called by what ends here.
  timer_.Once(absl::ZeroDuration(), [this] {
    command_.reset();
    transfer_.reset();
    Ask();
  });
}

Watches::State::State(Loop& on, http::Api& of, std::shared_ptr<LoopMailbox> mailbox)
    : loop(on), api(of), asked(std::move(mailbox)), children(on.uv()), curl(on.uv()) {}

Watches::Watches(Loop& loop, http::Server& http) : loop_(loop) {
  http::Api* api = nullptr;
  http.ForEachThread([&api](http::ThreadHandler& handler, int thread) {
    if (thread == 0) api = &static_cast<http::Api&>(handler);
  });
  loop_.PostAndWait([&] { state_ = std::make_unique<State>(loop_, *api, api->mailbox()); });
}

Watches::~Watches() {
  loop_.PostAndWait([this] {
    state_->watches.clear();
    state_.reset();
  });
}

void Watches::Set(const std::vector<WatchDefinition>& definitions) {
  loop_.PostAndWait([&] {
    auto& watches = state_->watches;
    std::vector<std::unique_ptr<Watch>> next;
    for (const WatchDefinition& definition : definitions) {
      const auto same =
          std::find_if(watches.begin(), watches.end(), [&definition](const auto& watch) {
            return watch != nullptr && watch->definition() == definition;
          });
      next.push_back(same == watches.end() ? std::make_unique<Watch>(*state_, definition)
                                           : std::move(*same));
    }
    watches = std::move(next);
  });
}

}  // namespace pharos::agent
