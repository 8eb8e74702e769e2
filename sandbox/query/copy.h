#pragma once

// The copy of a database that a release is checked on.

#include "apis/base/result.h"

namespace cloister {

// Copies the database at kDatabasePath, as of now, to the empty file at kCopyPath.
Result<void> CopyDatabase();

}  // namespace cloister
