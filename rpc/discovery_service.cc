#include "rpc/discovery_service.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cluster/topics.h"
#include "registry/records.h"
#include "rpc/errors.h"
#include "rpc/unary_call.h"

namespace pharos::rpc {
namespace {

using registry::Snapshot;

constexpr size_t kPrefixOctetsMax = 512;

// A request of a method that takes octets.
template <typename Message>
absl::StatusOr<Message> Parse(const ::grpc::ByteBuffer& octets) {
  Message message;
  ::grpc::ByteBuffer copy = octets;  // Shares them; parsing uses it up.
  if (!::grpc::SerializationTraits<Message>::Deserialize(&copy, &message).ok()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the request is no %s", Message::descriptor()->full_name()));
  }
  return message;
}

absl::Status CheckPrefix(const std::string& prefix) {
  FieldProblems problems;
  if (prefix.size() > kPrefixOctetsMax) problems.Add("prefix", prefix, "at most 512 octets");
  return problems.status();
}

// The indexes of another epoch, or of none, say nothing.
uint64_t ResumeIndex(uint64_t index, uint64_t epoch, const Context& context) {
  return epoch == context.epoch ? index : 0;
}

}  // namespace

absl::Status DiscoveryService::Fill(const discovery::v1::LookupRequest& request,
                                    discovery::v1::LookupResponse& response) {
  ASSIGN_OR_RETURN(const InstanceQuery query,
                   MakeInstanceQuery(request.selector(), context_.datacenter));
  const Published<Snapshot>::ReadGuard snapshot(context_.consensus.published());
  if (snapshot->FindService(query.lower_service) == nullptr) {
    return WithReason(
        absl::NotFoundError(absl::StrFormat("no instance of service \"%s\" is registered",
                                            Excerpt(request.selector().service()))),
        "UNKNOWN_SERVICE");
  }
  std::vector<const registry::Instance*> instances = FindInstances(query, *snapshot);
  const size_t limit = request.limit() == 0 ? instances.size() : request.limit();
  const size_t count = std::min(instances.size(), limit);
  if (count < instances.size()) {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < count; ++i) {
      const auto rest = static_cast<uint32_t>(instances.size() - i);
      std::swap(instances[i], instances[i + random_.Below(rest)]);
    }
    instances.resize(count);
  }
  for (const registry::Instance* instance : instances) {
    FillInstance(*instance, *response.add_instances());
  }
  response.set_index(snapshot->ServiceIndex(query.lower_service));
  response.set_epoch(context_.epoch);
  return absl::OkStatus();
}

absl::Status DiscoveryService::Fill(const discovery::v1::ListServicesRequest& request,
                                    discovery::v1::ListServicesResponse& response) {
  RETURN_IF_ERROR(CheckPrefix(request.prefix()));
  const std::string prefix = registry::LowerCase(request.prefix());
  const Published<Snapshot>::ReadGuard snapshot(context_.consensus.published());
  std::vector<const registry::ServiceEntry*> services;
  snapshot->ForEachService([&](const registry::ServiceEntry& service) {
    if (service.name.starts_with(prefix)) services.push_back(&service);
  });
  std::sort(services.begin(), services.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  for (const registry::ServiceEntry* service : services) {
    FillSummary(*service, *response.add_services());
  }
  response.set_index(snapshot->index());
  response.set_epoch(context_.epoch);
  return absl::OkStatus();
}

template <typename Request, typename Response>
void DiscoveryService::AnswerWhenThere(const std::string& topic, const Request& request,
                                       Response* response,
                                       const std::shared_ptr<UnaryCall>& answer) {
  // The request and the response are the call's, which may be over when it is there.
  WhenThere(context_, {topic}, [this, request, response, answer](const absl::Status& there) {
    Response filled;
    const absl::Status status = there.ok() ? Fill(request, filled) : there;
    if (!status.ok()) return answer->Fail(status);
    answer->Answer([&] { *response = std::move(filled); });
  });
}

::grpc::ServerUnaryReactor* DiscoveryService::Lookup(::grpc::CallbackServerContext*,
                                                     const discovery::v1::LookupRequest* request,
                                                     discovery::v1::LookupResponse* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> answer = UnaryCall::Make();
  const std::string service = registry::LowerCase(request->selector().service());
  AnswerWhenThere(cluster::ServiceTopic(service), *request, response, answer);
  return answer.get();
}

::grpc::ServerUnaryReactor* DiscoveryService::ListServices(
    ::grpc::CallbackServerContext*, const discovery::v1::ListServicesRequest* request,
    discovery::v1::ListServicesResponse* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> answer = UnaryCall::Make();
  AnswerWhenThere(cluster::ServicesTopic(), *request, response, answer);
  return answer.get();
}

::grpc::ServerWriteReactor<::grpc::ByteBuffer>* DiscoveryService::Watch(
    ::grpc::CallbackServerContext* call, const ::grpc::ByteBuffer* octets) {
  return WatchStream::Start(
      context_, watches_, call,
      [this,
       request = Parse<discovery::v1::WatchRequest>(*octets)](WatchStream& stream) -> absl::Status {
        RETURN_IF_ERROR(request.status());
        ASSIGN_OR_RETURN(InstanceQuery query,
                         MakeInstanceQuery(request->selector(), context_.datacenter));
        const std::string key = "i" + query.key;
        return watches_.Follow(
            stream, key,
            [&] { return std::make_unique<InstancesView>(context_.epoch, std::move(query)); },
            ResumeIndex(request->resume_index(), request->resume_epoch(), context_));
      });
}

::grpc::ServerWriteReactor<::grpc::ByteBuffer>* DiscoveryService::WatchServices(
    ::grpc::CallbackServerContext* call, const ::grpc::ByteBuffer* octets) {
  return WatchStream::Start(
      context_, watches_, call,
      [this, request = Parse<discovery::v1::WatchServicesRequest>(*octets)](
          WatchStream& stream) -> absl::Status {
        RETURN_IF_ERROR(request.status());
        RETURN_IF_ERROR(CheckPrefix(request->prefix()));
        const std::string prefix = registry::LowerCase(request->prefix());
        return watches_.Follow(
            stream, "s" + prefix,
            [&] { return std::make_unique<ServicesView>(context_.epoch, prefix); },
            ResumeIndex(request->resume_index(), request->resume_epoch(), context_));
      });
}

}  // namespace pharos::rpc
