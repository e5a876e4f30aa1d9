#include "rpc/validate.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/ip_address.h"
#include "base/status_macros.h"
#include "registry/records.h"
#include "rpc/errors.h"

namespace pharos::rpc {
namespace {

using discovery::v1::Health;
using discovery::v1::InstanceSpec;

constexpr size_t kLabelOctetsMax = 63;
constexpr size_t kIdOctetsMax = 255;
constexpr size_t kAddressOctetsMax = 253;
constexpr size_t kTagOctetsMax = 255;
constexpr int kTagsMax = 64;
constexpr size_t kMetaPairsMax = 64;
constexpr size_t kMetaKeyOctetsMax = 128;
constexpr size_t kTextOctetsMax = 512;
constexpr size_t kOutputOctetsMax = 4096;
constexpr size_t kRequestIdOctetsMax = 128;
constexpr uint32_t kPortMax = 65535;
constexpr uint32_t kWeightMax = 65535;
constexpr uint32_t kMsMin = 1000, kMsMax = 86'400'000;

bool IsLabel(std::string_view text) {
  if (text.empty() || text.size() > kLabelOctetsMax) return false;
  if (text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char octet) {
    return absl::ascii_isalnum(static_cast<unsigned char>(octet)) || octet == '-';
  });
}

bool IsPlain(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char octet) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(octet));
  });
}

bool IsMetaKey(std::string_view key) {
  if (key.empty() || key.size() > kMetaKeyOctetsMax || key.starts_with("consul-")) return false;
  return std::all_of(key.begin(), key.end(), [](char octet) {
    return absl::ascii_isalnum(static_cast<unsigned char>(octet)) || octet == '-' || octet == '_';
  });
}

bool IsAddress(std::string_view text) {
  if (text.size() > kAddressOctetsMax) return false;
  const std::optional<IpAddress> ip = IpAddress::Parse(text);
  return ip ? !ip->IsUnspecified() : !registry::HostNameWire(text).empty();
}

std::string Octets(size_t count) { return absl::StrFormat("%d octets", count); }

// Puts `field` behind the path of the message that has it.
class Fields {
 public:
  Fields(FieldProblems& problems, std::string prefix)
      : problems_(problems), prefix_(std::move(prefix)) {}

  void Check(bool good, std::string_view field, std::string_view given,
             std::string_view expected) const {
    if (!good) problems_.Add(absl::StrCat(prefix_, std::string(field)), given, expected);
  }
  void CheckLength(std::string_view field, std::string_view given, size_t octets_max) const {
    Check(given.size() <= octets_max, field, Octets(given.size()),
          absl::StrFormat("at most %d octets", octets_max));
  }

 private:
  FieldProblems& problems_;
  std::string prefix_;
};

void CheckHealth(const Fields& fields, Health health) {
  fields.Check(discovery::v1::Health_IsValid(health), "health",
               absl::StrCat(static_cast<int>(health)),
               "HEALTH_PASSING, HEALTH_WARNING or HEALTH_CRITICAL");
}

void CheckId(const Fields& fields, std::string_view id, bool required) {
  const bool good = id.size() <= kIdOctetsMax && IsPlain(id) && !(required && id.empty());
  fields.Check(good, "id", id,
               absl::StrFormat("%s %d octets without control characters",
                               required ? "1 to" : "at most", kIdOctetsMax));
}

void CheckTags(const Fields& fields, const google::protobuf::RepeatedPtrField<std::string>& tags) {
  fields.Check(tags.size() <= kTagsMax, "tags", absl::StrFormat("%d tags", tags.size()),
               absl::StrFormat("at most %d", kTagsMax));
  for (const std::string& tag : tags) {
    fields.Check(
        !tag.empty() && tag.size() <= kTagOctetsMax && IsPlain(tag), "tags", tag,
        absl::StrFormat("tags of 1 to %d octets without control characters", kTagOctetsMax));
  }
}

void CheckMeta(const Fields& fields, const google::protobuf::Map<std::string, std::string>& meta) {
  fields.Check(meta.size() <= kMetaPairsMax, "meta", absl::StrFormat("%d pairs", meta.size()),
               absl::StrFormat("at most %d", kMetaPairsMax));
  for (const auto& [key, value] : meta) {
    fields.Check(IsMetaKey(key), "meta", key,
                 "keys of 1 to 128 letters, digits, `-` and `_`, not beginning with `consul-`");
    fields.Check(value.size() <= kTextOctetsMax, absl::StrFormat("meta[\"%s\"]", Excerpt(key)),
                 Octets(value.size()), absl::StrFormat("at most %d octets", kTextOctetsMax));
  }
}

void CheckInstance(const InstanceSpec& instance, const Fields& fields) {
  CheckId(fields, instance.id(), false);
  fields.Check(IsLabel(instance.service()), "service", instance.service(),
               "1 to 63 letters, digits and dashes, no dash at either end");
  fields.Check(instance.port() <= kPortMax, "port", absl::StrCat(instance.port()),
               "a port from 0 to 65535");
  fields.Check(instance.address().empty() || IsAddress(instance.address()), "address",
               instance.address(), "an IP address, a host name or nothing");
  CheckTags(fields, instance.tags());
  CheckMeta(fields, instance.meta());
  const uint32_t passing = instance.has_weights() ? instance.weights().passing() : 1;
  fields.Check(passing >= 1 && passing <= kWeightMax, "weights.passing", absl::StrCat(passing),
               "a weight from 1 to 65535");
  fields.Check(instance.weights().warning() <= kWeightMax, "weights.warning",
               absl::StrCat(instance.weights().warning()), "a weight from 0 to 65535");
  fields.CheckLength("locality.region", instance.locality().region(), kTextOctetsMax);
  fields.CheckLength("locality.zone", instance.locality().zone(), kTextOctetsMax);
  CheckHealth(fields, instance.health());
}

// 0 stands for a default or for none.
void CheckMs(const Fields& fields, std::string_view field, uint32_t ms, uint32_t min) {
  fields.Check(ms == 0 || (ms >= min && ms <= kMsMax), field, absl::StrFormat("%d ms", ms),
               absl::StrFormat("0, or %d to %d ms", min, kMsMax));
}

void CheckReport(const Fields& fields, std::string_view id, Health health,
                 std::string_view output) {
  CheckId(fields, id, true);
  CheckHealth(fields, health);
  fields.CheckLength("output", output, kOutputOctetsMax);
}

absl::Status CheckOpen(const discovery::v1::HoldOpen& open) {
  if (open.instances_size() > kInstancesPerLeaseMax) {
    return WithReason(
        absl::ResourceExhaustedError(absl::StrFormat(
            "open.instances has %d instances; expected at most %d. Several leases may hold more",
            open.instances_size(), kInstancesPerLeaseMax)),
        "LEASE_TOO_LARGE");
  }
  FieldProblems problems;
  const Fields fields(problems, "open.");
  fields.CheckLength("lease_id", open.lease_id(), kRequestIdOctetsMax);
  CheckMs(fields, "ttl_ms", open.ttl_ms(), kMsMin);
  CheckMs(fields, "grace_ms", open.grace_ms(), 1);
  std::set<std::string_view> ids;
  for (int i = 0; i < open.instances_size() && problems.empty(); ++i) {
    const InstanceSpec& instance = open.instances(i);
    const Fields its_fields(problems, absl::StrFormat("open.instances[%d].", i));
    CheckInstance(instance, its_fields);
    its_fields.Check(ids.insert(IdOf(instance)).second, "id", IdOf(instance),
                     "each id once in a lease");
  }
  return problems.status();
}

}  // namespace

const std::string& IdOf(const InstanceSpec& instance) {
  return instance.id().empty() ? instance.service() : instance.id();
}

absl::Status Validate(const discovery::v1::RegisterRequest& request) {
  FieldProblems problems;
  const Fields fields(problems, "");
  fields.CheckLength("request_id", request.request_id(), kRequestIdOctetsMax);
  CheckMs(fields, "ttl_ms", request.ttl_ms(), kMsMin);
  CheckInstance(request.instance(), Fields(problems, "instance."));
  return problems.status();
}

absl::Status Validate(const discovery::v1::DeregisterRequest& request) {
  FieldProblems problems;
  const Fields fields(problems, "");
  fields.CheckLength("request_id", request.request_id(), kRequestIdOctetsMax);
  CheckId(fields, request.id(), true);
  return problems.status();
}

absl::Status Validate(const discovery::v1::UpdateHealthRequest& request) {
  FieldProblems problems;
  const Fields fields(problems, "");
  fields.CheckLength("request_id", request.request_id(), kRequestIdOctetsMax);
  CheckReport(fields, request.id(), request.health(), request.output());
  return problems.status();
}

absl::Status Validate(const discovery::v1::HoldRequest& request) {
  using discovery::v1::HoldRequest;
  FieldProblems problems;
  switch (request.request_case()) {
    case HoldRequest::kOpen:
      return CheckOpen(request.open());
    case HoldRequest::kRegister:
      CheckInstance(request.register_().instance(), Fields(problems, "register.instance."));
      break;
    case HoldRequest::kDeregister:
      CheckId(Fields(problems, "deregister."), request.deregister().id(), true);
      break;
    case HoldRequest::kHealth:
      CheckReport(Fields(problems, "health."), request.health().id(), request.health().health(),
                  request.health().output());
      break;
    case HoldRequest::kRelease:
      break;
    case HoldRequest::REQUEST_NOT_SET:
      problems.Add("request", "", "one of open, register, deregister, health and release");
      break;
  }
  return problems.status();
}

absl::Status Validate(const discovery::v1::Selector& selector) {
  FieldProblems problems;
  const Fields fields(problems, "selector.");
  fields.Check(!selector.service().empty() && selector.service().size() <= kTextOctetsMax,
               "service", selector.service(), absl::StrFormat("1 to %d octets", kTextOctetsMax));
  CheckTags(fields, selector.tags());
  fields.Check(discovery::v1::Include_IsValid(selector.include()), "include",
               absl::StrCat(static_cast<int>(selector.include())), "a value of Include");
  fields.CheckLength("datacenter", selector.datacenter(), kTextOctetsMax);
  return problems.status();
}

}  // namespace pharos::rpc
