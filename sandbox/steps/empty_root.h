#pragma once

// Step empty_root: the worker's file tree is one empty directory that nobody can write to.

#include "apis/base/result.h"

namespace cloister {

// Needs a mount namespace of the worker's own and nothing on the disk: the new root is a tmpfs with
// room for its root directory only, made detached, put over "/", entered by pivot_root, and made
// read-only; the old tree is unmounted.
Result<void> EnterEmptyRoot();

}  // namespace cloister
