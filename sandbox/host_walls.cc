#include "sandbox/host_walls.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "apis/base/unique_fd.h"
#include "sandbox/confine.h"
#include "sandbox/steps/landlock.h"
#include "sandbox/steps/namespaces.h"

namespace cloister {
namespace {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return SystemError("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Error Lacking(std::string_view wall, std::string_view why, std::string_view advice) {
  std::string message = "this host lacks a mandatory wall: ";
  message.append(wall).append(": ").append(why);
  if (!advice.empty())
    message.append(" (").append(advice).append(")");
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

// The first byte of a setting of the kernel, or '?' when there is no such setting.
char KernelSetting(const char* path) {
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
  char first = '?';
  if (!file.valid() || ::read(file.get(), &first, 1) != 1)
    return '?';
  return first;
}

// What an operator can do when the clone into new namespaces failed.
std::string_view CloneAdvice(int error_number) {
  if (error_number == ENOSPC)
    return "raise the sysctl user.max_user_namespaces";
  if (error_number == EINVAL)
    return "the kernel must have user, mount, pid, ipc, uts and cgroup namespaces";
  if (KernelSetting("/proc/sys/kernel/unprivileged_userns_clone") == '0')
    return "set the sysctl kernel.unprivileged_userns_clone to 1, or start as root";
  return "user namespaces are refused inside a chroot, enter the root by pivot_root or as a "
         "container instead; and by some containers' seccomp profiles, allow clone with "
         "CLONE_NEWUSER there";
}

std::string_view StepAdvice(std::string_view message) {
  if (KernelSetting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == '1')
    return "set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or give cloisterd an "
           "AppArmor profile that allows userns";
  if (message.starts_with("user_namespaces"))
    return "/proc must be mounted, and /proc/sys/user writable";
  if (message.starts_with("empty_root"))
    return "the kernel must allow tmpfs in user namespaces, and the root must not be a chroot";
  return {};
}

Result<void> CheckSeccomp() {
  const std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) == 0)
    return {};
  return Lacking("seccomp", SystemError("KILL_PROCESS").message,
                 "the kernel must be 4.14 or newer with CONFIG_SECCOMP_FILTER");
}

Result<void> WriteMapFile(pid_t child, const char* name, std::string_view text) {
  const std::string path = "/proc/" + std::to_string(child) + "/" + name;
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid() || ::write(file.get(), text.data(), text.size()) < 0)
    return SystemError(path);
  return {};
}

Result<void> WriteIdMap(pid_t child, WorkerIdentity identity, unsigned worker_uid) {
  const bool shared = identity == WorkerIdentity::kSharedUid;
  const auto line = [](unsigned id) { return "0 " + std::to_string(id) + " 1\n"; };
  if (shared)
    TRY(WriteMapFile(child, "setgroups", "deny"));
  TRY(WriteMapFile(child, "uid_map", line(worker_uid)));
  return WriteMapFile(child, "gid_map", line(shared ? ::getegid() : worker_uid));
}

struct ProbePipes {
  Pipe go;      // closed by the parent when the id map is written
  Pipe report;  // empty: every wall was raised; else what failed
};

// Every wall is raised, with limits and a filter that stop nothing: whether they can be raised is
// the question.
Result<void> RaiseAll(const BlankWalls& blank, int report) {
  TRY(EnterBlank(blank));
  if (::dup2(report, kChannelFd) < 0)
    return SystemError("dup2");
  constexpr Bytes kUnlimited{std::numeric_limits<std::uint64_t>::max()};
  const WorkerLimits limits{.memory_max = kUnlimited, .address_space_max = kUnlimited};
  SeccompProgram allow_all;
  allow_all.instructions.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return CloseWalls({.limits = limits, .policy = allow_all, .landlock_abi = LandlockAbi()});
}

[[noreturn]] void RunChild(ProbePipes& pipes, const BlankWalls& blank) {
  pipes.go.write_end.Reset();
  char end = 0;
  if (::read(pipes.go.read_end.get(), &end, 1) != 0)
    ::_exit(1);
  const int report = pipes.report.write_end.get();
  const Result<void> raised = RaiseAll(blank, report);
  if (raised.ok())
    ::_exit(0);
  // Before the walls close the pipe is where it was; afterwards it is the channel.
  const std::string& message = raised.error().message;
  if (::write(report, message.data(), message.size()) < 0 &&
      ::write(kChannelFd, message.data(), message.size()) < 0)
    ::_exit(1);
  ::_exit(2);
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 512> chunk{};
  for (;;) {
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count > 0)
      text.append(chunk.data(), static_cast<std::size_t>(count));
    else if (count == 0 || errno != EINTR)
      return text;
  }
}

int WaitFor(pid_t child) {
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Lets the child go on, unless its ids could not be mapped, and hears what it found.
Result<void> HearChild(pid_t child, ProbePipes& pipes, const Result<void>& mapped) {
  pipes.report.write_end.Reset();
  if (!mapped.ok()) {
    ::kill(child, SIGKILL);
    WaitFor(child);
    return Lacking("user namespace", mapped.error().message, StepAdvice({}));
  }
  pipes.go.write_end.Reset();
  const std::string failure = ReadAll(pipes.report.read_end.get());
  const int status = WaitFor(child);
  if (!failure.empty())
    return Lacking(failure.substr(0, failure.find(':')),
                   failure.substr(std::min(failure.size(), failure.find(':') + 2)),
                   StepAdvice(failure));
  if (status != 0)
    return Lacking("confinement", "the probe ended with status " + std::to_string(status), {});
  return {};
}

}  // namespace

Result<HostWalls> ProbeHost(WorkerIdentity identity, unsigned worker_uid) {
  TRY(CheckSeccomp());
  ProbePipes pipes;
  pipes.go = TRY(MakePipe());
  pipes.report = TRY(MakePipe());
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self.valid())
    return Lacking("parent_death", SystemError("pidfd_open").message,
                   "the kernel must be 5.3 or newer");
  const BlankWalls blank{.keeper_pidfd = self.get(), .identity = identity};
  const long child =
      ::syscall(SYS_clone, kWorkerNamespaces | SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (child < 0) {
    const int error_number = errno;
    return Lacking("namespaces", SystemError("clone", error_number).message,
                   CloneAdvice(error_number));
  }
  if (child == 0)
    RunChild(pipes, blank);
  const auto pid = static_cast<pid_t>(child);
  TRY(HearChild(pid, pipes, WriteIdMap(pid, identity, worker_uid)));
  return HostWalls{.landlock_abi = LandlockAbi()};
}

}  // namespace cloister
