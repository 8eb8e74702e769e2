#pragma once

// `cloister modules`: what a release has loaded, and which modules the operator denies.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

// `app` empty: the operator's lists. `version` empty: of the live release.
Attempt<void> ListModules(AdminApi& api, Console& console, const std::string& app,
                          const std::string& version);

}  // namespace cloister
