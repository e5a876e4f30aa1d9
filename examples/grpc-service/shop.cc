// A shop that asks the service `orders` over and over. usage: shop [AGENT [CALLS]]
// Prints who answered, and ends with how many calls failed.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <map>
#include <string>
#include <thread>

#include "orders.grpc.pb.h"
#include "pharos/balanced_channel.h"

int main(int argc, char** argv) {
  pharos::Agents agents;
  if (argc > 1) agents.addresses = {argv[1]};
  const int calls = argc > 2 ? std::stoi(argv[2]) : 1000;

  const pharos::BalancedChannel orders(agents, "orders");
  if (!orders.Wait(std::chrono::seconds(10))) {
    std::cerr << "nobody offers orders\n";
    return 1;
  }
  int failed = 0;
  std::map<std::string, int> answered;
  for (int i = 0; i < calls; ++i) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    // Rather waits for an instance than fails for want of one.
    context.set_wait_for_ready(true);
    example::CountRequest request;
    request.set_customer("c" + std::to_string(i));
    example::CountResponse response;
    const grpc::Status status =
        example::Orders::NewStub(orders.Get())->Count(&context, request, &response);
    if (status.ok()) {
      if (answered[response.answered_by()]++ == 0) {
        std::cout << "answered by " << response.answered_by() << std::endl;
      }
    } else {
      ++failed;
      std::cout << "failed: " << status.error_message() << std::endl;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const auto& [id, count] : answered) std::cout << id << " answered " << count << "\n";
  std::cout << failed << " of " << calls << " calls failed" << std::endl;
  return failed == 0 ? 0 : 1;
}
