#pragma once

// Step user_namespaces: no further user namespace can be made inside this one.

#include "apis/base/result.h"

namespace cloister {

// Needs /proc, so it comes before the empty root.
Result<void> ForbidUserNamespaces();

}  // namespace cloister
