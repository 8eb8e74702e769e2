#pragma once

// The namespaces that the zygote's clone makes for a worker.
//
// The network namespace is not here: one empty one per zygote, inherited by all its workers, since
// making one costs as much as everything else together.

#include <sched.h>

namespace cloister {

inline constexpr unsigned long kWorkerNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

}  // namespace cloister
