#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/escapes/escapes.h"

namespace cloister {
namespace {

bool OpensAPrivateFile(const ArenaFacts&) {
  return ::open(kArenaPrivateFile, O_RDONLY) >= 0;
}

bool OpensAPublicFile(const ArenaFacts&) {
  return ::open("/etc/passwd", O_RDONLY) >= 0;
}

bool Mounts(const ArenaFacts&) {
  return ::mount("none", "/", "tmpfs", 0, nullptr) == 0;
}

// Gives up what it has, which exec is to give back by the file's capability.
bool GainsByExec(const ArenaFacts&) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) != 0)
    return false;
  char shell[sizeof kArenaPrivilegedShell] = {};
  std::memcpy(shell, kArenaPrivilegedShell, sizeof shell);
  char option[] = "-c";
  char script[] =
      "while read key value; do"
      " case $key$value in CapEff:*[1-9a-f]*) printf S >&3; esac;"
      "done </proc/self/status";
  char* const arguments[] = {shell, option, script, nullptr};
  char* const environment[] = {nullptr};
  ::execve(shell, arguments, environment);
  return false;
}

bool UnsharesAUserNamespace(const ArenaFacts&) {
  return ::unshare(CLONE_NEWUSER) == 0;
}

bool OpensADescriptor(const ArenaFacts&) {
  int ends[2] = {-1, -1};
  return ::pipe(ends) == 0;
}

bool WritesAFile(const ArenaFacts&) {
  return ::signal(SIGXFSZ, SIG_IGN) != SIG_ERR && ::write(kForgottenFile, "x", 1) == 1;
}

// Twice as many as the arena's worker may have; bounded, and all waited for.
bool MakesManyProcesses(const ArenaFacts&) {
  constexpr int kTooMany = 16;
  pid_t children[kTooMany] = {};
  int made = 0;
  while (made < kTooMany) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    if (child < 0)
      break;
    children[made++] = child;
  }
  for (int i = 0; i < made; ++i) {
    ::kill(children[i], SIGKILL);
    ::waitpid(children[i], nullptr, 0);
  }
  return made == kTooMany;
}

bool QueuesManySignals(const ArenaFacts&) {
  sigset_t blocked{};
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGRTMIN);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  for (int i = 0; i < 64; ++i) {
    if (::sigqueue(::getpid(), SIGRTMIN, {}) != 0)
      return false;
  }
  return true;
}

bool SignalsItsGroup(const ArenaFacts&) {
  return ::kill(0, SIGUSR2) == 0;
}

bool ConnectsByTcp(const ArenaFacts& facts) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_port = ::htons(static_cast<std::uint16_t>(facts.port));
  loopback.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  return fd >= 0 &&
         ::connect(fd, reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback) == 0;
}

bool ConnectsByAbstractName(const ArenaFacts&) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(&name.sun_path[1], kArenaSocket, sizeof kArenaSocket);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof kArenaSocket);
  return fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0;
}

constexpr Escape kEscapes[] = {
    {.test = "ActAsTheZygote",
     .line = "act with the zygote's uid or groups",
     .wall = "identity",
     .beside = "seccomp empty_root landlock rlimits capabilities",
     .attempt = OpensAPrivateFile,
     .need = Need::kOwnUid},
    {.test = "Mount",
     .line = "use a capability inside its own namespaces, such as mounting",
     .wall = "capabilities",
     .beside = "seccomp landlock",
     .attempt = Mounts},
    {.test = "GainByExec",
     .line = "gain a privilege by running a privileged file",
     .wall = "no_new_privileges",
     .beside = "seccomp empty_root landlock rlimits capabilities",
     .attempt = GainsByExec},
    {.test = "NestAUserNamespace",
     .line = "get new capabilities in a user namespace of its own",
     .wall = "user_namespaces",
     .beside = "seccomp",
     .attempt = UnsharesAUserNamespace},
    {.test = "OpenADescriptor",
     .line = "open a descriptor of any kind",
     .wall = "rlimits",
     .beside = "seccomp",
     .attempt = OpensADescriptor},
    {.test = "WriteAFile",
     .line = "write to a file that was left open",
     .wall = "rlimits",
     .beside = "seccomp descriptors",
     .attempt = WritesAFile},
    {.test = "MakeManyProcesses",
     .line = "have more processes and threads than its limit",
     .wall = "rlimits",
     .beside = "seccomp",
     .attempt = MakesManyProcesses},
    {.test = "QueueManySignals",
     .line = "fill the kernel's memory with queued signals",
     .wall = "rlimits",
     .beside = "seccomp",
     .attempt = QueuesManySignals},
    {.test = "OpenByPath",
     .line = "open a file by its path, even if one were in its root",
     .wall = "landlock",
     .beside = "seccomp empty_root rlimits",
     .attempt = OpensAPublicFile},
    {.test = "ConnectByTcp",
     .line = "connect by TCP, even if there were a network",
     .wall = "landlock",
     .beside = "seccomp rlimits net",
     .attempt = ConnectsByTcp,
     .need = Need::kLandlockNetwork},
    {.test = "ConnectByAbstractName",
     .line = "connect to an abstract socket, even in a shared network namespace",
     .wall = "landlock",
     .beside = "seccomp rlimits net",
     .attempt = ConnectsByAbstractName,
     .need = Need::kLandlockScopes},
    {.test = "SignalOutOfItsDomain",
     .line = "signal a process outside, even in a shared process group",
     .wall = "landlock",
     .beside = "seccomp session",
     .attempt = SignalsItsGroup,
     .evidence = Evidence::kVictimDied,
     .need = Need::kLandlockScopes},
};

}  // namespace

std::span<const Escape> PrivilegeEscapes() {
  return kEscapes;
}

}  // namespace cloister
