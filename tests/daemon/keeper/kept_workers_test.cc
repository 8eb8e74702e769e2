#include "daemon/keeper/kept_workers.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <vector>

#include "tests/support/fake_clock.h"

namespace cloister {
namespace {

constexpr std::uint64_t kGeneration = 3;

// Writes down what it is asked for.
class FakeCgroups : public Cgroups {
 public:
  const char* version() const override { return "v2"; }
  const std::string& reason() const override { return reason_; }
  std::vector<std::string> Directories() const override { return {}; }
  Result<void> Set(const std::string& group, const GroupLimits& limits) override {
    calls.push_back("set " + group + " " + std::to_string(limits.memory_max.count));
    if (fails)
      return Error{ErrorCode::kSystem, "no room"};
    return {};
  }
  Result<void> SetWeight(const std::string&, std::uint64_t) override { return {}; }
  Result<void> SetBackground(const std::string& group, bool background) override {
    calls.push_back((background ? "background " : "foreground ") + group);
    return {};
  }
  Result<void> Move(const std::string& group, pid_t) override {
    calls.push_back("move " + group);
    return {};
  }
  void Remove(const std::string& group) override { calls.push_back("remove " + group); }
  void RemoveAll() override {}

  std::vector<std::string> calls;
  bool fails = false;

 private:
  std::string reason_;
};

class KeptWorkersTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const pid_t pid : children_) {
      (void)::kill(pid, SIGKILL);
      (void)::waitpid(pid, nullptr, 0);
    }
  }

  // A child that waits for a signal, or computes until it gets one.
  pid_t StartChild(bool computes = false) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;)
        (void)(computes ? ::getppid() : ::pause());
    }
    children_.push_back(pid);
    return pid;
  }

  int Reap(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    std::erase(children_, pid);
    return status;
  }

  static Cloned Announce(std::uint64_t id, pid_t pid) {
    return {.worker_id = id, .generation = kGeneration, .pid = static_cast<std::uint32_t>(pid)};
  }

  static PlaceWorker Request(std::uint64_t id, std::string group = "app-1") {
    return {.worker_id = id,
            .group = std::move(group),
            .memory_max_bytes = 100,
            .cpu_millis = 1000,
            .pids_max = 5};
  }

  FakeCgroups cgroups_;
  FakeClock clock_;
  KeptWorkers workers_{cgroups_, clock_, 1};
  std::vector<pid_t> children_;
};

TEST_F(KeptWorkersTest, OnlyAChildOfOursIsAdopted) {
  EXPECT_FALSE(workers_.Adopt(Announce(1, 1)).ok());
  EXPECT_FALSE(workers_.Adopt(Announce(1, ::getpid())).ok());
  EXPECT_FALSE(workers_.Adopt(Announce(1, 0)).ok());
  EXPECT_FALSE(workers_.Adopt(Announce(1, -1)).ok());
  EXPECT_EQ(workers_.size(), 0U);
  const pid_t child = StartChild();
  EXPECT_TRUE(workers_.Adopt(Announce(1, child)).ok());
  EXPECT_FALSE(workers_.Adopt(Announce(2, child)).ok());
  EXPECT_EQ(workers_.size(), 1U);
}

TEST_F(KeptWorkersTest, AnExitBeforeTheAnnouncementIsReportedWithIt) {
  const pid_t child = StartChild();
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  const int status = Reap(child);
  EXPECT_FALSE(workers_.OnExit(child, {.status = status, .cpu = Micros(11)}));
  const auto adopted = workers_.Adopt(Announce(9, child));
  ASSERT_TRUE(adopted.ok());
  const WorkerExited report = adopted.value().value_or(WorkerExited());
  EXPECT_EQ(report.worker_id, 9U);
  EXPECT_EQ(report.status, static_cast<std::uint32_t>(SIGKILL));
  EXPECT_EQ(report.cpu_us, 11U);
}

TEST_F(KeptWorkersTest, AnExitIsReportedToTheWorkersGenerationAndFreesItsUid) {
  const pid_t child = StartChild();
  Cloned cloned = Announce(9, child);
  cloned.uid = 1900000016;
  ASSERT_TRUE(workers_.Adopt(cloned).ok());
  const KeptWorkers::Ended ended =
      workers_.OnExit(child, {.status = 256, .cpu = Micros(7)}).value_or(KeptWorkers::Ended());
  EXPECT_EQ(ended.generation, kGeneration);
  EXPECT_EQ(ended.uid, 1900000016U);
  EXPECT_EQ(ended.report.worker_id, 9U);
  EXPECT_EQ(ended.report.status, 256U);
}

TEST_F(KeptWorkersTest, GroupsGrowAndShrinkWithTheirWorkers) {
  const pid_t one = StartChild();
  const pid_t two = StartChild();
  ASSERT_TRUE(workers_.Adopt(Announce(1, one)).ok());
  ASSERT_TRUE(workers_.Adopt(Announce(2, two)).ok());
  EXPECT_EQ(workers_.Place(kGeneration, Request(1)).error, "");
  EXPECT_EQ(workers_.Place(kGeneration, Request(2)).error, "");
  (void)workers_.OnExit(one, {});
  (void)workers_.OnExit(two, {});
  EXPECT_EQ(cgroups_.calls,
            (std::vector<std::string>{"set app-1 100", "move app-1", "set app-1 200", "move app-1",
                                      "set app-1 100", "remove app-1"}));
}

TEST_F(KeptWorkersTest, AGroupThatComputesIsPutIntoTheBackground) {
  EXPECT_FALSE(workers_.NextTick());
  const pid_t calm = StartChild();
  const pid_t busy = StartChild(true);
  ASSERT_TRUE(workers_.Adopt(Announce(1, calm)).ok());
  ASSERT_TRUE(workers_.Adopt(Announce(2, busy)).ok());
  EXPECT_EQ(workers_.Place(kGeneration, Request(1, "calm")).error, "");
  EXPECT_EQ(workers_.Place(kGeneration, Request(2, "busy")).error, "");
  cgroups_.calls.clear();
  workers_.Tick();
  // The child's time is the kernel's, the window's is ours.
  clockid_t used = 0;
  ASSERT_EQ(::clock_getcpuclockid(busy, &used), 0);
  for (timespec time = {}; time.tv_sec == 0 && time.tv_nsec < 500000000; ::sched_yield())
    ASSERT_EQ(::clock_gettime(used, &time), 0);
  clock_.Advance(Seconds(1));
  workers_.Tick();
  EXPECT_EQ(cgroups_.calls, std::vector<std::string>{"background busy"});
}

TEST_F(KeptWorkersTest, ARequestThatMustNotBeIsAnsweredWithTheReason) {
  const pid_t child = StartChild();
  ASSERT_TRUE(workers_.Adopt(Announce(1, child)).ok());
  EXPECT_NE(workers_.Place(kGeneration + 1, Request(1)).error, "");
  EXPECT_NE(workers_.Place(kGeneration, Request(2)).error, "");
  EXPECT_NE(workers_.Place(kGeneration, Request(1, "../other")).error, "");
  EXPECT_TRUE(cgroups_.calls.empty());
  EXPECT_EQ(workers_.Place(kGeneration, Request(1)).error, "");
  EXPECT_NE(workers_.Place(kGeneration, Request(1, "app-2")).error, "");
}

TEST_F(KeptWorkersTest, AGroupThatCannotBeMadeIsTold) {
  const pid_t child = StartChild();
  ASSERT_TRUE(workers_.Adopt(Announce(1, child)).ok());
  cgroups_.fails = true;
  EXPECT_EQ(workers_.Place(kGeneration, Request(1)).error, "no room");
}

TEST_F(KeptWorkersTest, OnlyItsOwnGenerationMaySignalAWorker) {
  const pid_t child = StartChild();
  ASSERT_TRUE(workers_.Adopt(Announce(1, child)).ok());
  workers_.Signal(kGeneration + 1, 1, SIGKILL);
  workers_.KillGeneration(kGeneration + 1);
  workers_.Signal(kGeneration, 2, SIGKILL);
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it lives";
  workers_.Signal(kGeneration, 1, SIGXCPU);
  const int status = Reap(child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGXCPU);
}

}  // namespace
}  // namespace cloister
