#pragma once

// Settings to a complete, commented file that parses back to the same Settings.
//
// Serves --print-settings, the sample in packaging, and hands the effective settings to the node.

#include <string>

#include "config/settings.h"

namespace cloister {

std::string RenderSettings(const Settings& settings);

}  // namespace cloister
