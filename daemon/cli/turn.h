#pragma once

// `cloister rollback` and `cloister promote`: another release is to serve.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

// `version`: empty for the release that was live before; or, while there is a canary, for no
// canary.
Attempt<void> Rollback(AdminApi& api, Console& console, const std::string& app,
                       const std::string& version);
Attempt<void> Promote(AdminApi& api, Console& console, const std::string& app,
                      const std::string& version);

}  // namespace cloister
