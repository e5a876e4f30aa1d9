// An exchange for tests, without a connection.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "http/exchange.h"

namespace pharos::http {

struct TestExchange : Exchange {
  Request given;
  Loop* at = nullptr;
  std::vector<Response> responses;
  std::function<void(const Response&)> on_response;
  bool left = false;
  std::function<void()> on_gone;

  const Request& request() const override { return given; }
  Loop& loop() override { return *at; }
  void Respond(Response response) override {
    if (left) return;
    on_gone = nullptr;
    responses.push_back(std::move(response));
    if (on_response) on_response(responses.back());
  }
  void BeginStream(Response head) override { responses.push_back(std::move(head)); }
  bool Write(std::string_view) override { return !left; }
  void EndStream() override {}
  bool gone() const override { return left; }
  void OnGone(std::function<void()> callback) override { on_gone = std::move(callback); }

  // The client leaves.
  void Leave() {
    left = true;
    if (auto callback = std::exchange(on_gone, nullptr)) callback();
  }
};

}  // namespace pharos::http
