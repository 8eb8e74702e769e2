#include "sandbox/steps/keyring.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cloister {

Result<void> JoinNewKeyring() {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 || errno == ENOSYS)
    return {};
  if (errno == EDQUOT)
    return Error{ErrorCode::kQuotaExceeded,
                 "this uid has no keyring left: raise kernel.keys.maxkeys and maxbytes (sysctl)"};
  return SystemError("KEYCTL_JOIN_SESSION_KEYRING");
}

}  // namespace cloister
