#include "daemon/keeper/spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "apis/base/unique_fd.h"
#include "daemon/keeper/time_slice.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Runs a shell script as a child whose descriptor 3 is a pipe to us; what it wrote there.
class SpawnTest : public ::testing::Test {
 protected:
  std::string Run(const std::string& script, ChildPlan plan = {}) {
    directory_.Write("program", "#!/bin/sh\n" + script);
    EXPECT_EQ(::chmod(directory_.At("program").c_str(), 0755), 0);
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    plan.program = directory_.At("program");
    plan.fds.push_back({.fd = write_end.get(), .number = 3, .name = "pipe"});
    const Result<pid_t> pid = SpawnChild(plan);
    EXPECT_TRUE(pid.ok()) << pid.error().message;
    write_end.Reset();
    std::string text;
    std::array<char, 4096> part = {};
    for (ssize_t size = 0; (size = ::read(read_end.get(), part.data(), part.size())) > 0;)
      text.append(part.data(), static_cast<std::size_t>(size));
    if (pid.ok()) {
      EXPECT_EQ(::waitpid(pid.value(), nullptr, 0), pid.value());
    }
    return text;
  }

  TempDir directory_;
};

// Numbers that a shell does not take for itself.
UniqueFd Open(const char* path, int number) {
  const UniqueFd opened(::open(path, O_RDONLY | O_CLOEXEC));
  return UniqueFd(::fcntl(opened.get(), F_DUPFD, number));
}

TEST_F(SpawnTest, GivesTheNamedDescriptorsAndNoOthers) {
  const UniqueFd stray = Open("/dev/null", 40);  // not even close-on-exec
  const std::string listed = Run("for fd in /proc/$$/fd/*; do echo \"<${fd##*/}>\"; done >&3");
  for (const char* given : {"<0>", "<1>", "<2>", "<3>"})
    EXPECT_THAT(listed, HasSubstr(given));
  EXPECT_THAT(listed, Not(HasSubstr("<" + std::to_string(stray.get()) + ">")));
}

TEST_F(SpawnTest, DescriptorsMaySwapNumbers) {
  const UniqueFd one = Open("/dev/null", 40);
  const UniqueFd two = Open("/proc/self/stat", 50);
  ChildPlan plan;
  plan.fds = {{.fd = one.get(), .number = two.get(), .name = "one"},
              {.fd = two.get(), .number = one.get(), .name = "two"}};
  EXPECT_EQ(Run("readlink /proc/$$/fd/50 >&3", plan), "/dev/null\n");
  EXPECT_THAT(Run("readlink /proc/$$/fd/40 >&3", plan), HasSubstr("/stat\n"));
}

TEST_F(SpawnTest, TheEnvironmentIsEmptyAndTheSessionItsOwn) {
  ASSERT_EQ(::setenv("SECRET", "1", 1), 0);
  const std::string text =
      Run("tr '\\0' '\\n' </proc/$$/environ >&3; pwd >&3; "
          "test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leads its session >&3");
  EXPECT_THAT(text, Not(HasSubstr("SECRET")));
  EXPECT_THAT(text, HasSubstr("LC_ALL=C.UTF-8\n"));
  EXPECT_THAT(text, HasSubstr("\n/\nleads its session\n"));
}

TEST_F(SpawnTest, NoPrivilegeIsLeftAndNoneCanBeGained) {
  const std::string text = Run("grep -E '^(CapPrm|CapEff|CapInh|NoNewPrivs)' /proc/$$/status >&3");
  EXPECT_THAT(text, HasSubstr("CapPrm:\t0000000000000000"));
  EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(text, HasSubstr("NoNewPrivs:\t1"));
}

TEST_F(SpawnTest, AnEmptyNetworkForAnybody) {
  ChildPlan plan;
  plan.network = ChildNetwork::kEmptyOwnUser;
  const std::string text = Run("tail -n +3 /proc/self/net/dev >&3; id -u >&3", plan);
  EXPECT_THAT(text, HasSubstr("lo:"));
  EXPECT_THAT(text, Not(HasSubstr("eth")));
  EXPECT_THAT(text, HasSubstr("\n" + std::to_string(::geteuid()) + "\n"));
}

TEST_F(SpawnTest, ItsTimeSliceIsWhatThePlanSays) {
  ChildPlan plan{.program = "/bin/sleep",
                 .fds = {},
                 .uid = {},
                 .capabilities = {},
                 .arguments = {"60"},
                 .time_slice = kWorkerTimeSlice};
  const Result<pid_t> pid = SpawnChild(plan);
  ASSERT_TRUE(pid.ok()) << pid.error().message;
  const Micros slice = TimeSliceOf(pid.value());
  EXPECT_EQ(::kill(pid.value(), SIGKILL), 0);
  EXPECT_EQ(::waitpid(pid.value(), nullptr, 0), pid.value());
  if (slice == Micros(0))
    GTEST_SKIP() << "this kernel has no time slices to ask for";
  EXPECT_EQ(slice, kWorkerTimeSlice);
}

TEST_F(SpawnTest, AProgramThatIsNotThereIsAnErrorWithItsName) {
  ChildPlan plan;
  plan.program = "/nonexistent/program";
  const Result<pid_t> pid = SpawnChild(plan);
  ASSERT_FALSE(pid.ok());
  EXPECT_THAT(pid.error().message, HasSubstr("/nonexistent/program: exec"));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "nothing is left to reap";
}

}  // namespace
}  // namespace cloister
