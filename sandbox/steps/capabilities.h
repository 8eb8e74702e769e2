#pragma once

// Step capabilities: none, in no set, and no way to get one back.

#include "apis/base/result.h"

namespace cloister {

// Empties the bounding, ambient, permitted, effective and inheritable sets and locks the securebits
// so that uid 0 means nothing.
Result<void> DropCapabilities();

}  // namespace cloister
