#pragma once

// Ends the process when one call inside of SQLite goes on long after its statement should have
// ended.
//
// SQLite looks at the time between its instructions. A single one of them (a search in a text of
// megabytes) cannot be stopped; then the process goes, and the app's other statements with it.

#include <chrono>

#include "apis/base/result.h"

namespace cloister {

// The process's exit code then.
inline constexpr int kQueryExitOverTime = 9;

// Begins to watch. Before the walls: the timer is the kernel's.
Result<void> WatchOvertime();

// The statement that runs now should be over by then; max: none runs.
void SetOvertime(std::chrono::steady_clock::time_point end);

}  // namespace cloister
