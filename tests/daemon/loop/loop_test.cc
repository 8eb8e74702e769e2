#include "daemon/loop/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

using testing::ElementsAre;

class Recorder : public TurnTask {
 public:
  Recorder(std::vector<std::string>& log, std::string name) : log_(log), name_(std::move(name)) {}
  void OnTurnEnd() override { log_.push_back(name_); }

 private:
  std::vector<std::string>& log_;
  std::string name_;
};

TEST(LoopTest, PostedTasksRunInOrderOnTheLoopsThread) {
  Loop loop;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i)
      loop.Post([&, i] {
        loop.CheckThread();
        seen.push_back(i);
      });
    loop.Post([&] { loop.Stop(); });
  });
  loop.Run();
  other.join();
  ASSERT_EQ(1000u, seen.size());
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(LoopTest, ATaskMayPostAnother) {
  Loop loop;
  int depth = 0;
  std::function<void()> task = [&] {
    if (++depth < 10)
      loop.Post(task);
    else
      loop.Stop();
  };
  loop.Post(task);
  loop.Run();
  EXPECT_EQ(10, depth);
}

TEST(LoopTest, TurnsEndAfterAllEventsOfTheTurn) {
  Loop loop;
  std::vector<std::string> log;
  Recorder task(log, "end");
  for (int i = 0; i < 3; ++i)
    loop.Post([&] {
      log.emplace_back("event");
      loop.AtTurnEnd(task);
    });
  loop.Post([&] { loop.Stop(); });
  loop.Run();
  EXPECT_THAT(log, ElementsAre("event", "event", "event", "end"));
  EXPECT_FALSE(task.scheduled());
}

TEST(LoopTest, ATurnTaskThatIsGoneIsNotRun) {
  Loop loop;
  std::vector<std::string> log;
  Recorder first(log, "first");
  auto second = std::make_unique<Recorder>(log, "second");
  Recorder third(log, "third");
  loop.Post([&] {
    loop.AtTurnEnd(first);
    loop.AtTurnEnd(*second);
    loop.AtTurnEnd(third);
    second.reset();
    loop.Stop();
  });
  loop.Run();
  EXPECT_THAT(log, ElementsAre("first", "third"));
}

TEST(LoopTest, ATurnTaskMayScheduleAndDestroyOthers) {
  Loop loop;
  std::vector<std::string> log;
  auto victim = std::make_unique<Recorder>(log, "victim");
  Recorder last(log, "last");
  loop.Post([&] {
    loop.AtTurnEnd([&] {
      log.emplace_back("function");
      loop.AtTurnEnd(last);
    });
    loop.AtTurnEnd(last);
    loop.AtTurnEnd(*victim);
    loop.AtTurnEnd([&] { victim.reset(); });
    loop.Stop();
  });
  loop.Run();
  EXPECT_THAT(log, ElementsAre("last", "victim", "function", "last"));
  EXPECT_EQ(nullptr, victim);
}

TEST(LoopTest, SpareBuffersComeBackEmptyWithTheirMemory) {
  Loop loop;
  EXPECT_EQ(0u, loop.TakeBuffer().size());
  loop.GiveBuffer(std::string(1000, 'x'));
  const std::string again = loop.TakeBuffer();
  EXPECT_TRUE(again.empty());
  EXPECT_GE(again.capacity(), 1000u);
  // What is very large is not hoarded.
  loop.GiveBuffer(std::string(1 << 20, 'x'));
  EXPECT_LT(loop.TakeBuffer().capacity(), 1000u);
}

}  // namespace
}  // namespace cloister
