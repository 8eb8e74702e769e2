#pragma once

// Step environment: nothing of the daemon's environment is left in the worker's memory.

#include "apis/base/result.h"

namespace cloister {

// Overwrites every string that `environ` names, wherever it lies, and empties `environ`.
Result<void> WipeEnvironment();

}  // namespace cloister
