#pragma once

// What stands before any other process is started: identities, state directory, listeners, cgroups.
//
// Made once; the order is: what may be refused without a trace first, privileges are dropped last.

#include <memory>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "config/settings.h"
#include "daemon/keeper/cgroups.h"
#include "daemon/keeper/listeners.h"
#include "daemon/keeper/privileges.h"
#include "daemon/keeper/spawn.h"
#include "daemon/keeper/state_lock.h"

namespace cloister {

struct Ground {
  Settings settings;
  Identities identities;
  StateLock lock;
  std::vector<Listener> listeners;
  std::unique_ptr<Cgroups> cgroups;
  std::string program_directory;  // of our own executable; the other programs lie beside it
  UniqueFd cache_directory;       // of the cache server's socket
  UniqueFd keeper_pidfd;          // ours, for children that must not outlive us
  int landlock_abi = 0;
};

// Refuses the start when a mandatory wall or something in node.require is missing, another keeper
// has the state directory, or an address is taken.
Result<Ground> PrepareGround(const Settings& settings);

// A plan to start `program` with its control socket at descriptor 3 and the children's lock at 4.
ChildPlan PlanChild(const Ground& ground, const std::string& program, int control_fd);

}  // namespace cloister
