#pragma once

// Follows a release through its steps until its walk is over.

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apis/base/names.h"
#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

// Prints each step above `seen` as it ends. Returns the answer about the release in its last state,
// rejected too. Survives a node that restarts in between.
Attempt<nlohmann::json> FollowRelease(AdminApi& api, const AppName& app,
                                      const nlohmann::json& release, std::uint64_t seen,
                                      Console& console);
// The sequence of the newest step that `release` shows.
std::uint64_t LastStep(const nlohmann::json& release);

// Why a release was rejected, as a Failure: file and line, traceback, advice.
Failure RejectionOf(const nlohmann::json& release);

}  // namespace cloister
