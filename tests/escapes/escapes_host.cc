#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "tests/escapes/escapes.h"

namespace cloister {
namespace {

// stat needs no descriptor, so the limits do not stand in the way.
bool SeesAFile(const ArenaFacts&) {
  struct stat status{};
  return ::stat("/etc/passwd", &status) == 0;
}

bool MakesAFolder(const ArenaFacts&) {
  return ::mkdir("/tmp/mine", 0700) == 0 || ::mkdir("/mine", 0700) == 0;
}

bool ClimbsOut(const ArenaFacts&) {
  struct stat status{};
  for (int i = 0; i < 64; ++i) {
    if (::chdir("..") != 0)
      return false;
  }
  return ::stat("etc/passwd", &status) == 0;
}

bool UsesAForgottenDescriptor(const ArenaFacts&) {
  struct stat status{};
  return ::fstatat(kForgottenRoot, "etc/passwd", &status, 0) == 0;
}

bool SharesNamespace(const char* path, const char* arena) {
  char own[64] = {};
  return ::readlink(path, own, sizeof own - 1) > 0 && std::strcmp(own, arena) == 0;
}

bool SharesMounts(const ArenaFacts& facts) {
  return SharesNamespace("/proc/self/ns/mnt", facts.mount_namespace);
}

bool SharesControlGroups(const ArenaFacts& facts) {
  return SharesNamespace("/proc/self/ns/cgroup", facts.cgroup_namespace);
}

bool SignalsByNumber(const ArenaFacts& facts) {
  return ::kill(facts.victim, SIGUSR2) == 0;
}

bool SignalsEveryone(const ArenaFacts&) {
  return ::kill(-1, SIGUSR2) == 0;
}

bool SignalsItsGroup(const ArenaFacts&) {
  return ::kill(0, SIGUSR2) == 0;
}

bool ReadsSharedMemory(const ArenaFacts&) {
  return ::shmget(kArenaShmKey, 4096, 0) >= 0;
}

bool LearnsTheHostname(const ArenaFacts&) {
  char name[65] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && std::strcmp(name, kArenaHostname) == 0;
}

bool ConnectsToTheHost(const ArenaFacts& facts) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_port = ::htons(static_cast<std::uint16_t>(facts.port));
  loopback.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  return fd >= 0 &&
         ::connect(fd, reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback) == 0;
}

bool BindsAPrivilegedPort(const ArenaFacts&) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = ::htons(80);
  return fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
}

bool ReadsAKey(const ArenaFacts&) {
  char value[sizeof kArenaSecret] = {};
  const long key =
      ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", kArenaSecret, 0);
  return key >= 0 && ::syscall(SYS_keyctl, KEYCTL_READ, key, value, sizeof value) > 0 &&
         std::strcmp(value, kArenaSecret) == 0;
}

bool ReadsTheEnvironment(const ArenaFacts& facts) {
  return std::memcmp(facts.environment, kArenaSecret, sizeof kArenaSecret - 1) == 0;
}

bool Survives(const ArenaFacts&) {
  return OutlivesLauncher();
}

constexpr Escape kEscapes[] = {
    {.test = "SeeAFile",
     .line = "see a file of the host, even by stat",
     .wall = "empty_root",
     .beside = "seccomp",
     .attempt = SeesAFile},
    {.test = "MakeAFolder",
     .line = "change anything in its file tree",
     .wall = "empty_root",
     .beside = "seccomp landlock",
     .attempt = MakesAFolder},
    {.test = "ClimbOut",
     .line = "climb out of its root",
     .wall = "empty_root",
     .beside = "seccomp",
     .attempt = ClimbsOut},
    {.test = "UseAForgottenDescriptor",
     .line = "use a descriptor that the zygote forgot to close",
     .wall = "descriptors",
     .beside = "seccomp",
     .attempt = UsesAForgottenDescriptor},
    {.test = "ShareMounts",
     .line = "see or join the host's mounts",
     .wall = "mount",
     .beside = "seccomp empty_root",
     .attempt = SharesMounts},
    {.test = "ShareControlGroups",
     .line = "see its place among the host's control groups",
     .wall = "cgroup",
     .beside = "seccomp empty_root",
     .attempt = SharesControlGroups},
    {.test = "SignalByNumber",
     .line = "name a process outside",
     .wall = "pid",
     .beside = "seccomp landlock",
     .attempt = SignalsByNumber,
     .evidence = Evidence::kVictimDied},
    {.test = "SignalEveryone",
     .line = "kill every process of its uid at once",
     .wall = "pid",
     .beside = "seccomp landlock",
     .attempt = SignalsEveryone,
     .evidence = Evidence::kVictimDied},
    {.test = "SignalItsGroup",
     .line = "signal the process group that started it",
     .wall = "session",
     .beside = "seccomp landlock",
     .attempt = SignalsItsGroup,
     .evidence = Evidence::kVictimDied},
    {.test = "ReadSharedMemory",
     .line = "reach the host's shared memory, semaphores and queues",
     .wall = "ipc",
     .beside = "seccomp",
     .attempt = ReadsSharedMemory},
    {.test = "LearnTheHostname",
     .line = "learn the host's name",
     .wall = "uts hostname",
     .beside = "seccomp",
     .attempt = LearnsTheHostname},
    {.test = "ConnectToTheHost",
     .line = "reach a port of the host, loopback included",
     .wall = "net",
     .beside = "seccomp landlock rlimits",
     .attempt = ConnectsToTheHost},
    {.test = "BindAPrivilegedPort",
     .line = "use a capability on anything of the host, even when it is root inside",
     .wall = "user",
     .beside = "seccomp landlock rlimits capabilities net user_namespaces",
     .attempt = BindsAPrivilegedPort,
     .need = Need::kOwnUid},
    {.test = "ReadAKey",
     .line = "read the operator's keys",
     .wall = "keyring",
     .beside = "seccomp",
     .attempt = ReadsAKey},
    {.test = "ReadTheEnvironment",
     .line = "find the daemon's environment in its memory",
     .wall = "environment",
     .attempt = ReadsTheEnvironment},
    {.test = "OutliveTheKeeper",
     .line = "outlive the keeper",
     .wall = "parent_death",
     .attempt = Survives,
     .evidence = Evidence::kOutlivedLauncher},
};

}  // namespace

std::span<const Escape> HostEscapes() {
  return kEscapes;
}

}  // namespace cloister
