#include "daemon/loop/signals.h"

#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

TEST(SignalWatchTest, ASignalIsAnEvent) {
  Loop loop;
  int seen = 0;
  const SignalWatch watch(loop, SIGUSR1, [&] { ++seen; });
  ASSERT_EQ(0, ::raise(SIGUSR1));
  EXPECT_EQ(0, seen);
  RunUntil(loop, [&] { return seen == 1; });
}

TEST(SignalWatchTest, DestroyingItEndsTheCalls) {
  Loop loop;
  int first = 0;
  int second = 0;
  const SignalWatch other(loop, SIGUSR1, [&] { ++second; });
  {
    const SignalWatch watch(loop, SIGUSR1, [&] { ++first; });
  }
  ASSERT_EQ(0, ::raise(SIGUSR1));
  RunUntil(loop, [&] { return second == 1; });
  EXPECT_EQ(0, first);
}

}  // namespace
}  // namespace cloister
