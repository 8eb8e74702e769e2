#include "daemon/keeper/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "apis/base/unique_fd.h"
#include "daemon/keeper/privileges.h"
#include "daemon/keeper/time_slice.h"

namespace cloister {
namespace {

// Descriptors are first moved above this, so that placing one never overwrites another.
constexpr int kPlacedMax = 64;

// Which step failed and why, from the child to the keeper. Closed by a successful exec.
struct Failure {
  std::array<char, 48> step = {};
  int error_number = 0;
};

class Child {
 public:
  Child(const ChildPlan& plan, int report_fd) : plan_(plan), report_fd_(report_fd) {}

  [[noreturn]] void Run(pid_t keeper) const {
    ResetSignals();
    Require(::setsid() >= 0, "setsid");
    EnterNetwork();
    EnterDirectory();
    SetLimits();
    SetTimeSlice();
    DropPrivileges();
    Require(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "PR_SET_PDEATHSIG");
    errno = ESRCH;
    Require(::getppid() == keeper, "the keeper is gone");
    (void)::umask(077);
    PlaceDescriptors();
    Exec();
  }

 private:
  void Require(bool ok, const char* step) const {
    if (ok)
      return;
    Failure failure{.error_number = errno};
    const std::string_view name(step);
    std::copy_n(name.data(), std::min(name.size(), failure.step.size() - 1), failure.step.data());
    (void)!::write(report_fd_, &failure, sizeof failure);
    ::_exit(127);
  }

  void ResetSignals() const {
    sigset_t none;
    sigemptyset(&none);
    Require(::sigprocmask(SIG_SETMASK, &none, nullptr) == 0, "sigprocmask");
    Require(::signal(SIGPIPE, SIG_DFL) != SIG_ERR, "signal");
  }

  void WriteFile(const char* path, std::string_view text) const {
    const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
    Require(file.valid() &&
                ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
            path);
  }

  void EnterNetwork() const {
    if (plan_.network == ChildNetwork::kHost)
      return;
    if (plan_.network == ChildNetwork::kEmpty)
      return Require(::unshare(CLONE_NEWNET) == 0, "unshare the network");
    const std::string uid = std::to_string(::geteuid());
    const std::string gid = std::to_string(::getegid());
    Require(::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0, "unshare user and network");
    // Gaining capabilities made us undumpable, which makes our /proc files root's.
    Require(::prctl(PR_SET_DUMPABLE, 1) == 0, "PR_SET_DUMPABLE");
    WriteFile("/proc/self/setgroups", "deny");
    WriteFile("/proc/self/uid_map", uid + " " + uid + " 1");
    WriteFile("/proc/self/gid_map", gid + " " + gid + " 1");
  }

  void EnterDirectory() const {
    if (plan_.directory_fd >= 0)
      Require(::fchdir(plan_.directory_fd) == 0, "fchdir");
    else
      Require(::chdir("/") == 0, "chdir /");
  }

  void SetLimits() const {
    for (const ChildLimit& each : plan_.limits) {
      rlimit limit = {};
      Require(::getrlimit(static_cast<__rlimit_resource_t>(each.resource), &limit) == 0,
              "getrlimit");
      limit.rlim_max = std::min<rlim_t>(limit.rlim_max, each.value);
      limit.rlim_cur = limit.rlim_max;
      Require(::setrlimit(static_cast<__rlimit_resource_t>(each.resource), &limit) == 0,
              "setrlimit");
    }
  }

  void SetTimeSlice() const {
    if (plan_.time_slice)
      Require(AskForTimeSlice(*plan_.time_slice), "sched_setattr");
  }

  void DropPrivileges() const {
    if (plan_.uid) {
      Require(::setgroups(0, nullptr) == 0, "setgroups");
      Require(::prctl(PR_SET_KEEPCAPS, 1) == 0, "PR_SET_KEEPCAPS");
      Require(::setresgid(*plan_.uid, *plan_.uid, *plan_.uid) == 0, "setresgid");
      Require(::setresuid(*plan_.uid, *plan_.uid, *plan_.uid) == 0, "setresuid");
    }
    Require(KeepForExec(plan_.capabilities), "capabilities");
    Require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
  }

  int MoveUp(int fd) const {
    const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, kPlacedMax);
    Require(moved >= 0, "F_DUPFD_CLOEXEC");
    return moved;
  }

  void PlaceDescriptors() const {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    Require(null >= 0, "/dev/null");
    std::vector<InheritedFd> placed = {{MoveUp(null), 0, "stdin"}, {MoveUp(2), 1, "stdout"}};
    for (const InheritedFd& fd : plan_.fds)
      placed.push_back({MoveUp(fd.fd), fd.number, fd.name});
    // Everything closes at exec; what dup2 makes below does not.
    Require(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "close_range");
    for (const InheritedFd& fd : placed)
      Require(::dup2(fd.fd, fd.number) == fd.number, fd.name);
  }

  [[noreturn]] void Exec() const {
    std::vector<std::string> environment = {"LC_ALL=C.UTF-8"};
    // What tells them how to write their own logs.
    if (const char* stream = ::getenv("JOURNAL_STREAM"); stream != nullptr)
      environment.push_back(std::string("JOURNAL_STREAM=") + stream);
#ifdef CLOISTER_SANITIZED
    for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"})
      if (const char* value = ::getenv(name); value != nullptr)
        environment.push_back(std::string(name) + "=" + value);
#endif
    std::vector<char*> pointers;
    pointers.reserve(environment.size() + 1);
    for (std::string& variable : environment)
      pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    std::vector<std::string> words = plan_.arguments;
    words.insert(words.begin(), plan_.program);
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words)
      arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execve(plan_.program.c_str(), arguments.data(), pointers.data());
    Require(false, "exec");
    ::_exit(127);
  }

  const ChildPlan& plan_;
  int report_fd_;
};

}  // namespace

Result<pid_t> SpawnChild(const ChildPlan& plan) {
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return SystemError("pipe2");
  const UniqueFd report_read(ends[0]);
  UniqueFd report_write(::fcntl(ends[1], F_DUPFD_CLOEXEC, kPlacedMax));
  ::close(ends[1]);
  if (!report_write.valid())
    return SystemError("F_DUPFD_CLOEXEC");
  const pid_t keeper = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0)
    return SystemError("fork");
  if (pid == 0)
    Child(plan, report_write.get()).Run(keeper);
  report_write.Reset();
  Failure failure;
  ssize_t size = -1;
  do {
    size = ::read(report_read.get(), &failure, sizeof failure);
  } while (size < 0 && errno == EINTR);
  if (size <= 0)
    return pid;
  (void)::waitpid(pid, nullptr, 0);
  failure.step.back() = '\0';
  return SystemError(plan.program + ": " + failure.step.data(), failure.error_number);
}

}  // namespace cloister
