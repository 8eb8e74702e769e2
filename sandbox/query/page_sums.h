#pragma once

// The checksums of apis/query/database_file.h, as a VFS of SQLite above the one for Unix.

#include "apis/base/result.h"

namespace cloister {

// Every database that is opened from now on has them. Once.
Result<void> UsePageSums();

}  // namespace cloister
