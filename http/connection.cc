#include "http/connection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "http/server.h"
#include "http/server_thread.h"

namespace pharos::http {
namespace {

// What may wait unparsed behind a request that is being answered, before the client's octets stay
// in the kernel.
constexpr size_t kPipelinedOctetsMax = size_t{64} * 1024;
// How long, and how many of, a refused client's octets are read and dropped.
constexpr uint64_t kLingerMs = 1000;
constexpr size_t kLingerOctetsMax = size_t{1} << 20;
// The buffer that a connection keeps between its requests.
constexpr size_t kKeptOctets = 4096;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

uint64_t ToMs(absl::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
}

}  // namespace

// An exchange outlives its connection when its handler keeps it; then it answers nobody.
class ConnectionExchange : public Exchange {
 public:
  ConnectionExchange(Connection& connection, Loop& loop, Request request)
      : connection_(&connection), loop_(loop), request_(std::move(request)) {}

  const Request& request() const override { return request_; }
  Loop& loop() override { return loop_; }
  void Respond(Response response) override {
    if (connection_ != nullptr) connection_->Respond(response);
  }
  void BeginStream(Response head) override {
    if (connection_ != nullptr) connection_->BeginStream(head);
  }
  bool Write(std::string_view piece) override {
    return connection_ != nullptr && connection_->WritePiece(piece);
  }
  void EndStream() override {
    if (connection_ != nullptr) connection_->EndStream();
  }
  bool gone() const override { return connection_ == nullptr; }
  void OnGone(std::function<void()> callback) override { on_gone_ = std::move(callback); }

  void ForgetTheRest() override {
    TextPairs().swap(request_.headers);
    std::string().swap(request_.body);
    request_.query.shrink_to_fit();
  }

  bool wants_to_know() const { return on_gone_ != nullptr; }
  // The connection is done with this.
  void Detach() {
    connection_ = nullptr;
    on_gone_ = nullptr;
  }
  // The client has left.
  void Leave() {
    connection_ = nullptr;
    if (auto callback = std::exchange(on_gone_, nullptr)) callback();
  }

 private:
  Connection* connection_;
  Loop& loop_;
  Request request_;
  std::function<void()> on_gone_;
};

Connection::Connection(ServerThread& thread, uint64_t id, bool is_pipe, const TlsContext& tls)
    : thread_(thread),
      id_(id),
      handle_{},
      parser_({.head_octets_max = thread.options().head_octets_max,
               .body_octets_max = thread.options().body_octets_max,
               .large_path = thread.options().large_path,
               .large_body_octets_max = thread.options().large_body_octets_max}) {
  if (is_pipe) {
    CHECK(uv_pipe_init(thread.loop().uv(), &handle_.pipe, 0) == 0);
  } else {
    CHECK(uv_tcp_init(thread.loop().uv(), &handle_.tcp) == 0);
  }
  handle_.handle.data = this;
  if (tls != nullptr) tls_ = std::make_unique<TlsStream>(tls);
  waiting_since_ms_ = progress_ms_ = uv_now(thread.loop().uv());
}

void Connection::StartReading() {
  if (reading_ || closing_ || client_ended_) return;
  reading_ = uv_read_start(
                 &handle_.stream,
                 [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
                   std::string& shared =
                       static_cast<Connection*>(handle->data)->thread_.read_buffer();
                   *buffer = uv_buf_init(shared.data(), static_cast<unsigned>(shared.size()));
                 },
                 &Connection::OnRead) == 0;
}

void Connection::OnRead(uv_stream_t* stream, ssize_t octets, const uv_buf_t* buffer) {
  auto& self = *static_cast<Connection*>(stream->data);
  if (octets < 0) return self.OnEnd();
  if (octets == 0) return;
  if (self.lingering_) {
    self.lingered_octets_ += static_cast<size_t>(octets);
    if (self.lingered_octets_ > kLingerOctetsMax) self.Close();
    return;
  }
  self.thread_.counters().octets_in += static_cast<uint64_t>(octets);
  self.Receive(std::string_view(buffer->base, static_cast<size_t>(octets)));
}

void Connection::Receive(std::string_view octets) {
  if (tls_ == nullptr) {
    input_ += octets;
    return Parse();
  }
  const bool open = tls_->Receive(octets, input_);
  const std::string output = tls_->TakeOutput();
  if (!output.empty()) SendRaw(output, {});
  if (closing_) return;
  if (!open) {
    if (!tls_->handshake_done()) ++thread_.counters().tls_failed;
    return OnEnd();
  }
  Parse();
}

// The client sends no more. One that has asked, and whose answer is under way without anybody
// wanting to know of its end, is answered still: it may have closed its half only.
void Connection::OnEnd() {
  client_ended_ = true;
  const bool half_closed = exchange_ != nullptr && !exchange_->wants_to_know() && !streaming_;
  if (half_closed || (exchange_ == nullptr && close_when_sent_ && !lingering_)) {
    uv_read_stop(&handle_.stream);
    reading_ = false;
    close_after_ = true;
    return;
  }
  Close();
}

void Connection::SetWaiting(Waiting waiting) {
  // A head's time runs from its first octet, a body's from its last.
  if (waiting == waiting_ && waiting != Waiting::kForBody) return;
  waiting_ = waiting;
  waiting_since_ms_ = uv_now(thread_.loop().uv());
}

void Connection::Parse() {
  if (std::exchange(parsing_, true)) return;
  while (!closing_ && !close_when_sent_ && exchange_ == nullptr && !input_.empty()) {
    const size_t used = parser_.Feed(input_);
    input_.erase(0, used);
    switch (parser_.state()) {
      case RequestParser::State::kComplete:
        Dispatch();
        break;
      case RequestParser::State::kRefused:
        Refuse();
        break;
      case RequestParser::State::kBody:
        SetWaiting(Waiting::kForBody);
        MaybeContinue();
        break;
      case RequestParser::State::kHead:
      case RequestParser::State::kIdle:
        SetWaiting(Waiting::kForHead);
        break;
    }
  }
  parsing_ = false;
  if (closing_) return;
  if (exchange_ != nullptr && input_.size() > kPipelinedOctetsMax && reading_) {
    uv_read_stop(&handle_.stream);
    reading_ = false;
  } else if (exchange_ == nullptr) {
    StartReading();
    if (input_.capacity() > kKeptOctets && input_.empty()) std::string().swap(input_);
  } else if (input_.empty()) {
    // A request that is held for minutes keeps no more than it needs.
    std::string().swap(input_);
  }
}

void Connection::MaybeContinue() {
  if (!parser_.expects_continue() || std::exchange(continued_, true)) return;
  Send(kContinue, {});
}

void Connection::Refuse() {
  const int status = parser_.refusal().status;
  ThreadCounters& counters = thread_.counters();
  (status == 413 || status == 431 ? counters.too_large : counters.malformed) += 1;
  RefuseAndClose(parser_.refusal());
}

void Connection::RefuseAndClose(const Response& response) {
  const ServerOptions& options = thread_.options();
  const Encoded encoded =
      EncodeResponse(response, {.keep_alive = false}, thread_.Date(), options.response_headers);
  Send(encoded.head, encoded.body);
  CloseWhenSent(true);
}

void Connection::Dispatch() {
  ++thread_.counters().requests;
  continued_ = false;
  SetWaiting(Waiting::kForHandler);
  close_after_ = client_ended_ || !parser_.keeps_alive();
  dispatched_ns_ = uv_hrtime();
  Request request = parser_.TakeRequest();
  request.peer = peer_;
  gzip_ = AcceptsGzip(request.Header("accept-encoding").value_or(""));
  exchange_ = std::make_shared<ConnectionExchange>(*this, thread_.loop(), std::move(request));
  if (tls_ != nullptr) {
    if (std::string problem = tls_->ClientProblem(); !problem.empty()) {
      ++thread_.counters().tls_failed;
      close_after_ = true;
      return Respond(TextResponse(400, std::move(problem)));
    }
  }
  // Ours keeps it alive while the handler runs, which may answer and so let go of it.
  const std::shared_ptr<ConnectionExchange> exchange = exchange_;
  thread_.handler().Handle(exchange);
}

Delivery Connection::MakeDelivery(const Request& request, bool stream) const {
  return {.http_1_0 = parser_.is_http_1_0(),
          .keep_alive = !close_after_,
          .head_only = request.method == Method::kHead,
          .gzip = gzip_,
          .stream = stream};
}

void Connection::Respond(const Response& response) {
  if (closing_ || streaming_) return;
  Count(response.status);
  const Encoded encoded = EncodeResponse(response, MakeDelivery(exchange_->request(), false),
                                         thread_.Date(), thread_.options().response_headers);
  Send(encoded.head, encoded.body);
  FinishExchange();
}

void Connection::Count(int status) {
  const Request& request = exchange_->request();
  EndpointCounters& endpoint = thread_.counters().endpoints[EndpointGroupOf(request.path)];
  endpoint.responses[std::clamp(status / 100, 0, 5)].Add();
  if (!request.HasParameter("index") && !request.HasParameter("hash")) {
    endpoint.duration.Add(uv_hrtime() - dispatched_ns_);
  }
}

void Connection::BeginStream(const Response& head) {
  if (closing_ || streaming_) return;
  Count(head.status);
  chunked_ = !parser_.is_http_1_0();
  if (!chunked_) close_after_ = true;
  streaming_ = true;
  const Encoded encoded = EncodeResponse(head, MakeDelivery(exchange_->request(), true),
                                         thread_.Date(), thread_.options().response_headers);
  Send(encoded.head, {});
}

bool Connection::WritePiece(std::string_view piece) {
  if (closing_ || !streaming_) return false;
  if (unsent_octets_ + piece.size() > thread_.options().unsent_octets_max) return false;
  if (piece.empty() || exchange_->request().method == Method::kHead) return true;
  if (chunked_) {
    Send(EncodeChunk(piece), {});
  } else {
    Send(piece, {});
  }
  return !closing_;
}

void Connection::EndStream() {
  if (closing_ || !streaming_) return;
  streaming_ = false;
  if (chunked_) Send(kLastChunk, {});
  FinishExchange();
}

void Connection::FinishExchange() {
  if (closing_) return;
  exchange_->Detach();
  exchange_.reset();
  if (close_after_) return CloseWhenSent(false);
  SetWaiting(Waiting::kForRequest);
  // What came meanwhile; from within Parse, its loop goes on with it.
  if (!parsing_) Parse();
}

void Connection::Send(std::string_view head, std::string_view body) {
  if (tls_ == nullptr) return SendRaw(head, body);
  tls_->Send(head);
  tls_->Send(body);
  SendRaw(tls_->TakeOutput(), {});
}

void Connection::SendRaw(std::string_view head, std::string_view body) {
  if (closing_) return;
  size_t sent = 0;
  if (unsent_octets_ == 0) {
    // libuv's buffers are not const; it does not write to them.
    const uv_buf_t buffers[] = {
        uv_buf_init(const_cast<char*>(head.data()), static_cast<unsigned>(head.size())),
        uv_buf_init(const_cast<char*>(body.data()), static_cast<unsigned>(body.size()))};
    const int written = uv_try_write(&handle_.stream, buffers, body.empty() ? 1 : 2);
    if (written < 0 && written != UV_EAGAIN) return Close();
    sent = written < 0 ? 0 : static_cast<size_t>(written);
    thread_.counters().octets_out += sent;
    progress_ms_ = uv_now(thread_.loop().uv());
  }
  if (sent == head.size() + body.size()) return;

  struct Write {
    uv_write_t request;
    std::string octets;
  };
  auto* write = new Write;
  write->request.data = write;
  write->octets = head.substr(std::min(sent, head.size()));
  write->octets += body.substr(sent > head.size() ? sent - head.size() : 0);
  unsent_octets_ += write->octets.size();
  const uv_buf_t buffer =
      uv_buf_init(write->octets.data(), static_cast<unsigned>(write->octets.size()));
  const int error =
      uv_write(&write->request, &handle_.stream, &buffer, 1, [](uv_write_t* request, int status) {
        const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
        auto& self = *static_cast<Connection*>(request->handle->data);
        self.OnSent(status, done->octets.size());
      });
  if (error != 0) {
    delete write;
    Close();
  }
}

void Connection::OnSent(int status, size_t octets) {
  unsent_octets_ -= octets;
  progress_ms_ = uv_now(thread_.loop().uv());
  if (closing_) return;
  if (status != 0) return Close();
  thread_.counters().octets_out += octets;
  if (unsent_octets_ == 0 && close_when_sent_) CloseWhenSent(lingering_);
}

void Connection::CloseWhenSent(bool linger) {
  if (closing_) return;
  if (!close_when_sent_ && tls_ != nullptr) {
    tls_->Shutdown();
    SendRaw(tls_->TakeOutput(), {});
    if (closing_) return;
  }
  close_when_sent_ = true;
  lingering_ = linger;
  waiting_since_ms_ = uv_now(thread_.loop().uv());
  if (unsent_octets_ > 0) return;
  if (!linger || client_ended_) return Close();
  auto* shutdown = new uv_shutdown_t;
  if (uv_shutdown(shutdown, &handle_.stream, [](uv_shutdown_t* request, int) { delete request; }) !=
      0) {
    delete shutdown;
    return Close();
  }
  StartReading();
}

void Connection::CloseIfOverdue(uint64_t now_ms) {
  if (closing_) return;
  const ServerOptions& options = thread_.options();
  const uint64_t waited_ms = now_ms - waiting_since_ms_;
  if (unsent_octets_ > 0 && now_ms - progress_ms_ > ToMs(options.write_timeout)) {
    ++thread_.counters().timed_out;
    return Close();
  }
  if (close_when_sent_) {
    if (unsent_octets_ == 0 && waited_ms > kLingerMs) Close();
    return;
  }
  if (tls_ != nullptr && !tls_->handshake_done()) {
    if (waited_ms > ToMs(options.handshake_timeout)) {
      ++thread_.counters().timed_out;
      Close();
    }
    return;
  }
  switch (waiting_) {
    case Waiting::kForRequest:
      if (waited_ms > ToMs(options.idle_timeout)) Close();
      return;
    case Waiting::kForHead:
    case Waiting::kForBody: {
      const absl::Duration limit =
          waiting_ == Waiting::kForHead ? options.head_timeout : options.body_timeout;
      if (waited_ms <= ToMs(limit)) return;
      ++thread_.counters().timed_out;
      return RefuseAndClose(TextResponse(408, "Request timed out"));
    }
    case Waiting::kForHandler:
      return;
  }
}

void Connection::Close() {
  if (std::exchange(closing_, true)) return;
  thread_.Forget(*this);
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->Leave();
  uv_close(&handle_.handle,
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
}

}  // namespace pharos::http
