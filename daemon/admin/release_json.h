#pragma once

// A release as the admin API shows it: its rows, and what runs of it now.

#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/releases/pipeline.h"

namespace cloister {

// The workers of each release.
using Census = std::unordered_map<ReleaseId, std::vector<WorkerInfo>>;

// Of one app, now.
Census ReadCensus(const AdminContext& context, const AppName& app);

// "since": when the release got into its state. "running": requests that its workers execute; they
// are what pins a release that drains.
nlohmann::json ViewJson(const AdminContext& context, const AppName& app, const ReleaseView& view,
                        const Census& census);

}  // namespace cloister
