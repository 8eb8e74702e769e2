#include "sandbox/steps/parent_death.h"

#include <poll.h>
#include <sys/prctl.h>

#include <csignal>

namespace cloister {

Result<void> ArmParentDeath(int keeper_pidfd) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return SystemError("PR_SET_PDEATHSIG");
  pollfd keeper{.fd = keeper_pidfd, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&keeper, 1, 0);
  if (ready < 0)
    return SystemError("polling the keeper's pidfd");
  // A negative descriptor is skipped by poll, a closed one is POLLNVAL: neither watches anyone.
  if (keeper_pidfd < 0 || (keeper.revents & POLLNVAL) != 0)
    return Error{ErrorCode::kInvalidArgument, "no pidfd of the keeper"};
  if (ready > 0)
    return Error{ErrorCode::kUnavailable, "the keeper is dead"};
  return {};
}

}  // namespace cloister
