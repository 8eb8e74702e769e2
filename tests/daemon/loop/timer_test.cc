#include "daemon/loop/timer.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

TEST(TimerTest, TicksOnce) {
  Loop loop;
  Timer timer(loop);
  int ticks = 0;
  EXPECT_FALSE(timer.active());
  timer.Start(Millis(1), [&] { ++ticks; });
  EXPECT_TRUE(timer.active());
  RunUntil(loop, [&] { return ticks > 0; });
  RunBriefly(loop);
  EXPECT_EQ(1, ticks);
  EXPECT_FALSE(timer.active());
}

TEST(TimerTest, RepeatsUntilItIsStopped) {
  Loop loop;
  Timer timer(loop);
  int ticks = 0;
  timer.Repeat(Millis(1), [&] {
    if (++ticks == 3)
      timer.Stop();
  });
  RunUntil(loop, [&] { return ticks == 3; });
  RunBriefly(loop);
  EXPECT_EQ(3, ticks);
}

TEST(TimerTest, DestroyingItCancels) {
  Loop loop;
  int ticks = 0;
  {
    Timer timer(loop);
    timer.Start(Millis(0), [&] { ++ticks; });
  }
  RunBriefly(loop);
  EXPECT_EQ(0, ticks);
}

TEST(TimerTest, MayDestroyItself) {
  Loop loop;
  auto timer = std::make_unique<Timer>(loop);
  const auto witness = std::make_shared<int>(7);
  int seen = 0;
  timer->Start(Millis(1), [&, witness] {
    timer.reset();
    seen = *witness;  // what the callback captured is still there
  });
  RunUntil(loop, [&] { return seen != 0; });
  EXPECT_EQ(7, seen);
}

TEST(TimerTest, MayBeStartedAgainFromItsTick) {
  Loop loop;
  Timer timer(loop);
  std::string log;
  timer.Start(Millis(1), [&] {
    log += 'a';
    timer.Start(Millis(1), [&] { log += 'b'; });
  });
  RunUntil(loop, [&] { return log.size() == 2; });
  EXPECT_EQ("ab", log);
}

TEST(TimerTest, RestartsWithAnotherDelay) {
  Loop loop;
  Timer timer(loop);
  int ticks = 0;
  timer.Start(Seconds(1000), [&] { ++ticks; });
  timer.Restart(Millis(1));
  RunUntil(loop, [&] { return ticks == 1; });
  timer.Restart(Millis(1));
  RunUntil(loop, [&] { return ticks == 2; });
}

}  // namespace
}  // namespace cloister
