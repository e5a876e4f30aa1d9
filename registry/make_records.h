// Records from their messages, as the catalog keeps them. Pure functions.
#pragma once

#include <memory>
#include <string>

#include "proto/catalog.pb.h"
#include "registry/types.h"

namespace pharos::registry {

// Without indexes. What a message leaves out has its default; it has passed ValidateCommand.
// `datacenter` is that of a node which does not say.
std::unique_ptr<Node> MakeNode(const catalog::v1::Node& given, const std::string& datacenter);
std::unique_ptr<Service> MakeService(const catalog::v1::Service& given);
// Its service_name stays empty: who knows the service fills it in.
std::unique_ptr<HealthCheck> MakeHealthCheck(const catalog::v1::HealthCheck& given);

// Whether two records say the same, whatever their indexes.
bool SameContent(const Node& a, const Node& b);
bool SameContent(const Service& a, const Service& b);
bool SameContent(const HealthCheck& a, const HealthCheck& b);

}  // namespace pharos::registry
