#pragma once

// A blank: the zygote's child from its clone to the first tenant byte.
//
// Straight-line, one thread. It raises the first walls, then waits on its control socket for the
// node's hand-over; when the node or the zygote lets go of it, it ends quietly. What it is handed
// is checked, mapped and put at descriptors 3 and 4; then the last walls go up and it is a worker.

#include <cstdint>

#include "apis/base/unique_fd.h"
#include "sandbox/confine.h"

namespace cloister {

// What a blank needs of its zygote. The policy is the zygote's, inherited by the fork.
struct BlankPlan {
  UniqueFd control;  // to the node; blocking
  UniqueFd go;       // readable with one byte once the id maps are written, closed: end
  int keeper_pidfd = -1;
  WorkerIdentity identity = WorkerIdentity::kOwnUid;
  std::uint64_t worker_id = 0;
  const SeccompProgram* policy = nullptr;
  int landlock_abi = 0;
  const char* query_program = "";  // cloister-query
};

[[noreturn]] void RunBlank(BlankPlan plan);

}  // namespace cloister
