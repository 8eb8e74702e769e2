#include "tests/escapes/scenery.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

Result<void> Wrote(const std::string& path, const std::string& text, mode_t mode) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, mode));
  if (!file.valid() || ::write(file.get(), text.data(), text.size()) < 0)
    return SystemError(path);
  return {};
}

// An ordinary user's arena: its own uid, as itself.
Result<void> MapOwnIds(uid_t uid, gid_t gid) {
  const auto line = [](unsigned id) {
    return std::to_string(id) + " " + std::to_string(id) + " 1";
  };
  TRY(Wrote("/proc/self/setgroups", "deny", 0));
  TRY(Wrote("/proc/self/uid_map", line(uid), 0));
  return Wrote("/proc/self/gid_map", line(gid), 0);
}

Result<void> MountOver() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return SystemError("private mounts");
  if (::mount("proc", "/proc", "proc", 0, nullptr) != 0)
    return SystemError("mounting /proc");
  if (::mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777,size=4m") != 0)
    return SystemError("mounting /tmp");
  return {};
}

// dash, with a file capability that only counts for the worker's user namespace.
Result<void> MakePrivilegedShell(uid_t root_uid) {
  const UniqueFd from(::open("/bin/sh", O_RDONLY | O_CLOEXEC));
  const UniqueFd to(::open(kArenaPrivilegedShell, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
  struct stat status{};
  if (!from.valid() || !to.valid() || ::fstat(from.get(), &status) != 0)
    return SystemError("opening the shells");
  if (::sendfile(to.get(), from.get(), nullptr, static_cast<std::size_t>(status.st_size)) !=
      status.st_size)
    return SystemError("copying the shell");
  vfs_ns_cap_data capability{};
  capability.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE;
  capability.data[0].permitted = 1U << CAP_NET_RAW;
  capability.rootid = root_uid;
  if (::fsetxattr(to.get(), "security.capability", &capability, sizeof capability, 0) != 0)
    return SystemError("the shell's capability");
  return {};
}

Result<void> MakeFiles(uid_t root_uid) {
  TRY(MakePrivilegedShell(root_uid));
  TRY(Wrote(kArenaPrivateFile, kArenaSecret, 0600));
  const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd file(::open("/tmp/forgotten", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (::dup2(root.get(), kForgottenRoot) < 0 || ::dup2(file.get(), kForgottenFile) < 0)
    return SystemError("the forgotten descriptors");
  return {};
}

Result<void> RaiseLoopback() {
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(any.get(), SIOCSIFFLAGS, &request) != 0)
    return SystemError("raising the loopback");
  return {};
}

// The listeners stay open until the arena ends.
Result<void> MakeListeners(int& port) {
  const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof loopback;
  auto* address = reinterpret_cast<sockaddr*>(&loopback);
  if (tcp < 0 || ::bind(tcp, address, length) != 0 || ::listen(tcp, 8) != 0 ||
      ::getsockname(tcp, address, &length) != 0)
    return SystemError("the TCP listener");
  port = ::ntohs(loopback.sin_port);

  const int local = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(&name.sun_path[1], kArenaSocket, sizeof kArenaSocket);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof kArenaSocket);
  if (local < 0 || ::bind(local, reinterpret_cast<sockaddr*>(&name), size) != 0 ||
      ::listen(local, 8) != 0)
    return SystemError("the abstract listener");
  return {};
}

Result<void> MakeKeysAndMemory() {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0)
    return SystemError("the arena's keyring");
  if (::syscall(SYS_add_key, "user", kArenaSecret, kArenaSecret, sizeof kArenaSecret,
                KEY_SPEC_SESSION_KEYRING) < 0)
    return SystemError("the arena's key");
  if (::shmget(kArenaShmKey, 4096, IPC_CREAT | 0666) < 0)
    return SystemError("the arena's shared memory");
  return {};
}

Result<void> ReadNamespaces(ArenaFacts& facts) {
  if (::readlink("/proc/self/ns/mnt", facts.mount_namespace, sizeof facts.mount_namespace - 1) <
          0 ||
      ::readlink("/proc/self/ns/cgroup", facts.cgroup_namespace,
                 sizeof facts.cgroup_namespace - 1) < 0)
    return SystemError("the arena's namespaces");
  return {};
}

}  // namespace

Result<void> BuildScenery(const SceneryIds& ids, ArenaFacts& facts) {
  if (ids.mode == ArenaMode::kSharedUid)
    TRY(MapOwnIds(ids.user, ids.group));
  TRY(MountOver());
  TRY(MakeFiles(ids.worker));
  TRY(RaiseLoopback());
  TRY(MakeListeners(facts.port));
  TRY(MakeKeysAndMemory());
  TRY(ReadNamespaces(facts));
  if (::sethostname(kArenaHostname, sizeof kArenaHostname - 1) != 0)
    return SystemError("the arena's name");
  if (::setenv("ARENA_SECRET", kArenaSecret, 1) != 0)
    return SystemError("the arena's environment");
  facts.environment = ::getenv("ARENA_SECRET");
  return {};
}

}  // namespace cloister
