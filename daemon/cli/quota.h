#pragma once

// `cloister quota`: what tenants and apps may use.

#include <string>
#include <vector>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

// `owner` is TENANT/NAME for an app, TENANT for a tenant, empty for the node.
Attempt<void> ShowQuota(AdminApi& api, Console& console, const std::string& owner);
// `values`: NAME=VALUE each.
Attempt<void> SetQuotas(AdminApi& api, Console& console, const std::string& owner,
                        const std::vector<std::string>& values);
Attempt<void> UnsetQuotas(AdminApi& api, Console& console, const std::string& owner,
                          const std::vector<std::string>& names);

}  // namespace cloister
