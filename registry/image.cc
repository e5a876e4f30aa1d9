#include "registry/image.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "registry/records.h"

namespace pharos::registry {
namespace {

using catalog::v1::ImageChunk;
using catalog::v1::ImageRecord;

catalog::v1::HealthStatus StatusOf(Health health) {
  switch (health) {
    case Health::kPassing:
      return catalog::v1::HEALTH_STATUS_PASSING;
    case Health::kWarning:
      return catalog::v1::HEALTH_STATUS_WARNING;
    case Health::kCritical:
      break;
  }
  return catalog::v1::HEALTH_STATUS_CRITICAL;
}

template <typename Map>
void CopyPairs(const StringPairs& pairs, Map& map) {
  for (const auto& [key, value] : pairs) map[key] = value;
}

void CopyLocality(const Locality& locality, catalog::v1::Locality& to) {
  to.set_region(locality.region);
  to.set_zone(locality.zone);
}

void CopyNode(const Node& node, catalog::v1::Node& to) {
  to.set_name(node.name);
  to.set_id(node.id.str());
  to.set_address(node.address.str());
  to.set_datacenter(node.datacenter.str());
  CopyPairs(node.tagged_addresses, *to.mutable_tagged_addresses());
  CopyPairs(node.meta, *to.mutable_meta());
  if (!node.locality.empty()) CopyLocality(node.locality, *to.mutable_locality());
}

void CopyService(const Service& service, catalog::v1::Service& to) {
  to.set_id(service.id.str());
  to.set_name(service.name.str());
  for (const std::string& tag : service.tags) to.add_tags(tag);
  to.set_address(service.address.str());
  to.set_port(service.port);
  CopyPairs(service.meta, *to.mutable_meta());
  for (const TaggedAddress& tagged : service.details->tagged_addresses) {
    catalog::v1::TaggedAddress& address = (*to.mutable_tagged_addresses())[tagged.name];
    address.set_address(tagged.address);
    address.set_port(tagged.port);
  }
  to.mutable_weights()->set_passing(service.weight_passing);
  to.mutable_weights()->set_warning(service.weight_warning);
  to.set_enable_tag_override(service.enable_tag_override);
  to.set_kind(service.details->kind);
  to.set_socket_path(service.details->socket_path);
  if (!service.details->locality.empty())
    CopyLocality(service.details->locality, *to.mutable_locality());
  to.set_proxy_destination(service.details->proxy_destination);
  to.set_connect_native(service.connect_native);
}

void CopyCheck(const HealthCheck& check, catalog::v1::HealthCheck& to) {
  to.set_id(check.id);
  to.set_name(check.name);
  to.set_status(StatusOf(check.status));
  to.set_notes(check.notes.get());
  to.set_output(check.output.get());
  to.set_service_id(check.service_id.get());
  to.set_type(check.type);
  to.set_interval(check.interval.get());
  to.set_timeout(check.timeout.get());
  to.set_definition(check.definition.get());
}

template <typename Record, typename Message>
void CopyIndexes(const Record& record, Message& to) {
  to.set_create_index(record.create_index);
  to.set_modify_index(record.modify_index);
}

template <typename Message>
void LimitIndexes(Message& message, uint64_t index_max) {
  message.set_create_index(std::min(message.create_index(), index_max));
  message.set_modify_index(std::min(message.modify_index(), index_max));
}

void CopyEntry(const NodeEntry& entry, catalog::v1::ImageNode& to) {
  CopyNode(*entry.node, *to.mutable_node());
  CopyIndexes(*entry.node, to);
  to.set_entry_modify_index(entry.modify_index);
  for (const auto& service : entry.services) {
    catalog::v1::ImageService& added = *to.add_services();
    CopyService(*service, *added.mutable_service());
    CopyIndexes(*service, added);
  }
  for (const auto& check : entry.checks) {
    catalog::v1::ImageCheck& added = *to.add_checks();
    CopyCheck(*check, *added.mutable_check());
    added.set_service_name(check->service_name.get());
    CopyIndexes(*check, added);
  }
}

// For the many small messages of a chunk, which are all done with at once.
google::protobuf::ArenaOptions ChunkArena() {
  google::protobuf::ArenaOptions options;
  options.start_block_size = kImageChunkOctets;
  options.max_block_size = kImageChunkOctets;
  return options;
}

// Gathers records into chunks.
class ChunkWriter {
 public:
  explicit ChunkWriter(const std::function<void(std::string)>& take) : take_(take) {}

  ImageRecord& Add() {
    if (octets_ >= kImageChunkOctets) Flush();
    if (chunk_ == nullptr) chunk_ = google::protobuf::Arena::CreateMessage<ImageChunk>(&arena_);
    return *chunk_->add_records();
  }
  // After the record that was added last has been filled in.
  void Added() { octets_ += chunk_->records(chunk_->records_size() - 1).ByteSizeLong(); }
  void Flush() {
    if (chunk_ != nullptr) take_(chunk_->SerializeAsString());
    chunk_ = nullptr;
    arena_.Reset();
    octets_ = 0;
  }

 private:
  const std::function<void(std::string)>& take_;
  google::protobuf::Arena arena_{ChunkArena()};
  ImageChunk* chunk_ = nullptr;
  size_t octets_ = 0;
};

void FillHeader(const Snapshot& snapshot, catalog::v1::ImageHeader& header) {
  header.set_index(snapshot.index());
  header.set_nodes_index(snapshot.nodes_index());
  header.set_services_index(snapshot.services_index());
  header.set_checks_index(snapshot.checks_index());
  header.set_queries_index(snapshot.queries_index());
  header.set_ingress_index(snapshot.ingress_index());
  header.set_extinction_index(snapshot.extinction_index());
  header.set_changed_unix_s(snapshot.changed_unix_s());
  header.set_datacenter(snapshot.datacenter());
  header.set_nodes(snapshot.node_count());
  header.set_queries(snapshot.query_count());
  header.set_gateways(snapshot.ingress().gateways.size());
}

}  // namespace

void WriteImage(const Snapshot& snapshot, const std::function<void(std::string)>& take) {
  ChunkWriter writer(take);
  FillHeader(snapshot, *writer.Add().mutable_header());
  writer.Added();
  snapshot.ForEachNode([&writer](const NodeEntry& entry) {
    CopyEntry(entry, *writer.Add().mutable_node());
    writer.Added();
  });
  const auto add_index = [&writer](bool connect) {
    return [&writer, connect](const std::string& name, uint64_t index) {
      catalog::v1::ImageServiceIndex& added = *writer.Add().mutable_service_index();
      added.set_name(name);
      added.set_modify_index(index);
      added.set_connect(connect);
      writer.Added();
    };
  };
  snapshot.ForEachServiceIndex(add_index(false));
  snapshot.ForEachConnectIndex(add_index(true));
  snapshot.ForEachQuery([&writer](const PreparedQuery& query) {
    catalog::v1::ImageQuery& added = *writer.Add().mutable_query();
    *added.mutable_query() = query.definition;
    CopyIndexes(query, added);
    writer.Added();
  });
  for (const auto& [name, gateway] : snapshot.ingress().gateways) {
    catalog::v1::ImageGateway& added = *writer.Add().mutable_gateway();
    *added.mutable_gateway() = gateway.definition;
    CopyIndexes(gateway, added);
    writer.Added();
  }
  writer.Flush();
}

namespace {

void WriteInstances(const Snapshot& snapshot, const ServiceEntry* entry,
                    catalog::v1::ImageChunk& part) {
  if (entry == nullptr) return;
  catalog::v1::ImageNode* node = nullptr;
  const Node* of = nullptr;
  for (const auto& instance : entry->instances) {
    const NodeEntry* on = snapshot.FindNode(LowerCase(instance->node->name));
    // By node name, so that all of one node stand together.
    if (instance->node.get() != of) {
      of = instance->node.get();
      node = part.add_records()->mutable_node();
      CopyNode(*instance->node, *node->mutable_node());
    }
    CopyService(*instance->service, *node->add_services()->mutable_service());
    if (on == nullptr) continue;
    const bool first = node->services_size() == 1;
    for (const auto& check : on->checks) {
      const bool of_node = check->service_id.empty();
      if (of_node ? !first
                  : LowerCase(check->service_id.get()) != LowerCase(instance->service->id)) {
        continue;
      }
      CopyCheck(*check, *node->add_checks()->mutable_check());
    }
  }
}

}  // namespace

void WriteServicePart(const Snapshot& snapshot, std::string_view lower_name,
                      catalog::v1::ImageChunk& part) {
  WriteInstances(snapshot, snapshot.FindService(lower_name), part);
}

void WriteConnectPart(const Snapshot& snapshot, std::string_view lower_name,
                      catalog::v1::ImageChunk& part) {
  WriteInstances(snapshot, snapshot.FindConnect(lower_name), part);
}

void WriteNodePart(const Snapshot& snapshot, std::string_view lower_name,
                   catalog::v1::ImageChunk& part) {
  const NodeEntry* entry = snapshot.FindNode(lower_name);
  if (entry == nullptr) return;
  catalog::v1::ImageNode& node = *part.add_records()->mutable_node();
  CopyNode(*entry->node, *node.mutable_node());
  for (const auto& check : entry->checks) {
    if (check->service_id.empty()) CopyCheck(*check, *node.add_checks()->mutable_check());
  }
}

void WriteWholeNodePart(const Snapshot& snapshot, std::string_view lower_name,
                        catalog::v1::ImageChunk& part) {
  const NodeEntry* entry = snapshot.FindNode(lower_name);
  if (entry != nullptr) CopyEntry(*entry, *part.add_records()->mutable_node());
}

void WriteQueriesPart(const Snapshot& snapshot, catalog::v1::ImageChunk& part) {
  snapshot.ForEachQuery([&part](const PreparedQuery& query) {
    *part.add_records()->mutable_query()->mutable_query() = query.definition;
  });
}

void WriteIngressPart(const Snapshot& snapshot, catalog::v1::ImageChunk& part) {
  for (const auto& [name, gateway] : snapshot.ingress().gateways) {
    *part.add_records()->mutable_gateway()->mutable_gateway() = gateway.definition;
  }
}

ImageReader::ImageReader(uint64_t index_max) : index_max_(index_max) {}
ImageReader::~ImageReader() = default;

absl::Status ImageReader::Add(std::string_view octets) {
  google::protobuf::Arena arena(ChunkArena());
  auto& chunk = *google::protobuf::Arena::CreateMessage<catalog::v1::ImageChunk>(&arena);
  if (!chunk.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
    return absl::DataLossError("a chunk of the image cannot be read");
  }
  for (ImageRecord& record : *chunk.mutable_records()) RETURN_IF_ERROR(AddRecord(record));
  return absl::OkStatus();
}

absl::Status ImageReader::AddRecord(ImageRecord& record) {
  if (record.has_header() == has_header_) {
    return absl::DataLossError(has_header_ ? "the image has two headers"
                                           : "the image does not begin with its header");
  }
  switch (record.record_case()) {
    case ImageRecord::kHeader:
      has_header_ = true;
      header_ = record.header();
      catalog_ = std::make_unique<Catalog>(header_.datacenter());
      return absl::OkStatus();
    case ImageRecord::kNode:
      ++nodes_;
      LimitIndexes(*record.mutable_node(), index_max_);
      for (auto& service : *record.mutable_node()->mutable_services()) {
        LimitIndexes(service, index_max_);
      }
      for (auto& check : *record.mutable_node()->mutable_checks()) {
        LimitIndexes(check, index_max_);
      }
      record.mutable_node()->set_entry_modify_index(
          std::min(record.node().entry_modify_index(), index_max_));
      return catalog_->AddFromImage(record.node());
    case ImageRecord::kServiceIndex:
      record.mutable_service_index()->set_modify_index(
          std::min(record.service_index().modify_index(), index_max_));
      catalog_->AddFromImage(record.service_index());
      return absl::OkStatus();
    case ImageRecord::kQuery:
      ++queries_;
      LimitIndexes(*record.mutable_query(), index_max_);
      return catalog_->AddFromImage(record.query());
    case ImageRecord::kGateway:
      ++gateways_;
      LimitIndexes(*record.mutable_gateway(), index_max_);
      return catalog_->AddFromImage(record.gateway());
    case ImageRecord::RECORD_NOT_SET:
      break;
  }
  return absl::DataLossError(
      "the image has a record of a kind that this version of Pharos does not know: it was written "
      "by a newer one");
}

absl::StatusOr<std::unique_ptr<Catalog>> ImageReader::Finish() {
  if (!has_header_) return absl::DataLossError("the image is empty");
  if (nodes_ != header_.nodes() || queries_ != header_.queries() ||
      gateways_ != header_.gateways()) {
    return absl::DataLossError(absl::StrFormat(
        "the image has %d nodes, %d queries and %d gateways; its header says %d, %d and %d", nodes_,
        queries_, gateways_, header_.nodes(), header_.queries(), header_.gateways()));
  }
  catalog_->FinishImage(header_);
  return std::move(catalog_);
}

}  // namespace pharos::registry
