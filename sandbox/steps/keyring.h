#pragma once

// Step keyring: a new, empty session keyring, so that the operator's keys are out of reach.

#include "apis/base/result.h"

namespace cloister {

// A kernel without keys has nothing to hide and is fine. kQuotaExceeded when the uid has no keyring
// left (kernel.keys.maxkeys, 200 by default, counts all workers of an ordinary user's node).
Result<void> JoinNewKeyring();

}  // namespace cloister
