#pragma once

// APP as people write it on the command line: TENANT/NAME, or NAME where the node has one tenant.

#include <string>
#include <string_view>

#include "apis/base/names.h"
#include "daemon/cli/api.h"

namespace cloister {

// Asks the node for its tenants only when `text` names none.
Attempt<AppName> ResolveApp(AdminApi& api, std::string_view text);

}  // namespace cloister
