// One client's connection: octets in, requests to the handler one at a time, responses out.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "http/request_parser.h"
#include "http/response_writer.h"
#include "http/tls.h"

namespace pharos::http {

struct ServerOptions;
class ConnectionExchange;
class ServerThread;

// Confined to its thread. Deletes itself when it is closed; ServerThread keeps the list.
class Connection {
 public:
  // Takes a handle that accepted the client. `tls` null: plain text. `peer` is empty on a Unix
  // socket.
  Connection(ServerThread& thread, uint64_t id, bool is_pipe, const TlsContext& tls);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  uv_stream_t* stream() { return &handle_.stream; }
  uint64_t id() const { return id_; }
  const std::string& peer() const { return peer_; }
  void set_peer(std::string peer) { peer_ = std::move(peer); }

  void StartReading();
  // Answers without a request, and closes.
  void RefuseAndClose(const Response& response);
  // Closes if it has waited longer than its present state allows. `now_ms` is the loop's time.
  void CloseIfOverdue(uint64_t now_ms);
  // Closes at once; who waits for an answer's end is told.
  void Close();

 private:
  friend class ConnectionExchange;

  enum class Waiting : uint8_t { kForRequest, kForHead, kForBody, kForHandler };

  static void OnRead(uv_stream_t* stream, ssize_t octets, const uv_buf_t* buffer);
  void Receive(std::string_view octets);
  void OnEnd();
  void Parse();
  void SetWaiting(Waiting waiting);
  void Dispatch();
  void MaybeContinue();
  void Refuse();

  // From the exchange.
  void Respond(const Response& response);
  void BeginStream(const Response& head);
  bool WritePiece(std::string_view piece);
  void EndStream();
  void FinishExchange();
  void Count(int status);

  Delivery MakeDelivery(const Request& request, bool stream) const;
  void Send(std::string_view head, std::string_view body);
  void SendRaw(std::string_view head, std::string_view body);
  void OnSent(int status, size_t octets);
  // Ends the connection once everything is sent. `linger`: the client may be sending still; wait
  // for its end a moment, so that it reads the answer before it learns that we are gone.
  void CloseWhenSent(bool linger);

  ServerThread& thread_;
  const uint64_t id_;
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } handle_;
  std::string peer_;
  RequestParser parser_;
  std::unique_ptr<TlsStream> tls_;
  std::string input_;  // Plain octets that are not parsed yet.
  std::shared_ptr<ConnectionExchange> exchange_;
  Waiting waiting_ = Waiting::kForRequest;
  uint64_t waiting_since_ms_ = 0;
  uint64_t progress_ms_ = 0;    // When octets last went out.
  uint64_t dispatched_ns_ = 0;  // When the present request was handed on.
  size_t lingered_octets_ = 0;
  size_t unsent_octets_ = 0;  // Handed to libuv, and not yet to the kernel.
  bool reading_ = false;
  bool parsing_ = false;
  bool continued_ = false;     // 100 Continue was sent for this request.
  bool client_ended_ = false;  // It sends no more.
  bool close_when_sent_ = false;
  bool lingering_ = false;
  bool closing_ = false;
  bool streaming_ = false;    // Between BeginStream and EndStream.
  bool chunked_ = false;      // Its pieces go out as chunks.
  bool close_after_ = false;  // The present response is the last one.
  bool gzip_ = false;         // Who asked the present request takes gzip.
};

}  // namespace pharos::http
