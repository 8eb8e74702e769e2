#include "sandbox/confine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "apis/base/unique_fd.h"
#include "sandbox/steps/hostname.h"
#include "sandbox/steps/parent_death.h"
#include "sandbox/steps/rlimits.h"
#include "tests/escapes/arena.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

template <typename Walls>
std::vector<std::string> NamesOf(std::span<const WallStep<Walls>> steps) {
  std::vector<std::string> names;
  for (const auto& step : steps)
    names.emplace_back(step.name);
  return names;
}

TEST(ConfineTest, NoStepIsMissingAndTheOrderStands) {
  EXPECT_THAT(NamesOf(BlankSteps()),
              ElementsAre("identity", "parent_death", "environment", "session", "keyring",
                          "user_namespaces", "hostname"));
  EXPECT_THAT(NamesOf(WorkerSteps()),
              ElementsAre("descriptors", "empty_root", "capabilities", "no_new_privileges",
                          "landlock", "rlimits", "seccomp"));
}

// What `body` says in a child of its own; the steps change the process for good.
std::string InChild(const std::function<std::string()>& body) {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0)
    return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string said = body();
    ::_exit(::write(ends[1], said.data(), said.size()) < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  char heard[512] = {};
  const ssize_t count = ::read(ends[0], heard, sizeof heard);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return {heard, static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
}

std::string TextOf(const Result<void>& result) {
  return result.ok() ? "ok" : result.error().message;
}

TEST(ConfineTest, AnErrorNamesItsStep) {
  const BlankWalls no_keeper{.keeper_pidfd = -1, .identity = WorkerIdentity::kSharedUid};
  const std::string said = InChild([&] { return TextOf(EnterBlank(no_keeper)); });
  // Only root is already what the step identity makes of an ordinary user.
  EXPECT_THAT(said, StartsWith(::geteuid() == 0 ? "parent_death: " : "identity: "));
}

TEST(ParentDeathTest, ADeadKeeperIsNoticed) {
  const pid_t keeper = ::fork();
  if (keeper == 0)
    ::_exit(0);
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, keeper, 0)));
  ::waitpid(keeper, nullptr, 0);
  EXPECT_EQ(InChild([&] { return TextOf(ArmParentDeath(pidfd.get())); }), "the keeper is dead");
}

TEST(ParentDeathTest, ALivingKeeperIsFineAndAMissingOneIsNot) {
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  EXPECT_EQ(InChild([&] { return TextOf(ArmParentDeath(self.get())); }), "ok");
  EXPECT_EQ(InChild([] { return TextOf(ArmParentDeath(-1)); }), "no pidfd of the keeper");
  EXPECT_EQ(InChild([] { return TextOf(ArmParentDeath(999)); }), "no pidfd of the keeper");
}

// --- what a worker can do, and what it looks like from inside ---

class WalledTest : public testing::TestWithParam<ArenaMode> {
 protected:
  void SetUp() override {
#ifdef CLOISTER_SANITIZED
    GTEST_SKIP() << "a sanitizer needs what a confined process lacks";
#endif
    if (GetParam() == ArenaMode::kOwnUid && ::geteuid() != 0)
      GTEST_SKIP() << "needs root";
  }

  static void ExpectSuccess(Attempt attempt, const char* left_out = "") {
    const TrialResult result =
        RunTrial({.attempt = attempt, .mode = GetParam(), .left_out = LeftOut(left_out)});
    EXPECT_EQ(result.outcome, Outcome::kSucceeded) << result.detail;
  }
};

bool RunsAThread() {
  pthread_t thread{};
  const auto body = [](void* argument) { return argument; };
  void* returned = nullptr;
  return ::pthread_create(&thread, nullptr, body, &thread) == 0 &&
         ::pthread_join(thread, &returned) == 0 && returned == &thread;
}

// More than may live at once, one after the other: stacks and slots come back.
bool RunsManyThreads(const ArenaFacts&) {
  for (int i = 0; i < 100; ++i) {
    if (!RunsAThread())
      return false;
  }
  return true;
}

TEST_P(WalledTest, ThreadsRunAndEnd) {
  ExpectSuccess(RunsManyThreads);
}

TEST_P(WalledTest, ThreadStacksAreSmall) {
  ExpectSuccess([](const ArenaFacts&) {
    pthread_attr_t attributes{};
    std::size_t size = 0;
    return ::pthread_getattr_default_np(&attributes) == 0 &&
           ::pthread_attr_getstacksize(&attributes, &size) == 0 && size == kThreadStack.count;
  });
}

// In all far more than the limit of 64 MiB; vectors grow by copying, large blocks by mremap.
bool TakesAndGivesMemory(const ArenaFacts&) {
  constexpr std::size_t kBlock = 16 << 20;
  for (int i = 0; i < 10; ++i) {
    void* small = std::malloc(kBlock);
    if (small == nullptr)
      return false;
    std::memset(small, 1, kBlock);
    void* large = std::realloc(small, 2 * kBlock);
    std::free(large != nullptr ? large : small);
    if (large == nullptr)
      return false;
  }
  return true;
}

TEST_P(WalledTest, MemoryComesAndGoes) {
  ExpectSuccess(TakesAndGivesMemory);
}

TEST_P(WalledTest, TimeChanceAndIdentityAnswer) {
  ExpectSuccess([](const ArenaFacts&) {
    timespec cpu{};
    const timespec instant{.tv_sec = 0, .tv_nsec = 1000};
    char random[16] = {};
    return ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0 &&
           ::clock_nanosleep(CLOCK_MONOTONIC, 0, &instant, nullptr) == 0 &&
           ::syscall(SYS_getrandom, random, sizeof random, 0) == sizeof random && ::getpid() == 1 &&
           ::getuid() == 0 && ::getppid() == 0;
  });
}

TEST_P(WalledTest, BothChannelsCarryBytes) {
  ExpectSuccess([](const ArenaFacts&) { return ::write(kQueryFd, "x", 1) == 1; });
}

bool HasNoCapability(const ArenaFacts&) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0 || std::memcmp(sets, none, sizeof sets) != 0)
    return false;
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (::prctl(PR_CAPBSET_READ, capability) > 0)
      return false;
  }
  const int bits = ::prctl(PR_GET_SECUREBITS);
  return (bits & SECBIT_NOROOT) != 0 && (bits & SECBIT_NOROOT_LOCKED) != 0 &&
         ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && ::prctl(PR_GET_DUMPABLE) == 0;
}

TEST_P(WalledTest, NoCapabilityIsLeft) {
  ExpectSuccess(HasNoCapability, "seccomp");
}

TEST_P(WalledTest, IdentityIsRootOfNothing) {
  ExpectSuccess(
      [](const ArenaFacts&) {
        char name[65] = {};
        int signal_number = 0;
        return ::getuid() == 0 && ::geteuid() == 0 && ::getgid() == 0 && ::getsid(0) == 1 &&
               ::getpgid(0) == 1 && ::gethostname(name, sizeof name) == 0 &&
               std::strcmp(name, kWorkerHostname) == 0 &&
               ::prctl(PR_GET_PDEATHSIG, &signal_number) == 0 && signal_number == SIGKILL;
      },
      "seccomp");
}

struct Limit {
  __rlimit_resource resource;
  rlim_t most;
};

constexpr Limit kHardLimits[] = {
    {RLIMIT_NOFILE, 0},     {RLIMIT_FSIZE, 0},       {RLIMIT_CORE, 0},  {RLIMIT_MEMLOCK, 0},
    {RLIMIT_MSGQUEUE, 0},   {RLIMIT_SIGPENDING, 16}, {RLIMIT_NPROC, 8}, {RLIMIT_DATA, 64 << 20},
    {RLIMIT_AS, 512 << 20}, {RLIMIT_STACK, 8 << 20}, {RLIMIT_NICE, 0},  {RLIMIT_RTPRIO, 0}};

TEST_P(WalledTest, LimitsAreHard) {
  ExpectSuccess(
      [](const ArenaFacts&) {
        return std::ranges::all_of(kHardLimits, [](const Limit& limit) {
          rlimit both{};
          return ::getrlimit(limit.resource, &both) == 0 && both.rlim_max <= limit.most &&
                 both.rlim_cur <= limit.most;
        });
      },
      "seccomp");
}

bool HasOnlyItsChannels(const ArenaFacts&) {
  for (int fd = 0; fd < 1024; ++fd) {
    const bool open = ::fcntl(fd, F_GETFD) >= 0;
    if (open != (fd == kChannelFd || fd == kQueryFd))
      return false;
  }
  return true;
}

TEST_P(WalledTest, OnlyTheChannelsAreOpen) {
  ExpectSuccess(HasOnlyItsChannels, "seccomp");
}

INSTANTIATE_TEST_SUITE_P(Modes, WalledTest,
                         testing::Values(ArenaMode::kOwnUid, ArenaMode::kSharedUid),
                         [](const auto& one) {
                           return one.param == ArenaMode::kOwnUid ? "OwnUid" : "SharedUid";
                         });

}  // namespace
}  // namespace cloister
