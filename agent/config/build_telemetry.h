// The parts of the configuration about the log and about metrics.
#pragma once

#include "agent/config/build.h"

namespace pharos::agent {

void BuildLog(const Settings& settings, Config& config);
void BuildTelemetry(const Settings& settings, Config& config, BuildNotes& notes);

}  // namespace pharos::agent
