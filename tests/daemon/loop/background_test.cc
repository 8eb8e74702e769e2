#include "daemon/loop/background.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

using testing::ElementsAre;

TEST(BackgroundTest, ResultsComeBackToTheLoopsThread) {
  Loop loop;
  Background background(loop, 2);
  const auto here = std::this_thread::get_id();
  int result = 0;
  background.Run(
      1,
      [here] {
        EXPECT_NE(here, std::this_thread::get_id());
        return Result<int>(42);
      },
      [&, here](Result<int> value) {
        EXPECT_EQ(here, std::this_thread::get_id());
        result = value.value();
      });
  RunUntil(loop, [&] { return result == 42; });
}

TEST(BackgroundTest, OneThreadKeepsTheOrderOfAKey) {
  Loop loop;
  Background background(loop, 1);
  std::vector<int> done;
  for (int i = 0; i < 100; ++i)
    background.Run(7, [i] { return i; }, [&](int value) { done.push_back(value); });
  RunUntil(loop, [&] { return done.size() == 100; });
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(BackgroundTest, KeysTakeTurns) {
  Loop loop;
  Background background(loop, 1);
  std::promise<void> gate;
  std::vector<std::string> done;
  const auto note = [&](const std::string& name) { done.push_back(name); };
  background.Run(
      1,
      [open = gate.get_future().share()] {
        open.wait();
        return std::string("gate");
      },
      note);
  for (int i = 0; i < 3; ++i)
    background.Run(1, [i] { return "a" + std::to_string(i); }, note);
  background.Run(2, [] { return std::string("b0"); }, note);
  gate.set_value();
  RunUntil(loop, [&] { return done.size() == 5; });
  EXPECT_THAT(done, ElementsAre("gate", "b0", "a0", "a1", "a2"));
}

TEST(BackgroundTest, DestroyingItRunsWhatIsQueuedAndDropsTheCallbacks) {
  Loop loop;
  std::atomic<int> ran = 0;
  int called = 0;
  {
    Background background(loop, 1);
    for (int i = 0; i < 10; ++i)
      background.Run(1, [&] { return ++ran; }, [&](int) { ++called; });
  }
  EXPECT_EQ(10, ran);
  RunBriefly(loop);
  EXPECT_EQ(0, called);
}

TEST(BackgroundTest, CountsWhatWaits) {
  Loop loop;
  Background background(loop, 1);
  std::promise<void> gate;
  int done = 0;
  std::promise<void> started;
  background.Run(
      1,
      [&started, open = gate.get_future().share()] {
        started.set_value();
        open.wait();
        return 0;
      },
      [&](int) { ++done; });
  started.get_future().wait();
  background.Run(1, [] { return 0; }, [&](int) { ++done; });
  background.Run(2, [] { return 0; }, [&](int) { ++done; });
  EXPECT_EQ(2u, background.queued());
  gate.set_value();
  RunUntil(loop, [&] { return done == 3; });
  EXPECT_EQ(0u, background.queued());
}

}  // namespace
}  // namespace cloister
