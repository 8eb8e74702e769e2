#include <fcntl.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

#include <linux/openat2.h>

#include "tests/escapes/escapes.h"

namespace cloister {
namespace {

bool OpensAFile(const ArenaFacts&) {
  char byte = 0;
  constexpr const char* kFile = "/etc/passwd";
  open_how how{};
  long fd = ::syscall(SYS_openat, AT_FDCWD, kFile, O_RDONLY);
  if (fd < 0)
    fd = ::syscall(SYS_open, kFile, O_RDONLY);
  if (fd < 0)
    fd = ::syscall(SYS_openat2, AT_FDCWD, kFile, &how, sizeof how);
  return fd >= 0 && ::pread(static_cast<int>(fd), &byte, 1, 0) == 1;
}

bool MakesASocket(const ArenaFacts&) {
  int pair[2] = {-1, -1};
  return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 || ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ||
         ::socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
}

bool PassesADescriptor(const ArenaFacts&) {
  char byte = 'x';
  iovec data{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &kQueryFd, sizeof(int));
  if (::sendmsg(kQueryFd, &message, MSG_NOSIGNAL) == 1)
    return true;
  // Nothing is there to receive, but being told so is to be heard.
  return ::recvmsg(kQueryFd, &message, MSG_DONTWAIT) >= 0 || errno == EAGAIN;
}

bool AsksForThePeer(const ArenaFacts&) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(kChannelFd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
}

bool WritesElsewhere(const ArenaFacts&) {
  // Nothing is written: the limit on file sizes is another wall.
  char byte = 0;
  const iovec data{.iov_base = &byte, .iov_len = 0};
  return ::write(kForgottenFile, "", 0) == 0 || ::read(kForgottenFile, &byte, 1) >= 0 ||
         ::writev(kForgottenFile, &data, 1) == 0 || ::pread(kForgottenFile, &byte, 1, 0) >= 0;
}

bool DuplicatesAChannel(const ArenaFacts&) {
  return ::dup(kChannelFd) >= 0 || ::dup3(kChannelFd, kForgottenFile, 0) >= 0 ||
         ::fcntl(kChannelFd, F_DUPFD, 10) >= 0;
}

bool ClosesAChannel(const ArenaFacts&) {
  return ::close(kQueryFd) == 0 || ::shutdown(kQueryFd, SHUT_RDWR) == 0;
}

bool MakesAMemoryFile(const ArenaFacts&) {
  return ::syscall(SYS_memfd_create, "x", 0) >= 0;
}

bool RunsAProgram(const ArenaFacts&) {
  char shell[] = "/bin/sh";
  char option[] = "-c";
  char script[] = "printf S >&3";  // the word of a successful attempt
  char* const arguments[] = {shell, option, script, nullptr};
  char* const environment[] = {nullptr};
  ::syscall(SYS_execve, shell, arguments, environment);
  return false;
}

bool MakesAProcess(const ArenaFacts&) {
  long child = ::syscall(SYS_fork);
  if (child < 0)
    child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0)
    ::_exit(0);
  return child > 0 && ::waitpid(static_cast<pid_t>(child), nullptr, 0) == child;
}

bool ClonesANamespace(const ArenaFacts&) {
  const long child =
      ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0)
    ::_exit(0);
  return child > 0 && ::waitpid(static_cast<pid_t>(child), nullptr, 0) == child;
}

bool UnsharesANamespace(const ArenaFacts&) {
  return ::unshare(CLONE_NEWUSER) == 0;
}

bool SignalsTheVictim(const ArenaFacts& facts) {
  return ::kill(facts.victim, SIGUSR2) == 0 ||
         ::syscall(SYS_tgkill, facts.victim, facts.victim, SIGUSR2) == 0;
}

bool ReadsProcessMemory(const ArenaFacts&) {
  char from[8] = "secret";
  char to[8] = {};
  const iovec local{.iov_base = to, .iov_len = sizeof to};
  const iovec remote{.iov_base = from, .iov_len = sizeof from};
  return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == sizeof to;
}

bool IsTraced(const ArenaFacts&) {
  return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0;
}

bool BecomesReadable(const ArenaFacts&) {
  return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

bool DisarmsItsDeath(const ArenaFacts&) {
  return ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0 && OutlivesLauncher();
}

bool UsesKeys(const ArenaFacts&) {
  return ::syscall(SYS_add_key, "user", "mine", "x", std::size_t{1}, KEY_SPEC_PROCESS_KEYRING) >= 0;
}

bool UsesSharedMemory(const ArenaFacts&) {
  return ::shmget(IPC_PRIVATE, 4096, 0600) >= 0 || ::semget(IPC_PRIVATE, 1, 0600) >= 0 ||
         ::msgget(IPC_PRIVATE, 0600) >= 0;
}

bool UsesKernelMachinery(const ArenaFacts&) {
  constexpr int kUserModeOnly = 1;
  char parameters[120] = {};
  return ::syscall(SYS_userfaultfd, kUserModeOnly) >= 0 ||
         ::syscall(SYS_io_uring_setup, 4, parameters) >= 0;
}

bool CallsAsI386(const ArenaFacts&) {
  constexpr long kGetpid = 20;
  long answer = kGetpid;
  asm volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
  return answer > 0;
}

bool ChangesPersonality(const ArenaFacts&) {
  return ::personality(ADDR_COMPAT_LAYOUT) >= 0;
}

bool ChangesScheduling(const ArenaFacts&) {
  const sched_param lowest{};
  cpu_set_t first_cpu{};
  CPU_SET(0, &first_cpu);
  return ::sched_setscheduler(0, SCHED_BATCH, &lowest) == 0 ||
         ::sched_setaffinity(0, sizeof first_cpu, &first_cpu) == 0 ||
         ::setpriority(PRIO_PROCESS, 0, 19) == 0;
}

bool ArmsATimer(const ArenaFacts&) {
  const itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 3600, .tv_usec = 0}};
  timer_t timer{};
  return ::setitimer(ITIMER_REAL, &soon, nullptr) == 0 ||
         ::timer_create(CLOCK_MONOTONIC, nullptr, &timer) == 0;
}

bool AsksAboutTheMachine(const ArenaFacts&) {
  struct sysinfo machine{};
  utsname names{};
  rusage usage{};
  return ::sysinfo(&machine) == 0 || ::uname(&names) == 0 || ::getrusage(RUSAGE_SELF, &usage) == 0;
}

bool LocksWithInheritance(const ArenaFacts&) {
  alignas(4) static std::uint32_t word = 0;
  return ::syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, nullptr, nullptr, 0) == 0;
}

sigjmp_buf after_fault;

bool HandlesASignal(const ArenaFacts&) {
  struct sigaction action{};
  action.sa_handler = [](int) { ::siglongjmp(after_fault, 1); };
  ::sigaction(SIGILL, &action, nullptr);
  if (::sigsetjmp(after_fault, 1) != 0)
    return true;
  __builtin_trap();
}

constexpr Escape kEscapes[] = {
    {.test = "OpenAFile",
     .line = "open a file",
     .wall = "seccomp",
     .beside = "empty_root landlock rlimits",
     .attempt = OpensAFile},
    {.test = "MakeASocket",
     .line = "make a socket",
     .wall = "seccomp",
     .beside = "rlimits",
     .attempt = MakesASocket},
    {.test = "PassADescriptor",
     .line = "send or receive descriptors over its channels",
     .wall = "seccomp",
     .attempt = PassesADescriptor},
    {.test = "AskForThePeer",
     .line = "use socket options or learn who is at the other end of a channel",
     .wall = "seccomp",
     .attempt = AsksForThePeer},
    {.test = "WriteElsewhere",
     .line = "read or write any descriptor but its channels",
     .wall = "seccomp",
     .beside = "descriptors",
     .attempt = WritesElsewhere},
    {.test = "DuplicateAChannel",
     .line = "duplicate a channel",
     .wall = "seccomp",
     .beside = "rlimits",
     .attempt = DuplicatesAChannel},
    {.test = "CloseAChannel",
     .line = "close a channel and stay alive unseen",
     .wall = "seccomp",
     .attempt = ClosesAChannel},
    {.test = "MakeAMemoryFile",
     .line = "make a file in memory to execute or share",
     .wall = "seccomp",
     .beside = "rlimits",
     .attempt = MakesAMemoryFile},
    {.test = "RunAProgram",
     .line = "run another program",
     .wall = "seccomp",
     .beside = "empty_root landlock rlimits",
     .attempt = RunsAProgram},
    {.test = "MakeAProcess", .line = "make a process", .wall = "seccomp", .attempt = MakesAProcess},
    {.test = "CloneANamespace",
     .line = "make a process in new namespaces",
     .wall = "seccomp",
     .beside = "user_namespaces",
     .attempt = ClonesANamespace},
    {.test = "UnshareANamespace",
     .line = "enter new namespaces",
     .wall = "seccomp",
     .beside = "user_namespaces",
     .attempt = UnsharesANamespace},
    {.test = "SendASignal",
     .line = "send a signal",
     .wall = "seccomp",
     .beside = "pid landlock",
     .attempt = SignalsTheVictim,
     .evidence = Evidence::kVictimDied},
    {.test = "ReadProcessMemory",
     .line = "read or write the memory of a process",
     .wall = "seccomp",
     .attempt = ReadsProcessMemory},
    {.test = "Trace",
     .line = "trace a process or be traced",
     .wall = "seccomp",
     .attempt = IsTraced},
    {.test = "BecomeReadable",
     .line = "open itself to other processes of its uid",
     .wall = "seccomp",
     .attempt = BecomesReadable},
    {.test = "DisarmItsDeath",
     .line = "call off its own death with the keeper",
     .wall = "seccomp",
     .attempt = DisarmsItsDeath,
     .evidence = Evidence::kOutlivedLauncher},
    {.test = "UseKeys", .line = "use the kernel's keys", .wall = "seccomp", .attempt = UsesKeys},
    {.test = "UseSharedMemory",
     .line = "use System V IPC",
     .wall = "seccomp",
     .attempt = UsesSharedMemory},
    {.test = "UseKernelMachinery",
     .line = "reach io_uring, userfaultfd and other machinery of the kernel",
     .wall = "seccomp",
     .beside = "rlimits",
     .attempt = UsesKernelMachinery},
    {.test = "CallAsI386",
     .line = "make calls by another ABI",
     .wall = "seccomp",
     .attempt = CallsAsI386,
     .need = Need::kI386},
    {.test = "ChangePersonality",
     .line = "change its personality",
     .wall = "seccomp",
     .attempt = ChangesPersonality},
    {.test = "ChangeScheduling",
     .line = "change its scheduling, priority or CPUs",
     .wall = "seccomp",
     .attempt = ChangesScheduling},
    {.test = "ArmATimer",
     .line = "arm a timer of the kernel",
     .wall = "seccomp",
     .attempt = ArmsATimer},
    {.test = "AskAboutTheMachine",
     .line = "ask the kernel about the machine",
     .wall = "seccomp",
     .attempt = AsksAboutTheMachine},
    {.test = "LockWithInheritance",
     .line = "use futex operations beyond wait and wake",
     .wall = "seccomp",
     .attempt = LocksWithInheritance},
    {.test = "HandleASignal",
     .line = "install or replace a signal handler",
     .wall = "seccomp",
     .attempt = HandlesASignal},
};

}  // namespace

std::span<const Escape> CallEscapes() {
  return kEscapes;
}

}  // namespace cloister
