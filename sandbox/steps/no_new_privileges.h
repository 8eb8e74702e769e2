#pragma once

// Step no_new_privileges: nothing that is executed adds a privilege, and neighbours of the same uid
// can neither trace the worker nor read its memory.

#include "apis/base/result.h"

namespace cloister {

Result<void> RenouncePrivileges();

}  // namespace cloister
