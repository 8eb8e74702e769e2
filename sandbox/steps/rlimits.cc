#include "sandbox/steps/rlimits.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>

namespace cloister {
namespace {

constexpr rlim_t kPendingSignals = 16;

struct Limit {
  __rlimit_resource resource;
  rlim_t value;
  const char* name;
};

// glibc reads RLIMIT_STACK for its default once, when a program starts: the zygote's start.
Result<void> ShrinkThreadStacks() {
  pthread_attr_t attributes;
  if (const int error = ::pthread_getattr_default_np(&attributes); error != 0)
    return SystemError("pthread_getattr_default_np", error);
  int error = ::pthread_attr_setstacksize(&attributes, kThreadStack.count);
  if (error == 0)
    error = ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
  if (error != 0)
    return SystemError("default size of thread stacks", error);
  return {};
}

}  // namespace

Result<void> LimitResources(const ResourceLimits& limits) {
  TRY(ShrinkThreadStacks());
  const Limit all[] = {
      {RLIMIT_DATA, limits.data_max.count, "RLIMIT_DATA"},
      {RLIMIT_AS, limits.address_space_max.count, "RLIMIT_AS"},
      {RLIMIT_STACK, kMainStackMax.count, "RLIMIT_STACK"},
      {RLIMIT_NPROC, limits.threads_max, "RLIMIT_NPROC"},
      {RLIMIT_FSIZE, limits.file_max ? limits.file_max->count : RLIM_INFINITY, "RLIMIT_FSIZE"},
      {RLIMIT_CORE, 0, "RLIMIT_CORE"},
      {RLIMIT_MEMLOCK, 0, "RLIMIT_MEMLOCK"},
      {RLIMIT_MSGQUEUE, 0, "RLIMIT_MSGQUEUE"},
      {RLIMIT_SIGPENDING, kPendingSignals, "RLIMIT_SIGPENDING"},
      {RLIMIT_NICE, 0, "RLIMIT_NICE"},
      {RLIMIT_RTPRIO, 0, "RLIMIT_RTPRIO"},
      {RLIMIT_NOFILE, limits.descriptors_max, "RLIMIT_NOFILE"},
  };
  for (const Limit& limit : all) {
    rlimit both{};
    if (::getrlimit(limit.resource, &both) != 0)
      return SystemError(limit.name);
    // The operator's own limit may be lower, and without capabilities it cannot be raised.
    both.rlim_max = std::min(both.rlim_max, limit.value);
    both.rlim_cur = both.rlim_max;
    if (::setrlimit(limit.resource, &both) != 0)
      return SystemError(limit.name);
  }
  return {};
}

}  // namespace cloister
