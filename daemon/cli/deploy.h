#pragma once

// cloister deploy: a directory becomes a release.
//
// Reads the manifest, collects packages, finds and hashes files, sends what the node has not got,
// then follows the release until it serves or is rejected.

#include <cstdint>
#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"
#include "daemon/cli/packages.h"

namespace cloister {

struct DeployOptions {
  enum class Downgrade { kRefuse, kAllow };

  std::string folder = ".";
  std::string app;  // empty: as the manifest says
  Downgrade downgrade = Downgrade::kRefuse;
  // kLive, all requests go to it; kCheck, it is only tried; kCanary, `canary_percent` of them do.
  enum class Goal { kLive, kCheck, kCanary };
  Goal goal = Goal::kLive;
  std::uint32_t canary_percent = 0;
  bool no_rehearsal = false;  // the release script runs for good only
  std::string python = kDefaultPython;
};

Attempt<void> Deploy(AdminApi& api, Console& console, const DeployOptions& options);

}  // namespace cloister
