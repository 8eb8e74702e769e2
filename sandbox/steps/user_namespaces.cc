#include "sandbox/steps/user_namespaces.h"

#include <fcntl.h>
#include <unistd.h>

#include "apis/base/unique_fd.h"

namespace cloister {

Result<void> ForbidUserNamespaces() {
  constexpr const char* kLimit = "/proc/sys/user/max_user_namespaces";
  const UniqueFd limit(::open(kLimit, O_WRONLY | O_CLOEXEC));
  if (!limit.valid())
    return SystemError(kLimit);
  if (::write(limit.get(), "0", 1) != 1)
    return SystemError(kLimit);
  return {};
}

}  // namespace cloister
