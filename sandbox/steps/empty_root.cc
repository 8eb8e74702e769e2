#include "sandbox/steps/empty_root.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

struct Option {
  const char* key;
  const char* value;
};

// One inode is the root directory; tmpfs counts it.
constexpr Option kOptions[] = {{"size", "4k"}, {"nr_inodes", "1"}, {"mode", "0555"}};

Result<UniqueFd> MakeDetachedTmpfs() {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!context.valid())
    return SystemError("fsopen tmpfs");
  for (const Option& option : kOptions) {
    if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, option.key, option.value, 0) !=
        0)
      return SystemError(option.key);
  }
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return SystemError("creating the tmpfs");
  UniqueFd root(static_cast<int>(
      ::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)));
  if (!root.valid())
    return SystemError("fsmount");
  return root;
}

}  // namespace

Result<void> EnterEmptyRoot() {
  // Private first: the unmounting below must not reach the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return SystemError("making the mounts private");
  const UniqueFd root = TRY(MakeDetachedTmpfs());
  if (::syscall(SYS_move_mount, root.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return SystemError("move_mount");
  if (::fchdir(root.get()) != 0)
    return SystemError("fchdir");
  if (::syscall(SYS_pivot_root, ".", ".") != 0)
    return SystemError("pivot_root");
  // "." is now the old root, stacked on the new one.
  if (::umount2(".", MNT_DETACH) != 0)
    return SystemError("unmounting the old root");
  if (::chdir("/") != 0)
    return SystemError("chdir");
  return {};
}

}  // namespace cloister
