#pragma once

// From the operator's settings to what each part of the node takes.

#include <string>

#include "config/settings.h"
#include "daemon/http/settings.h"
#include "daemon/workers/node_supervisor.h"

namespace cloister {

ServerSettings FrontSettings(const Settings& settings);
// The admin socket serves few clients, whom the operator chose, with large bodies.
ServerSettings AdminServerSettings(const Settings& settings);
SupervisorOptions WorkersOptions(const Settings& settings);

}  // namespace cloister
