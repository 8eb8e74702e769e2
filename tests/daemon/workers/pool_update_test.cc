// Pools whose release gets other limits while it serves.

#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include "tests/daemon/workers/pool_fixture.h"

namespace cloister {
namespace {

// The release within other limits, from the ones that it has.
ReleaseSpec Changed(const Pool& pool, const std::function<void(ReleaseSpec&)>& change) {
  ReleaseSpec spec = pool.spec();
  change(spec);
  return spec;
}

using PoolUpdateTest = PoolTest;

TEST_F(PoolUpdateTest, AWorkerWithFormerLimitsIsReplacedBeforeItEnds) {
  Pool& pool = Make(SomeRelease());
  AnswerAll();
  FakeExchange& first = Ask();
  ASSERT_TRUE(Until([&] { return first.done(); }));
  pool.Update(Changed(pool, [](ReleaseSpec& spec) { spec.limits.memory_max = MiB(64); }));
  // The old one serves until the new one does.
  EXPECT_EQ(pool.usable(), 2U);
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2 && pool.workers() == 1; }));
  FakeExchange& second = Ask("/second");
  ASSERT_TRUE(Until([&] { return second.done(); }));
  EXPECT_EQ(second.body, "/second");
  EXPECT_EQ(script(1).requests.size(), 1U);
  EXPECT_EQ(script(0).requests.size(), 1U);
}

TEST_F(PoolUpdateTest, ARunningRequestEndsOnTheWorkerWithFormerLimits) {
  Pool& pool = Make(SomeRelease());
  HoldAll();
  FakeExchange& running = Ask("/running");
  ASSERT_TRUE(
      Until([&] { return processes().workers.size() == 1 && !script(0).requests.empty(); }));
  pool.Update(Changed(pool, [](ReleaseSpec& spec) { spec.limits.threads_max = 3; }));
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2; }));
  EXPECT_FALSE(running.done());
  Finish(script(0), 0);
  ASSERT_TRUE(Until([&] { return running.done() && pool.workers() == 1; }));
  EXPECT_EQ(running.status, 200);
}

TEST_F(PoolUpdateTest, OtherLimitsThanTheProcesssReplaceNobody) {
  Pool& pool = Make(SomeRelease());
  AnswerAll();
  FakeExchange& first = Ask();
  ASSERT_TRUE(Until([&] { return first.done(); }));
  pool.Update(Changed(pool, [](ReleaseSpec& spec) {
    spec.limits.wall_max = Millis(1234);
    spec.queue_max = 1;
  }));
  FakeExchange& second = Ask();
  ASSERT_TRUE(Until([&] { return second.done(); }));
  EXPECT_EQ(processes().workers.size(), 1U);
  EXPECT_EQ(script(0).requests.back().wall_ms, 1234U);
}

TEST_F(PoolUpdateTest, LimitsThatReturnReplaceNobodyMore) {
  Pool& pool = Make(SomeRelease());
  HoldAll();
  (void)Ask();
  ASSERT_TRUE(
      Until([&] { return processes().workers.size() == 1 && !script(0).requests.empty(); }));
  processes().on_start = [](ScriptedWorker&) {};  // the next ones never become ready
  const ReleaseSpec before = pool.spec();
  pool.Update(Changed(pool, [](ReleaseSpec& spec) { spec.limits.memory_max = MiB(64); }));
  pool.Update(before);
  Finish(script(0), 0);
  FakeExchange& second = Ask();
  ASSERT_TRUE(Until([&] { return script(0).requests.size() == 2; }));
  Finish(script(0), 1);
  EXPECT_TRUE(Until([&] { return second.done(); }));
}

TEST_F(PoolUpdateTest, FewerWorkersAreAllowedAndTheSurplusEnds) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_min = 3;
  Pool& pool = Make(spec);
  AnswerAll();
  pool.KeepMinimum();
  ASSERT_TRUE(Until([&] { return pool.usable() == 3; }));
  FakeExchange& warm = Ask();
  ASSERT_TRUE(Until([&] { return warm.done(); }));
  pool.Update(Changed(pool, [](ReleaseSpec& less) {
    less.workers_min = 1;
    less.workers_max = 1;
  }));
  EXPECT_TRUE(Until([&] { return pool.workers() == 1; }));
  FakeExchange& exchange = Ask();
  EXPECT_TRUE(Until([&] { return exchange.done(); }));
}

TEST_F(PoolUpdateTest, AReplacementThatCannotStartLeavesTheOldWorkerServing) {
  Pool& pool = Make(SomeRelease());
  AnswerAll();
  FakeExchange& first = Ask();
  ASSERT_TRUE(Until([&] { return first.done(); }));
  processes().on_start = [this](ScriptedWorker& worker) {
    processes().Exit(WorkerId{worker.orders.worker_id}, SIGKILL);
  };
  pool.Update(Changed(pool, [](ReleaseSpec& spec) { spec.limits.memory_max = MiB(16); }));
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2 && pool.workers() == 1; }));
  FakeExchange& second = Ask("/still");
  ASSERT_TRUE(Until([&] { return second.done(); }));
  EXPECT_EQ(second.body, "/still");
}

TEST_F(PoolUpdateTest, NoMoreRequestsThanTheQuotaAreInWorkers) {
  ReleaseSpec spec = SomeRelease();
  spec.concurrent_max = 2;
  Pool& pool = Make(spec);
  HoldAll();
  for (int i = 0; i < 5; ++i)
    (void)Ask();
  ASSERT_TRUE(Until([&] { return pool.Use().concurrent == 2; }));
  RunFor(ground_->loop, Millis(30));
  EXPECT_EQ(pool.Use().concurrent, 2U);
  EXPECT_EQ(pool.Use().queued, 3U);
  Finish(script(0), 0);
  EXPECT_TRUE(Until([&] { return pool.Use().queued == 2; }));
  EXPECT_EQ(pool.Use().concurrent, 2U);
  pool.Update(Changed(pool, [](ReleaseSpec& more) { more.concurrent_max = 64; }));
  EXPECT_TRUE(Until([&] { return pool.Use().queued == 0; }));
}

TEST_F(PoolUpdateTest, AFullQueueIsToldInTheAppsLogOnce) {
  ReleaseSpec spec = SomeRelease();
  spec.queue_max = 1;
  spec.workers_max = 1;
  spec.concurrent_max = 1;
  Make(spec);
  HoldAll();
  (void)Ask();
  ASSERT_TRUE(Until([&] { return pool_->Use().concurrent == 1; }));
  for (int i = 0; i < 10; ++i)
    (void)Ask();
  EXPECT_EQ(pool_->Use().queue_refused, 9U);
  EXPECT_EQ(ground_->logs.Count("which is limits.queue"), 1U);
}

}  // namespace
}  // namespace cloister
