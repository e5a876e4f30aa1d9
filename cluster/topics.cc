#include "cluster/topics.h"

namespace pharos::cluster {
namespace {

std::string NamedTopic(char kind, std::string_view name) {
  std::string topic(1, kind);
  topic += name;
  return topic;
}

}  // namespace

std::string NodesTopic() { return "N"; }
std::string ServicesTopic() { return "S"; }
std::string ChecksTopic() { return "C"; }
std::string NodeTopic(std::string_view lower_name) { return NamedTopic('n', lower_name); }
std::string ServiceTopic(std::string_view lower_name) { return NamedTopic('s', lower_name); }
std::string ConnectTopic(std::string_view lower_name) { return NamedTopic('m', lower_name); }
std::string QueriesTopic() { return "Q"; }
std::string IngressTopic() { return "I"; }

std::set<std::string> TopicsOf(const registry::Changes& changes) {
  std::set<std::string> topics;
  if (changes.nodes) topics.insert(NodesTopic());
  if (changes.services) topics.insert(ServicesTopic());
  if (changes.checks) topics.insert(ChecksTopic());
  for (const std::string& name : changes.node_names) topics.insert(NodeTopic(name));
  for (const std::string& name : changes.service_names) topics.insert(ServiceTopic(name));
  for (const std::string& name : changes.connect_names) topics.insert(ConnectTopic(name));
  if (changes.queries) topics.insert(QueriesTopic());
  if (changes.ingress) topics.insert(IngressTopic());
  return topics;
}

}  // namespace pharos::cluster
