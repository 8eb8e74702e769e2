#pragma once

// Step session: a session and process group of the worker's own, without a terminal.

#include "apis/base/result.h"

namespace cloister {

// Without it kill(0) reaches the zygote's process group, out of the pid namespace.
Result<void> LeaveSession();

}  // namespace cloister
