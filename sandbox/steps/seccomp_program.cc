#include "sandbox/steps/seccomp_program.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cloister {

Result<void> InstallSeccomp(const SeccompProgram& program) {
  const std::size_t count = program.instructions.size();
  if (count == 0 || count > BPF_MAXINSNS)
    return Error{ErrorCode::kInvalidArgument, "the filter is empty or too long"};
  // The kernel copies the instructions and does not write them.
  const sock_fprog filter{.len = static_cast<unsigned short>(count),
                          .filter = const_cast<sock_filter*>(program.instructions.data())};
  // All threads, so that a stray one fails here rather than staying outside.
  const long stray =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  if (stray < 0)
    return SystemError("SECCOMP_SET_MODE_FILTER");
  if (stray > 0)
    return Error{ErrorCode::kSystem, "another thread has a filter of its own"};
  return {};
}

}  // namespace cloister
