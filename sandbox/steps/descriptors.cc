#include "sandbox/steps/descriptors.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "apis/base/check.h"

namespace cloister {

Result<void> CloseDescriptors(unsigned first_kept, unsigned last_kept) {
  CHECK(first_kept > 0 && first_kept <= last_kept);
  if (::syscall(SYS_close_range, 0U, first_kept - 1, 0U) != 0)
    return SystemError("close_range");
  if (::syscall(SYS_close_range, last_kept + 1, ~0U, 0U) != 0)
    return SystemError("close_range");
  return {};
}

Result<void> OccupyStandardStreams(int fd) {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::dup2(fd, number) != number)
      return SystemError("dup2");
  return {};
}

}  // namespace cloister
