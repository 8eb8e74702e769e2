#include "daemon/loop/timeout_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

using testing::ElementsAre;

class Entry : public TimeoutEntry {
 public:
  Entry(std::vector<int>& fired, int number) : fired_(fired), number_(number) {}
  void OnTimeout() override {
    fired_.push_back(number_);
    if (then)
      then();
  }
  std::function<void()> then;

 private:
  std::vector<int>& fired_;
  int number_;
};

TEST(TimeoutQueueTest, FiresInOrderAndNeverEarly) {
  Loop loop;
  TimeoutQueue queue(loop, Millis(30));
  std::vector<int> fired;
  Entry one(fired, 1);
  Entry two(fired, 2);
  const auto began = std::chrono::steady_clock::now();
  queue.Arm(one);
  queue.Arm(two);
  RunUntil(loop, [&] { return fired.size() == 2; });
  EXPECT_THAT(fired, ElementsAre(1, 2));
  // The loop's time is in milliseconds and may lag by one.
  EXPECT_GE(std::chrono::steady_clock::now() - began, Millis(29));
  EXPECT_FALSE(one.armed());
}

TEST(TimeoutQueueTest, ArmingAgainStartsAnew) {
  Loop loop;
  TimeoutQueue queue(loop, Millis(40));
  std::vector<int> fired;
  Entry one(fired, 1);
  Entry two(fired, 2);
  queue.Arm(one);
  queue.Arm(two);
  Timer later(loop);
  later.Start(Millis(20), [&] { queue.Arm(one); });
  RunUntil(loop, [&] { return fired.size() == 2; });
  EXPECT_THAT(fired, ElementsAre(2, 1));
}

TEST(TimeoutQueueTest, DisarmedAndDestroyedEntriesDoNotFire) {
  Loop loop;
  TimeoutQueue queue(loop, Millis(5));
  std::vector<int> fired;
  Entry disarmed(fired, 1);
  auto destroyed = std::make_unique<Entry>(fired, 2);
  Entry last(fired, 3);
  queue.Arm(disarmed);
  queue.Arm(*destroyed);
  queue.Arm(last);
  disarmed.Disarm();
  destroyed.reset();
  RunUntil(loop, [&] { return !fired.empty(); });
  EXPECT_THAT(fired, ElementsAre(3));
}

TEST(TimeoutQueueTest, AnEntryMayArmItselfDestroyItselfAndOthers) {
  Loop loop;
  TimeoutQueue queue(loop, Millis(5));
  std::vector<int> fired;
  auto self = std::make_unique<Entry>(fired, 1);
  auto other = std::make_unique<Entry>(fired, 2);
  Entry again(fired, 3);
  self->then = [&] {
    other.reset();
    self.reset();
  };
  again.then = [&] {
    if (fired.size() < 3)
      queue.Arm(again);
  };
  queue.Arm(*self);
  queue.Arm(*other);
  queue.Arm(again);
  RunUntil(loop, [&] { return fired.size() == 3; });
  EXPECT_THAT(fired, ElementsAre(1, 3, 3));
}

TEST(TimeoutQueueTest, AnEntryMovesBetweenQueues) {
  Loop loop;
  TimeoutQueue fast(loop, Millis(5));
  TimeoutQueue slow(loop, Seconds(1000));
  std::vector<int> fired;
  Entry one(fired, 1);
  Entry two(fired, 2);
  slow.Arm(one);
  fast.Arm(two);
  slow.Arm(two);
  fast.Arm(one);
  RunUntil(loop, [&] { return !fired.empty(); });
  RunBriefly(loop);
  EXPECT_THAT(fired, ElementsAre(1));
}

TEST(TimeoutQueueTest, FiresAgainAfterItWasEmpty) {
  Loop loop;
  TimeoutQueue queue(loop, Millis(2));
  std::vector<int> fired;
  Entry one(fired, 1);
  for (std::size_t round = 1; round <= 3; ++round) {
    queue.Arm(one);
    RunUntil(loop, [&] { return fired.size() == round; });
  }
}

}  // namespace
}  // namespace cloister
