#pragma once

// Directories that are still there after the machine has stopped at any instant.

#include <string>

#include "apis/base/result.h"

namespace cloister {

// The names in `directory` are on the disk afterwards.
Result<void> SyncDirectory(const std::string& directory);

// `path` (absolute) and those above it, `levels` in all, are directories of ours (0700) and their
// names on the disk afterwards; the one above these exists. That one is there says nothing about
// the disk: whoever made it may have ended before it was synced. So each is synced when this
// process meets it first. From any thread.
Result<void> MakeDirectories(const std::string& path, int levels);

}  // namespace cloister
