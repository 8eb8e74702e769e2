#include "daemon/keeper/time_slice.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>

namespace cloister {
namespace {

// The first version of the kernel's structure (sched_setattr(2)): its own header and the C
// library's do not go together.
struct SchedAttributes {
  std::uint32_t size = sizeof(SchedAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
static_assert(sizeof(SchedAttributes) == 48);

}  // namespace

bool AskForTimeSlice(Micros slice) {
  SchedAttributes attributes;
  attributes.nice = ::getpriority(PRIO_PROCESS, 0);
  attributes.runtime_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(slice).count());
  return ::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

Micros TimeSliceOf(pid_t pid) {
  SchedAttributes attributes;
  if (::syscall(SYS_sched_getattr, pid, &attributes, sizeof attributes, 0) != 0)
    return Micros(0);
  return std::chrono::duration_cast<Micros>(std::chrono::nanoseconds(attributes.runtime_ns));
}

}  // namespace cloister
