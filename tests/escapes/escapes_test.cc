#include "tests/escapes/escapes.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <tuple>
#include <vector>

#include "sandbox/steps/landlock.h"

namespace cloister {

// How GoogleTest shows one.
void PrintTo(const Escape& escape, std::ostream* out) {
  *out << escape.test;
}

std::vector<Escape> AllEscapes() {
  std::vector<Escape> all;
  for (const auto& some : {CallEscapes(), MemoryEscapes(), HostEscapes(), PrivilegeEscapes()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

namespace {

// In a child, since a kernel without i386 ends it.
bool RunsI386() {
  const pid_t child = ::fork();
  if (child == 0) {
    long answer = 20;  // getpid
    asm volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
    ::_exit(answer > 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

const char* Missing(Need need, ArenaMode mode) {
  switch (need) {
    case Need::kNothing:
      return nullptr;
    case Need::kOwnUid:
      return mode == ArenaMode::kOwnUid ? nullptr : "an ordinary user's workers have his uid";
    case Need::kLandlockNetwork:
      return LandlockAbi() >= 4 ? nullptr : "needs Landlock ABI 4";
    case Need::kLandlockScopes:
      return LandlockAbi() >= 6 ? nullptr : "needs Landlock ABI 6";
    case Need::kI386:
      return RunsI386() ? nullptr : "needs a kernel that runs i386 programs";
  }
  return nullptr;
}

class EscapeTest : public testing::TestWithParam<std::tuple<Escape, ArenaMode>> {
 protected:
  void SetUp() override {
#ifdef CLOISTER_SANITIZED
    GTEST_SKIP() << "a sanitizer needs what a confined process lacks";
#endif
    if (mode() == ArenaMode::kOwnUid && ::geteuid() != 0)
      GTEST_SKIP() << "needs root";
    if (const char* missing = Missing(escape().need, mode()); missing != nullptr)
      GTEST_SKIP() << missing;
  }

  const Escape& escape() const { return std::get<0>(GetParam()); }
  ArenaMode mode() const { return std::get<1>(GetParam()); }

  TrialResult RunWithout(const std::string& names) const {
    return RunTrial({.attempt = escape().attempt,
                     .evidence = escape().evidence,
                     .mode = mode(),
                     .left_out = LeftOut(names)});
  }
};

TEST_P(EscapeTest, FailsAndWouldSucceedWithoutTheWall) {
  const TrialResult all = RunWithout("");
  EXPECT_EQ(all.outcome, Outcome::kRefused) << "behind all walls: " << all.detail;
  const std::string beside = escape().beside;
  if (!beside.empty()) {
    const TrialResult alone = RunWithout(beside);
    EXPECT_EQ(alone.outcome, Outcome::kRefused) << "with this wall alone: " << alone.detail;
  }
  const TrialResult control = RunWithout(beside + " " + escape().wall);
  EXPECT_EQ(control.outcome, Outcome::kSucceeded) << "without the wall: " << control.detail;
}

INSTANTIATE_TEST_SUITE_P(Workers, EscapeTest,
                         testing::Combine(testing::ValuesIn(AllEscapes()),
                                          testing::Values(ArenaMode::kOwnUid,
                                                          ArenaMode::kSharedUid)),
                         [](const auto& one) {
                           const bool own = std::get<1>(one.param) == ArenaMode::kOwnUid;
                           return std::string(std::get<0>(one.param).test) +
                                  (own ? "_OwnUid" : "_SharedUid");
                         });

}  // namespace
}  // namespace cloister
