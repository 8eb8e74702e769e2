#pragma once

// The walls of a worker, as one ordered list. Runs in the zygote's child, which has one thread.
//
// The zygote clones the child with kWorkerNamespaces (steps/namespaces.h), writes its id map, lets
// it go on. The child calls EnterBlank at once and then waits as a blank; after the hand-over and
// the mapping of image and inbox, with the channels at descriptors 3 and 4, it calls CloseWalls and
// only then reads a tenant byte. An Error names the step that failed; the child must then _exit:
// half a wall is none. Nothing here logs, and only failures allocate. When to stop applying walls
// is not a parameter: a weakening is a type under sandbox/exceptions/.

#include <cstdint>
#include <span>
#include <string_view>

#include "apis/base/result.h"
#include "sandbox/limits.h"
#include "sandbox/steps/seccomp_program.h"

namespace cloister {

// The descriptors that a worker keeps.
inline constexpr int kChannelFd = 3;
inline constexpr int kQueryFd = 4;

// How the child's id map came about, which decides about supplementary groups.
enum class WorkerIdentity {
  kOwnUid,     // a uid of its own, mapped with privilege; setgroups must not be denied
  kSharedUid,  // the ordinary user's own uid; the kernel wants setgroups denied before the map
};

// What EnterBlank needs.
struct BlankWalls {
  int keeper_pidfd = -1;  // borrowed; the keeper's, which is the child's parent (CLONE_PARENT)
  WorkerIdentity identity = WorkerIdentity::kOwnUid;
};

// What CloseWalls needs; the references must live through the call only.
struct WorkerWalls {
  const WorkerLimits& limits;
  const SeccompProgram& policy;  // built once, in the zygote, by BuildPolicy (steps/seccomp.h)
  int landlock_abi = 0;          // of the host (LandlockAbi()); 0: it has none
};

// The same for cloister-query, which keeps the descriptors of its database as well.
struct QueryWalls {
  Bytes memory_max;
  unsigned last_fd = kQueryFd;  // the last of those that it keeps
  std::uint32_t descriptors_max = 0;
  const SeccompProgram& policy;  // of QueryAllowedCalls()
  int landlock_abi = 0;
};

// One wall. Its name is the one that README.md, errors and tests use.
template <typename Walls>
struct WallStep {
  std::string_view name;
  Result<void> (*apply)(const Walls&) = nullptr;
};

// The steps, in order. Only the tests of the walls walk them themselves.
std::span<const WallStep<BlankWalls>> BlankSteps();
std::span<const WallStep<WorkerWalls>> WorkerSteps();
std::span<const WallStep<QueryWalls>> QuerySteps();

// Uid and gid 0 inside, death with the keeper (kUnavailable when it is dead already), the
// environment wiped, own session, new session keyring, no further user namespaces, host name.
// The caller sets the app's environment, and TZ, afterwards.
Result<void> EnterBlank(const BlankWalls& walls);

// Closes every descriptor but 3 and 4 and raises the remaining walls. On return any call outside
// seccomp_policy.def is refused or ends the process; on an Error the caller may still write to
// descriptor 3 and must _exit.
Result<void> CloseWalls(const WorkerWalls& walls);

// The same for a blank that became cloister-query, before it reads a byte of the database: closes
// every descriptor outside [3, last_fd], and leaves no more than query_policy.def.
Result<void> CloseQueryWalls(const QueryWalls& walls);

}  // namespace cloister
