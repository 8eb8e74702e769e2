#pragma once

// Step parent_death: the worker dies with the keeper.

#include "apis/base/result.h"

namespace cloister {

// Arms SIGKILL at the parent's death. Must come after the last change of credentials, which would
// disarm it. `keeper_pidfd` closes the race: kUnavailable when the keeper died before.
Result<void> ArmParentDeath(int keeper_pidfd);

}  // namespace cloister
