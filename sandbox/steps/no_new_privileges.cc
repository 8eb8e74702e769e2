#include "sandbox/steps/no_new_privileges.h"

#include <sys/prctl.h>

namespace cloister {

Result<void> RenouncePrivileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return SystemError("PR_SET_NO_NEW_PRIVS");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return SystemError("PR_SET_DUMPABLE");
  return {};
}

}  // namespace cloister
