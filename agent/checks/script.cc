// Script checks: a command of the operator's.
#include "absl/strings/str_format.h"
#include "agent/checks/command.h"
#include "agent/checks/probe.h"
#include "base/go_duration.h"

namespace pharos::agent {
namespace {

using registry::Health;

class ScriptProbe : public Probe {
 public:
  ScriptProbe(const ProbeContext& context, const CheckDefinition& definition, size_t octets_max)
      : definition_(definition), command_(context.loop.uv(), context.children, octets_max) {}

  ProbeResult TimedOut(absl::Duration timeout) override {
    std::string output = absl::StrFormat("Timed out (%s) running check", FormatGoDuration(timeout));
    const std::string printed = command_.Output();
    if (!printed.empty()) output += "\n\n" + printed;
    return {Health::kCritical, std::move(output)};
  }

 protected:
  std::optional<ProbeResult> Begin() override {
    const absl::Status started =
        command_.Start(definition_.args, [this](int code) { TakeEnd(code); });
    if (started.ok()) return std::nullopt;
    return ProbeResult{Health::kCritical, std::string(started.message())};
  }

 private:
  void TakeEnd(int code) {
    const Health status = code == 0   ? Health::kPassing
                          : code == 1 ? Health::kWarning
                                      : Health::kCritical;
    Finish({status, command_.Output()});
  }

  const CheckDefinition& definition_;
  Command command_;
};

}  // namespace

std::unique_ptr<Probe> MakeScriptProbe(const ProbeContext& context,
                                       const CheckDefinition& definition, size_t octets_max) {
  return std::make_unique<ScriptProbe>(context, definition, octets_max);
}

}  // namespace pharos::agent
