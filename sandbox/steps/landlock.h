#pragma once

// Step landlock: a rule set without a rule, so everything that Landlock knows of is refused.

#include "apis/base/result.h"

namespace cloister {

// The host's Landlock ABI, 0 when it has none (or has it switched off).
int LandlockAbi();

// Refuses all file access, from ABI 4 on binding and connecting TCP, from 6 on signals and abstract
// sockets outside the worker. Does nothing when `abi` is 0. Needs one free descriptor, so it comes
// before RLIMIT_NOFILE 0.
Result<void> EnterLandlock(int abi);

}  // namespace cloister
