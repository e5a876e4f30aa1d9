// OS service checks: whether a unit of systemd is active.
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "agent/checks/command.h"
#include "agent/checks/probe.h"
#include "base/go_duration.h"

namespace pharos::agent {
namespace {

using registry::Health;

// systemctl(1), "exit status": 3 of is-active is a unit that is not.
constexpr int kInactive = 3;

class OsServiceProbe : public Probe {
 public:
  OsServiceProbe(const ProbeContext& context, const CheckDefinition& definition, size_t octets_max)
      : name_(definition.os_service), command_(context.loop.uv(), context.children, octets_max) {}

  ProbeResult TimedOut(absl::Duration timeout) override {
    return {Health::kCritical, absl::StrFormat("Timed out (%s) asking systemd for service \"%s\"",
                                               FormatGoDuration(timeout), name_)};
  }

 protected:
  std::optional<ProbeResult> Begin() override {
    const absl::Status started = command_.Start({"systemctl", "is-active", "--", name_},
                                                [this](int code) { TakeEnd(code); });
    if (started.ok()) return std::nullopt;
    return Unknown(std::string(started.message()));
  }

 private:
  void TakeEnd(int code) {
    const std::string printed(absl::StripSuffix(command_.Output(), "\n"));
    if (code == 0) {
      Finish({Health::kPassing, absl::StrFormat("Service \"%s\" is healthy", name_)});
    } else if (code == kInactive) {
      Finish(
          {Health::kCritical, absl::StrFormat("Service \"%s\" is unhealthy: %s", name_, printed)});
    } else {
      Finish(Unknown(printed));
    }
  }

  ProbeResult Unknown(const std::string& why) const {
    return {Health::kCritical,
            absl::StrFormat("Cannot ask systemd for service \"%s\": %s", name_, why)};
  }

  const std::string& name_;
  Command command_;
};

}  // namespace

std::unique_ptr<Probe> MakeOsServiceProbe(const ProbeContext& context,
                                          const CheckDefinition& definition, size_t octets_max) {
  return std::make_unique<OsServiceProbe>(context, definition, octets_max);
}

}  // namespace pharos::agent
