#pragma once

// How long the kernel lets a process run before another one that waits may.
//
// Whoever asks for less is let in earlier when it wakes up, and has no smaller part of the CPU for
// it: sched(7), EEVDF. Children inherit it. Kernels before 6.12 take the request and ignore it.

#include <sys/types.h>

#include "apis/base/units.h"

namespace cloister {

// Of what all apps wait for; it works in short turns and then sleeps.
inline constexpr Micros kNodeTimeSlice{100};
// Of the workers of apps: one that computes makes the others wait no longer than this. The kernel's
// own is about 3 ms.
inline constexpr Micros kWorkerTimeSlice{500};

// For the calling process; false: errno says why. Safe between fork and exec.
bool AskForTimeSlice(Micros slice);
// What a process asked for; 0: nothing, or the kernel knows of no slices, or there is no process.
Micros TimeSliceOf(pid_t pid);

}  // namespace cloister
