#pragma once

// What the host can do for the walls, found by trying: a child is cloned and walled in, and says
// how far it came. For cloisterd at start (and the zygote, for landlock_abi); the process must have
// one thread. A missing mandatory wall is an Error whose message names it and what to do about it.

#include "apis/base/result.h"
#include "sandbox/confine.h"

namespace cloister {

struct HostWalls {
  int landlock_abi = 0;  // 0: the host has no Landlock; from 6 on it also scopes signals
};

// kUnavailable when a mandatory wall (namespaces, empty root, rlimits, no new privileges, no
// capabilities, seccomp, and what the other steps need) cannot be raised here.
// `worker_uid` is one that a worker will have; ours with kSharedUid.
Result<HostWalls> ProbeHost(WorkerIdentity identity, unsigned worker_uid);

}  // namespace cloister
