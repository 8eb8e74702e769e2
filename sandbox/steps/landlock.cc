#include "sandbox/steps/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

// As in the kernel's current linux/landlock.h; Debian 12's ends at ABI 2.
struct RulesetAttr {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};

constexpr unsigned kQueryVersion = 1;

// The number of file rights by ABI: 13, then REFER, TRUNCATE, none new, IOCTL_DEV.
constexpr unsigned kFileRights[] = {0, 13, 14, 15, 15, 16};
constexpr int kNetworkAbi = 4;
constexpr std::uint64_t kBindAndConnectTcp = 3;
constexpr int kScopeAbi = 6;
constexpr std::uint64_t kAbstractSocketsAndSignals = 3;

RulesetAttr EverythingRefused(int abi) {
  const int newest_known = static_cast<int>(std::size(kFileRights)) - 1;
  RulesetAttr attr;
  attr.handled_access_fs = (std::uint64_t{1} << kFileRights[std::min(abi, newest_known)]) - 1;
  if (abi >= kNetworkAbi)
    attr.handled_access_net = kBindAndConnectTcp;
  if (abi >= kScopeAbi)
    attr.scoped = kAbstractSocketsAndSignals;
  return attr;
}

// Older kernels refuse a structure that is longer than theirs, unless the rest is zero: it is.
}  // namespace

int LandlockAbi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, kQueryVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Result<void> EnterLandlock(int abi) {
  if (abi <= 0)
    return {};
  const RulesetAttr attr = EverythingRefused(abi);
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0U)));
  if (!ruleset.valid())
    return SystemError("landlock_create_ruleset");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0U) != 0)
    return SystemError("landlock_restrict_self");
  return {};
}

}  // namespace cloister
