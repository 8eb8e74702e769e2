#pragma once

// The verbs that ask or change one thing: tenants, apps, releases, ps, status.
//
// With --json each prints the node's answer as it is, on one line.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

// What else goes with a delete.
enum class Deletion { kOnlyEmpty, kWithContents };

Attempt<void> CreateTenant(AdminApi& api, Console& console, const std::string& name);
Attempt<void> ListTenants(AdminApi& api, Console& console);
Attempt<void> DeleteTenant(AdminApi& api, Console& console, const std::string& name, Deletion mode);

Attempt<void> CreateApp(AdminApi& api, Console& console, const std::string& app);
// `tenant` empty: of all.
Attempt<void> ListApps(AdminApi& api, Console& console, const std::string& tenant);
Attempt<void> ShowApp(AdminApi& api, Console& console, const std::string& app);
Attempt<void> DeleteApp(AdminApi& api, Console& console, const std::string& app, Deletion mode);

// Whether those are listed, too, of which only version and digest are left.
enum class ReleaseList { kThere, kAll };
Attempt<void> ListReleases(AdminApi& api, Console& console, const std::string& app,
                           ReleaseList list);
// `app` empty: of all.
Attempt<void> ListWorkers(AdminApi& api, Console& console, const std::string& app);
Attempt<void> ShowStatus(AdminApi& api, Console& console);

}  // namespace cloister
