#include "sandbox/steps/capabilities.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cloister {
namespace {

constexpr unsigned long kLockedBits =
    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
    SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

// The kernel's sets have 64 bits; it says EINVAL for the first capability that it does not know.
constexpr unsigned long kCapabilityEnd = 64;

Result<void> EmptyBoundingSet() {
  for (unsigned long capability = 0; capability < kCapabilityEnd; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
      continue;
    if (errno == EINVAL && capability > CAP_SYS_ADMIN)
      return {};
    return SystemError("PR_CAPBSET_DROP");
  }
  return {};
}

}  // namespace

Result<void> DropCapabilities() {
  if (::prctl(PR_SET_SECUREBITS, kLockedBits, 0, 0, 0) != 0)
    return SystemError("PR_SET_SECUREBITS");
  TRY(EmptyBoundingSet());
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return SystemError("PR_CAP_AMBIENT_CLEAR_ALL");
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) != 0)
    return SystemError("capset");
  return {};
}

}  // namespace cloister
