// An instance of the service `orders`. usage: orders ID [AGENT]
// Answers on a free port of loopback, and is found under orders.service.consul while it runs.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include "orders.grpc.pb.h"
#include "pharos/registration.h"

namespace {

class Orders final : public example::Orders::Service {
 public:
  explicit Orders(std::string id) : id_(std::move(id)) {}

  grpc::Status Count(grpc::ServerContext*, const example::CountRequest* request,
                     example::CountResponse* response) override {
    response->set_orders(static_cast<int>(request->customer().size()));
    response->set_answered_by(id_);
    return grpc::Status::OK;
  }

 private:
  const std::string id_;
};

// How long callers have to hear that this instance goes, before it takes no more calls.
constexpr std::chrono::milliseconds kHearing(300);

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: orders ID [AGENT]\n";
    return 2;
  }
  const std::string id = argv[1];
  pharos::Agents agents;
  if (argc > 2) agents.addresses = {argv[2]};
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  Orders orders(id);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&orders);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();

  pharos::InstanceSpec instance;
  instance.service = "orders";
  instance.id = id;
  instance.address = "127.0.0.1";
  instance.port = static_cast<uint16_t>(port);
  {
    pharos::Registration registration(agents, {instance});
    const grpc::Status registered = registration.Wait(std::chrono::seconds(10));
    if (!registered.ok()) {
      std::cerr << "cannot register: " << registered.error_message() << "\n";
      return 1;
    }
    std::cout << "orders " << id << " is found at 127.0.0.1:" << port << std::endl;
    int signal = 0;
    sigwait(&ending, &signal);
  }  // Here it is withdrawn; nobody who asks now is sent here.
  std::this_thread::sleep_for(kHearing);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  return 0;
}
