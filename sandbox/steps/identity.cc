#include "sandbox/steps/identity.h"

#include <grp.h>
#include <unistd.h>

namespace cloister {

Result<void> BecomeInnerRoot(Groups groups) {
  if (groups == Groups::kDrop && ::setgroups(0, nullptr) != 0)
    return SystemError("setgroups");
  if (::setresgid(0, 0, 0) != 0)
    return SystemError("setresgid");
  if (::setresuid(0, 0, 0) != 0)
    return SystemError("setresuid");
  return {};
}

}  // namespace cloister
