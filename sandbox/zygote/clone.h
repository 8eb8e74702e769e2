#pragma once

// Makes the zygote's children: the raw clone, and the id maps of the new user namespace.

#include <sys/types.h>

#include <cstdint>

#include "apis/base/result.h"
#include "sandbox/confine.h"

namespace cloister {

// Number of threads of this process, as the kernel counts them.
Result<unsigned> CountThreads();

// fork into new namespaces (steps/namespaces.h) as a child of our parent, the keeper. Returns twice
// like fork: 0 in the child. Only with one thread: the others would be missing in the child.
Result<pid_t> CloneForParent();

// Maps uid and gid 0 of the child to `host_uid`: one of its own, or ours (kSharedUid).
Result<void> WriteIdMaps(pid_t child, WorkerIdentity identity, std::uint32_t host_uid);

}  // namespace cloister
