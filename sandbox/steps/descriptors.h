#pragma once

// Step descriptors: everything is closed but a named pair.

#include "apis/base/result.h"

namespace cloister {

// Closes every descriptor outside [first_kept, last_kept].
Result<void> CloseDescriptors(unsigned first_kept, unsigned last_kept);
// Has 0, 1 and 2 be `fd`, so that no descriptor that comes later is taken for a standard stream.
Result<void> OccupyStandardStreams(int fd);

}  // namespace cloister
