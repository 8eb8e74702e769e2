#include "tests/escapes/arena.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "apis/base/unique_fd.h"
#include "sandbox/steps/capabilities.h"
#include "sandbox/steps/landlock.h"
#include "sandbox/steps/namespaces.h"
#include "sandbox/steps/seccomp.h"
#include "tests/escapes/scenery.h"

namespace cloister {
namespace {

constexpr uid_t kNobody = 65534;
constexpr uid_t kWorkerUid = 1'900'000'100;
constexpr char kWaiting = 'W';
constexpr int kPatienceMillis = 20'000;
// Where the worker keeps its ends until they may become 3 and 4.
constexpr int kParkedFrom = 110;

constexpr WorkerLimits kLimits{
    .memory_max = MiB(64), .address_space_max = MiB(512), .threads_max = 8};

struct RawReport {
  char state = 0;  // 'B': the attempt began; '!': broken, see message
  char said = 0;   // 'S' or 'R', kWaiting, or 0 when the worker ended before it could say
  int error_number = 0;
  int worker_status = 0;
  int victim_status = 0;
  char message[200] = {};
};

struct Pair {
  int near = -1;  // the worker's side
  int far = -1;
};

// One trial, in the processes of the arena; none of them returns.
class Arena {
 public:
  Arena(const Trial& trial, const SeccompProgram& policy, int result)
      : trial_(trial),
        policy_(policy),
        result_(result),
        ids_{.mode = trial.mode,
             .user = ::geteuid(),
             .group = ::getegid(),
             .worker = trial.mode == ArenaMode::kOwnUid ? kWorkerUid : ::geteuid()} {}

  [[noreturn]] void Init();

 private:
  struct LauncherReport {
    int worker_status = 0;
    int victim_status = 0;
  };

  [[noreturn]] void Launcher();
  [[noreturn]] void Victim(int gate, int ready);
  [[noreturn]] void Worker(int go, int keeper_pidfd);

  bool HasNamespace(std::string_view name) const { return !trial_.left_out.Has(name); }

  unsigned long WorkerFlags() const;
  void WriteIdMap(pid_t child) const;
  void Listen(RawReport& report);
  void Require(bool held, const char* what) const;

  const Trial& trial_;
  const SeccompProgram& policy_;
  const int result_;
  const SceneryIds ids_;
  ArenaFacts facts_;
  Pair channel_;
  Pair query_;
  Pair launcher_report_;
};

void Describe(RawReport& report, const std::string& text) {
  report.message[text.copy(report.message, sizeof report.message - 1)] = '\0';
}

[[noreturn]] void Finish(int result, const RawReport& report) {
  const ssize_t written = ::write(result, &report, sizeof report);
  ::_exit(written == sizeof report ? 0 : 1);
}

[[noreturn]] void Break(int result, const char* what) {
  RawReport report{.state = '!', .error_number = errno};
  Describe(report, std::string(what) + ": " + std::strerror(report.error_number));
  Finish(result, report);
}

Pair MakePair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return {};
  return {.near = ends[0], .far = ends[1]};
}

bool WriteFile(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() &&
         ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

int WaitFor(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Waits until the other side of a pair is gone or sends something; whether it sent a byte.
bool ReadByte(int fd) {
  char byte = 0;
  ssize_t count = 0;
  do
    count = ::read(fd, &byte, 1);
  while (count < 0 && errno == EINTR);
  return count == 1;
}

void Arena::Require(bool held, const char* what) const {
  if (!held)
    Break(result_, what);
}

unsigned long Arena::WorkerFlags() const {
  struct Namespace {
    const char* name;
    unsigned long flag;
  };
  // The network namespace is the zygote's in production; here it comes with the worker.
  constexpr Namespace kAll[] = {{"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS},
                                {"pid", CLONE_NEWPID},   {"ipc", CLONE_NEWIPC},
                                {"uts", CLONE_NEWUTS},   {"cgroup", CLONE_NEWCGROUP},
                                {"net", CLONE_NEWNET}};
  unsigned long flags = kWorkerNamespaces | CLONE_NEWNET;
  for (const Namespace& one : kAll) {
    if (trial_.left_out.Has(one.name))
      flags &= ~one.flag;
  }
  return flags;
}

void Arena::WriteIdMap(pid_t child) const {
  const std::string folder = "/proc/" + std::to_string(child) + "/";
  const bool own = trial_.mode == ArenaMode::kOwnUid;
  const auto line = [](unsigned id) { return "0 " + std::to_string(id) + " 1\n"; };
  if (!own)
    Require(WriteFile(folder + "setgroups", "deny"), "setgroups of the worker");
  Require(WriteFile(folder + "uid_map", line(ids_.worker)), "uid_map of the worker");
  Require(WriteFile(folder + "gid_map", line(own ? kWorkerUid : ids_.group)),
          "gid_map of the worker");
}

void Arena::Victim(int gate, int ready) {
  ::close(channel_.near);
  ::close(query_.near);
  Require(::signal(SIGUSR2, SIG_DFL) != SIG_ERR, "the victim's signal");
  if (trial_.mode == ArenaMode::kOwnUid) {
    Require(::setgroups(0, nullptr) == 0 && ::setresgid(kWorkerUid, kWorkerUid, kWorkerUid) == 0 &&
                ::setresuid(kWorkerUid, kWorkerUid, kWorkerUid) == 0,
            "the victim's uid");
  }
  Require(::write(ready, "r", 1) == 1, "the victim's word");
  ReadByte(gate);
  ::_exit(0);
}

void Arena::Worker(int go, int keeper_pidfd) {
  ReadByte(go);
  const int channel = ::fcntl(channel_.near, F_DUPFD, kParkedFrom);
  const int query = ::fcntl(query_.near, F_DUPFD, kParkedFrom);
  const bool own = trial_.mode == ArenaMode::kOwnUid;
  const BlankWalls blank{.keeper_pidfd = keeper_pidfd,
                         .identity = own ? WorkerIdentity::kOwnUid : WorkerIdentity::kSharedUid};
  const WorkerWalls walls{.limits = kLimits, .policy = policy_, .landlock_abi = LandlockAbi()};
  Result<void> raised = RaiseWithout(trial_.left_out, BlankSteps(), blank);
  ::dup2(channel, kChannelFd);
  ::dup2(query, kQueryFd);
  ::close(channel);
  ::close(query);
  if (raised.ok())
    raised = RaiseWithout(trial_.left_out, WorkerSteps(), walls);
  if (!raised.ok()) {
    const std::string message = "!" + raised.error().message;
    ::_exit(::write(kChannelFd, message.data(), message.size()) > 0 ? 1 : 2);
  }
  if (::write(kChannelFd, "B", 1) != 1)
    ::_exit(3);
  errno = 0;
  const bool succeeded = trial_.attempt(facts_);
  const int error_number = errno;
  std::array<char, 1 + sizeof error_number> answer{succeeded ? 'S' : 'R'};
  std::memcpy(&answer[1], &error_number, sizeof error_number);
  ::_exit(::write(kChannelFd, answer.data(), answer.size()) > 0 ? 0 : 4);
}

void Arena::Launcher() {
  // The group that a worker without a session of its own would share.
  Require(::setpgid(0, 0) == 0, "setpgid");
  Require(::signal(SIGUSR2, SIG_IGN) != SIG_ERR, "the launcher's signal");
  ::close(channel_.far);
  ::close(query_.far);
  if (trial_.mode == ArenaMode::kSharedUid)
    Require(DropCapabilities().ok(), "an ordinary user's launcher");
  const Pair gate = MakePair();
  const Pair ready = MakePair();
  facts_.victim = ::fork();
  if (facts_.victim == 0)
    Victim(gate.near, ready.near);
  Require(facts_.victim > 0 && ReadByte(ready.far), "the victim");

  const Pair go = MakePair();
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  const long worker =
      ::syscall(SYS_clone, WorkerFlags() | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (worker == 0)
    Worker(go.near, self);
  Require(worker > 0, "cloning the worker");
  if (HasNamespace("user"))
    WriteIdMap(static_cast<pid_t>(worker));
  Require(::write(go.far, "g", 1) == 1, "letting the worker go");
  ::close(channel_.near);
  ::close(query_.near);
  LauncherReport report{.worker_status = WaitFor(static_cast<pid_t>(worker))};
  // A victim that has a signal coming meets it before it leaves this read.
  Require(::write(gate.far, "g", 1) == 1, "letting the victim go");
  report.victim_status = WaitFor(facts_.victim);
  Require(::write(launcher_report_.near, &report, sizeof report) == sizeof report, "reporting");
  ::_exit(0);
}

// Hears what the worker says until it has said all.
void Arena::Listen(RawReport& report) {
  std::string heard(report.state == 0 ? 0 : 1, report.state);
  for (;;) {
    pollfd channel{.fd = channel_.far, .events = POLLIN, .revents = 0};
    Require(::poll(&channel, 1, kPatienceMillis) == 1, "the worker says nothing");
    std::array<char, 256> chunk{};
    const ssize_t count = ::read(channel_.far, chunk.data(), chunk.size());
    if (count > 0)
      heard.append(chunk.data(), static_cast<std::size_t>(count));
    if (count <= 0 || (heard.starts_with('B') && heard.size() >= 2))
      break;
  }
  report.state = heard.empty() ? '!' : heard[0];
  if (report.state == '!')
    Describe(report, "walls: " + heard);
  if (heard.size() >= 2)
    report.said = heard[1];
  if (heard.size() >= 2 + sizeof report.error_number)
    std::memcpy(&report.error_number, &heard[2], sizeof report.error_number);
}

void Arena::Init() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Result<void> built = BuildScenery(ids_, facts_);
  if (!built.ok())
    Break(result_, built.error().message.c_str());
  channel_ = MakePair();
  query_ = MakePair();
  launcher_report_ = MakePair();
  const pid_t launcher = ::fork();
  if (launcher == 0)
    Launcher();
  ::close(channel_.near);
  ::close(query_.near);
  ::close(launcher_report_.near);
  RawReport report;
  Listen(report);
  if (report.said == kWaiting) {
    ::kill(launcher, SIGKILL);
    WaitFor(launcher);
    // The worker's SIGKILL, if it is armed, came before the launcher could be waited for.
    ::send(query_.far, "g", 1, MSG_NOSIGNAL);
    report.said = 0;
    Listen(report);
    Finish(result_, report);
  }
  WaitFor(launcher);
  LauncherReport ended;
  if (report.state == 'B')
    Require(::read(launcher_report_.far, &ended, sizeof ended) == sizeof ended,
            "the launcher's report");
  report.worker_status = ended.worker_status;
  report.victim_status = ended.victim_status;
  Finish(result_, report);
}

bool BecomeNobody() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
         ::setresuid(kNobody, kNobody, kNobody) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0;
}

// The outermost process of a trial: becomes who the mode says and makes the arena.
[[noreturn]] void Outside(const Trial& trial, const SeccompProgram& policy, int result) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  unsigned long flags =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
  if (trial.mode == ArenaMode::kSharedUid) {
    if (::geteuid() == 0 && !BecomeNobody())
      Break(result, "becoming nobody");
    flags |= CLONE_NEWUSER;
  }
  Arena arena(trial, policy, result);
  const long init = ::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr);
  if (init == 0)
    arena.Init();
  if (init < 0)
    Break(result, "making the arena");
  ::_exit(WaitFor(static_cast<pid_t>(init)));
}

TrialResult Judge(const Trial& trial, const RawReport& report) {
  if (report.state != 'B')
    return {Outcome::kBroken, report.message};
  const bool victim_died =
      WIFSIGNALED(report.victim_status) && WTERMSIG(report.victim_status) == SIGUSR2;
  const bool succeeded = trial.evidence == Evidence::kVictimDied ? victim_died : report.said == 'S';
  if (succeeded)
    return {Outcome::kSucceeded, "it got what it wanted"};
  if (report.said != 0)
    return {Outcome::kRefused, std::strerror(report.error_number)};
  return {Outcome::kRefused, "the worker ended, status " + std::to_string(report.worker_status)};
}

}  // namespace

bool OutlivesLauncher() {
  char byte = 0;
  return ::write(kChannelFd, &kWaiting, 1) == 1 && ::read(kQueryFd, &byte, 1) == 1;
}

TrialResult RunTrial(const Trial& trial) {
  static const Result<SeccompProgram> kPolicy = BuildPolicy();
  if (!kPolicy.ok())
    return {Outcome::kBroken, kPolicy.error().message};
  // Without its user namespace the step would forbid user namespaces to the whole host.
  if (trial.left_out.Has("user") && !trial.left_out.Has("user_namespaces"))
    return {Outcome::kBroken, "user must not be left out without user_namespaces"};
  std::array<int, 2> result{};
  if (::pipe2(result.data(), O_CLOEXEC) != 0)
    return {Outcome::kBroken, "pipe"};
  const UniqueFd read_end(result[0]);
  UniqueFd write_end(result[1]);
  const pid_t outside = ::fork();
  if (outside == 0)
    Outside(trial, kPolicy.value(), write_end.get());
  write_end.Reset();
  RawReport report;
  const bool whole = ::read(read_end.get(), &report, sizeof report) == sizeof report;
  WaitFor(outside);
  if (!whole)
    return {Outcome::kBroken, "the arena ended without a report"};
  return Judge(trial, report);
}

}  // namespace cloister
