#include "sandbox/confine.h"

#include <string>

#include "sandbox/steps/capabilities.h"
#include "sandbox/steps/descriptors.h"
#include "sandbox/steps/empty_root.h"
#include "sandbox/steps/environment.h"
#include "sandbox/steps/hostname.h"
#include "sandbox/steps/identity.h"
#include "sandbox/steps/keyring.h"
#include "sandbox/steps/landlock.h"
#include "sandbox/steps/no_new_privileges.h"
#include "sandbox/steps/parent_death.h"
#include "sandbox/steps/rlimits.h"
#include "sandbox/steps/session.h"
#include "sandbox/steps/user_namespaces.h"

namespace cloister {
namespace {

Groups GroupsOf(WorkerIdentity identity) {
  return identity == WorkerIdentity::kOwnUid ? Groups::kDrop : Groups::kCannotDrop;
}

ResourceLimits ResourcesOf(const WorkerLimits& limits) {
  return {.data_max = limits.memory_max,
          .address_space_max = limits.address_space_max,
          .threads_max = limits.threads_max};
}

// What cloister-query maps beside its memory: the program, and the index of the database's log.
constexpr Bytes kMappedMax = MiB(512);

// The order matters where a comment says so, and is otherwise that of the design.
constexpr WallStep<BlankWalls> kBlankSteps[] = {
    {"identity", [](const BlankWalls& walls) { return BecomeInnerRoot(GroupsOf(walls.identity)); }},
    // A change of credentials would disarm it.
    {"parent_death", [](const BlankWalls& walls) { return ArmParentDeath(walls.keeper_pidfd); }},
    {"environment", [](const BlankWalls&) { return WipeEnvironment(); }},
    {"session", [](const BlankWalls&) { return LeaveSession(); }},
    // Belongs to the uid that asks for it.
    {"keyring", [](const BlankWalls&) { return JoinNewKeyring(); }},
    {"user_namespaces", [](const BlankWalls&) { return ForbidUserNamespaces(); }},
    {"hostname", [](const BlankWalls&) { return HideHostname(); }},
};

constexpr WallStep<WorkerWalls> kWorkerSteps[] = {
    {"descriptors", [](const WorkerWalls&) { return CloseDescriptors(kChannelFd, kQueryFd); }},
    {"empty_root", [](const WorkerWalls&) { return EnterEmptyRoot(); }},
    {"capabilities", [](const WorkerWalls&) { return DropCapabilities(); }},
    {"no_new_privileges", [](const WorkerWalls&) { return RenouncePrivileges(); }},
    // Needs no_new_privileges, and a descriptor for a moment.
    {"landlock", [](const WorkerWalls& walls) { return EnterLandlock(walls.landlock_abi); }},
    {"rlimits", [](const WorkerWalls& walls) { return LimitResources(ResourcesOf(walls.limits)); }},
    // Last: it refuses all of the above.
    {"seccomp", [](const WorkerWalls& walls) { return InstallSeccomp(walls.policy); }},
};

constexpr WallStep<QueryWalls> kQuerySteps[] = {
    {"descriptors",
     [](const QueryWalls& walls) { return CloseDescriptors(kChannelFd, walls.last_fd); }},
    // The last one can only be read. Workers' sockets come later, and none of them may be where a
    // library writes its last words.
    {"standard_streams",
     [](const QueryWalls& walls) {
       return OccupyStandardStreams(static_cast<int>(walls.last_fd));
     }},
    {"empty_root", [](const QueryWalls&) { return EnterEmptyRoot(); }},
    {"capabilities", [](const QueryWalls&) { return DropCapabilities(); }},
    {"no_new_privileges", [](const QueryWalls&) { return RenouncePrivileges(); }},
    {"landlock", [](const QueryWalls& walls) { return EnterLandlock(walls.landlock_abi); }},
    {"rlimits",
     [](const QueryWalls& walls) {
       return LimitResources({.data_max = walls.memory_max,
                              .address_space_max = {walls.memory_max.count + kMappedMax.count},
                              .threads_max = 1,
                              .descriptors_max = walls.descriptors_max,
                              .file_max = std::nullopt});
     }},
    {"seccomp", [](const QueryWalls& walls) { return InstallSeccomp(walls.policy); }},
};

template <typename Walls>
Result<void> Raise(std::span<const WallStep<Walls>> steps, const Walls& walls) {
  for (const WallStep<Walls>& step : steps) {
    Result<void> raised = step.apply(walls);
    if (!raised.ok())
      return std::move(raised).error().In(std::string(step.name));
  }
  return {};
}

}  // namespace

std::span<const WallStep<BlankWalls>> BlankSteps() {
  return kBlankSteps;
}

std::span<const WallStep<WorkerWalls>> WorkerSteps() {
  return kWorkerSteps;
}

std::span<const WallStep<QueryWalls>> QuerySteps() {
  return kQuerySteps;
}

Result<void> EnterBlank(const BlankWalls& walls) {
  return Raise(BlankSteps(), walls);
}

Result<void> CloseWalls(const WorkerWalls& walls) {
  return Raise(WorkerSteps(), walls);
}

Result<void> CloseQueryWalls(const QueryWalls& walls) {
  return Raise(QuerySteps(), walls);
}

}  // namespace cloister
