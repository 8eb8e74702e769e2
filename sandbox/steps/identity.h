#pragma once

// Step identity: uid and gid 0 of the worker's own user namespace, and no other group.

#include "apis/base/result.h"

namespace cloister {

// Requires the id map to be written. When setgroups is denied in the namespace (an ordinary user's
// map), the user's supplementary groups stay; they mean nothing behind the empty root.
enum class Groups { kDrop, kCannotDrop };
Result<void> BecomeInnerRoot(Groups groups);

}  // namespace cloister
