#include "daemon/workers/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tests/daemon/workers/pool_fixture.h"

namespace cloister {
namespace {

using Got = ScriptedWorker::Got;

TEST_F(PoolTest, ARequestWakesTheAppAndLoadsItsImage) {
  Make(SomeRelease());
  AnswerAll();
  EXPECT_EQ(images_wanted_, 0);
  FakeExchange& exchange = Ask("/x");
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.body, "/x");
  EXPECT_EQ(exchange.notes().app, "demo/hello");
  EXPECT_EQ(exchange.notes().release, "1.2.0");
  EXPECT_EQ(images_wanted_, 1);
  EXPECT_EQ(pool_->workers(), 1U);
}

TEST_F(PoolTest, ImageThatComesLateIsAskedForOnce) {
  image_late_ = true;
  Make(SomeRelease());
  AnswerAll();
  FakeExchange& first = Ask();
  FakeExchange& second = Ask();
  RunFor(ground_->loop, Millis(12));
  EXPECT_EQ(images_wanted_, 1);
  pool_->OnImage(RunParts(SomeImage()));
  ASSERT_TRUE(Until([&] { return first.done() && second.done(); }));
  EXPECT_EQ(first.status, 200);
}

TEST_F(PoolTest, MissingImageIsA503) {
  image_fails_ = true;
  Make(SomeRelease(), {.crashes_free = 0, .backoff_first = Millis(20), .backoff_hold = Millis(0)});
  FakeExchange& exchange = Ask();
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 503);
  EXPECT_NE(exchange.body.find("workers_unavailable"), std::string::npos);
}

TEST_F(PoolTest, FillsABusyWorkerBeforeItWakesAnother) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_min = 2;
  Pool& pool = Make(spec);
  AnswerAll();
  pool.KeepMinimum();
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2; }));
  // Both become known as fast.
  for (int i = 0; i < 40; ++i) {
    FakeExchange& one = Ask();
    FakeExchange& two = Ask();
    ASSERT_TRUE(Until([&] { return one.done() && two.done(); }));
  }
  ASSERT_FALSE(script(0).requests.empty());
  ASSERT_FALSE(script(1).requests.empty());
  for (std::size_t i = 0; i < 2; ++i) {
    script(i).requests.clear();
    script(i).on_request = nullptr;
  }
  for (std::size_t i = 0; i < kInboxSlots; ++i)
    Ask();
  const auto most = [&] { return std::max(script(0).requests.size(), script(1).requests.size()); };
  ASSERT_TRUE(Until([&] { return most() == kInboxSlots; }));
  EXPECT_EQ(script(0).requests.size() + script(1).requests.size(), kInboxSlots);
  EXPECT_EQ(pool.queued(), 0U);
}

TEST_F(PoolTest, GrowsWhileRequestsWaitAndStopsAtItsMaximum) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 3;
  Make(spec);
  HoldAll();
  for (int i = 0; i < 5; ++i)
    Ask();
  ASSERT_TRUE(
      Until([&] { return processes().workers.size() == 3 && !script(2).requests.empty(); }));
  RunFor(ground_->loop, Millis(30));
  EXPECT_EQ(processes().workers.size(), 3U);
  EXPECT_EQ(pool_->queued(), 2U);
}

TEST_F(PoolTest, FastAppDoesNotGrow) {
  Make(SomeRelease(), {.grow_after = Millis(2000)});
  AnswerAll();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 16; ++i)
      Ask();
    ASSERT_TRUE(Until([&] { return exchanges_.back()->done(); }));
  }
  EXPECT_EQ(processes().workers.size(), 1U);
}

TEST_F(PoolTest, FullQueueIsA503) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  spec.queue_max = 2;
  Make(spec);
  HoldAll();
  Ask();
  ASSERT_TRUE(Until([&] { return pool_->queued() == 0; }));
  FakeExchange& second = Ask();
  FakeExchange& third = Ask();
  FakeExchange& fourth = Ask();
  EXPECT_FALSE(second.done());
  EXPECT_FALSE(third.done());
  EXPECT_EQ(fourth.status, 503);
  EXPECT_NE(fourth.body.find("queue_full"), std::string::npos);
  EXPECT_EQ(fourth.ResponseHeader("Retry-After"), "1");
}

TEST_F(PoolTest, RequestThatWaitsTooLongIsA503) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec, {.queue_wait_max = Millis(20)});
  HoldAll();
  Ask();
  ASSERT_TRUE(Until([&] { return pool_->queued() == 0; }));
  FakeExchange& second = Ask();
  ASSERT_TRUE(Until([&] { return second.done(); }));
  EXPECT_EQ(second.status, 503);
  EXPECT_NE(second.body.find("queue_timeout"), std::string::npos);
}

TEST_F(PoolTest, QueuedRequestOfAGoneClientLeavesTheQueue) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec);
  HoldAll();
  Ask();
  ASSERT_TRUE(Until([&] { return pool_->queued() == 0; }));
  Ask().GoAway();
  EXPECT_EQ(pool_->queued(), 0U);
}

TEST_F(PoolTest, LargeBodyGoesToAnEmptyWorkerOnly) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec);
  AnswerAll();
  for (int i = 0; i < 20; ++i) {
    FakeExchange& exchange = Ask();
    ASSERT_TRUE(Until([&] { return exchange.done(); }));
  }
  script(0).requests.clear();
  script(0).on_request = nullptr;
  Ask("/small");
  const std::string body(kInlineBodyMax + 1, 'b');
  exchanges_.push_back(std::make_unique<FakeExchange>("/large"));
  exchanges_.back()->request().body.bytes = body;
  exchanges_.back()->request().body.size = body.size();
  pool_->Submit(*exchanges_.back());
  ASSERT_TRUE(Until([&] { return script(0).requests.size() == 1; }));
  EXPECT_EQ(pool_->queued(), 1U);
  script(0).Answer(script(0).requests[0]);
  ASSERT_TRUE(Until([&] { return script(0).requests.size() == 2; }));
  EXPECT_EQ(script(0).requests[1].target, "/large");
  pool_.reset();
}

// --- Death

TEST_F(PoolTest, CrashCostsTheClaimedRequestTheOthersAreAnswered) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec);
  processes().on_start = [&](ScriptedWorker& worker) {
    const bool first = processes().workers.size() == 1;
    worker.on_request = [&, first](ScriptedWorker& self, const Got& got) {
      if (!first)
        return self.Answer(got);
      self.Claim(got);
      processes().Exit(WorkerId{self.orders.worker_id}, SIGSEGV);
    };
    worker.Ready();
  };
  FakeExchange& first = Ask();
  FakeExchange& second = Ask();
  FakeExchange& third = Ask();
  ASSERT_TRUE(Until([&] { return first.done() && second.done() && third.done(); }));
  EXPECT_EQ(first.status, 502);
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(third.status, 200);
}

TEST_F(PoolTest, RequestThatKillsEveryWorkerBeforeItsClaimEndsAt502) {
  Make(SomeRelease(), {.backoff_first = Millis(1), .backoff_max = Millis(1)});
  processes().on_start = [&](ScriptedWorker& worker) {
    worker.on_request = [&](ScriptedWorker& self, const Got& /*got*/) {
      processes().Exit(WorkerId{self.orders.worker_id}, SIGSEGV);
    };
    worker.Ready();
  };
  FakeExchange& exchange = Ask();
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  // 502 after three workers; or 503 when the pool backed off before.
  EXPECT_GE(exchange.status, 502);
  EXPECT_LE(processes().workers.size(), 3U);
}

TEST_F(PoolTest, BacksOffWhenWorkersDoNotStayUp) {
  Make(SomeRelease(),
       {.backoff_first = Millis(200), .backoff_max = Millis(400), .backoff_hold = Millis(0)});
  processes().on_start = [&](ScriptedWorker& worker) {
    processes().ExitCode(WorkerId{worker.orders.worker_id}, 1);
  };
  FakeExchange& first = Ask();
  ASSERT_TRUE(Until([&] { return first.done(); }));
  EXPECT_EQ(first.status, 503);
  EXPECT_NE(first.body.find("app_crashing"), std::string::npos);
  EXPECT_EQ(first.ResponseHeader("Retry-After"), "1");
  // While it lasts, answers come at once and nothing is started.
  const std::size_t started = processes().workers.size();
  EXPECT_EQ(Ask().status, 503);
  EXPECT_EQ(processes().workers.size(), started);
  std::vector<WorkerInfo> infos;
  pool_->AppendInfo(infos);
  ASSERT_TRUE(std::ranges::any_of(
      infos, [](const WorkerInfo& info) { return info.state == "backing off"; }));
  EXPECT_GE(ground_->logs.Count("times in a row"), 1U);
  // Afterwards a good worker serves.
  AnswerAll();
  ASSERT_TRUE(Until([&] { return ground_->loop.Now() >= pool_->backoff_until(); }));
  FakeExchange& later = Ask();
  ASSERT_TRUE(Until([&] { return later.done(); }));
  EXPECT_EQ(later.status, 200);
}

TEST_F(PoolTest, ShortBackoffIsWaitedFor) {
  Make(SomeRelease(), {.crashes_free = 1, .backoff_first = Millis(50)});
  processes().on_start = [&](ScriptedWorker& worker) {
    if (processes().workers.size() <= 2)
      return processes().ExitCode(WorkerId{worker.orders.worker_id}, 1);
    worker.on_request = [](ScriptedWorker& self, const Got& got) { self.Answer(got); };
    worker.Ready();
  };
  FakeExchange& exchange = Ask();
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(ground_->logs.Count("2 times in a row"), 1U);
}

TEST_F(PoolTest, BackoffDoublesUpToItsMaximum) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_min = 1;
  Pool& pool = Make(spec, {.backoff_first = Millis(4), .backoff_max = Millis(16)});
  processes().on_start = [&](ScriptedWorker& worker) {
    processes().ExitCode(WorkerId{worker.orders.worker_id}, 1);
  };
  pool.KeepMinimum();
  const LogCollector& logs = ground_->logs;
  ASSERT_TRUE(Until([&] { return logs.Count("times in a row") >= 5; }));
  EXPECT_EQ(logs.Count("starts in 4 ms"), 1U);
  EXPECT_EQ(logs.Count("starts in 8 ms"), 1U);
  EXPECT_GE(logs.Count("starts in 16 ms"), 3U);
  EXPECT_EQ(logs.Count("starts in 32 ms"), 0U);
}

TEST_F(PoolTest, RowOfCrashesEndsWithTheFirstProofOfHealthOfAWorker) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 2;
  WorkerOptions one_at_a_time = Patient();
  one_at_a_time.fast_service = Micros(0);
  Make(spec, {.crashes_free = 2, .healthy_requests = 3}, one_at_a_time);
  processes().on_start = [&](ScriptedWorker& worker) {
    // Only the third one comes up.
    if (processes().workers.size() != 3)
      return processes().ExitCode(WorkerId{worker.orders.worker_id}, 1);
    worker.on_request = [](ScriptedWorker& self, const Got& got) {
      if (got.target == "/held")
        self.Claim(got);
      else
        self.Answer(got);
    };
    worker.Ready();
  };
  for (int i = 0; i < 3; ++i) {
    FakeExchange& exchange = Ask();
    ASSERT_TRUE(Until([&] { return exchange.done(); }));
    EXPECT_EQ(exchange.status, 200);
  }
  // The next ones crash beside it: a row that begins anew, and that it does not end again.
  Ask("/held");
  Ask("/waits");
  const LogCollector& logs = ground_->logs;
  ASSERT_TRUE(Until([&] { return logs.Count("times in a row") > 0; }));
  EXPECT_EQ(logs.Count("3 times in a row"), 1U);
  EXPECT_EQ(processes().workers.size(), 6U);
}

// Each of them answers enough to count as healthy.
TEST_F(PoolTest, WorkersThatAnswerSomeAndEndAreNotStartedWithoutEnd) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec, {.healthy_requests = 1, .starts_rate = 5, .starts_burst = 4});
  processes().on_start = [this](ScriptedWorker& worker) {
    worker.on_request = [this](ScriptedWorker& self, const Got& got) {
      self.Answer(got);
      processes().ExitCode(WorkerId{self.orders.worker_id}, 1);
    };
    worker.Ready();
  };
  const auto begun = std::chrono::steady_clock::now();
  const auto ask = [this] {
    FakeExchange& exchange = Ask();
    EXPECT_TRUE(Until([&] { return exchange.done(); }));
    EXPECT_EQ(exchange.status, 200);
  };
  for (int i = 0; i < 8; ++i)
    ask();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun;
  // Nothing is refused, and what is more than the burst comes at the rate.
  EXPECT_EQ(processes().workers.size(), 8U);
  EXPECT_GE(passed.count(), 0.75);
  EXPECT_EQ(ground_->logs.Count("the next ones wait a moment"), 1U);
}

// As many as may be are not held back, nor when all of them are replaced.
TEST_F(PoolTest, APoolThatGrowsAndIsReplacedIsNotHeldBack) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_min = spec.workers_max = 6;
  Make(spec, {.starts_rate = 0.001, .starts_burst = 1});
  AnswerAll();
  pool_->KeepMinimum();
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 6; }));
  spec.limits.memory_max = MiB(99);
  pool_->Update(spec);
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 12; }));
  EXPECT_EQ(ground_->logs.Count("the next ones wait"), 0U);
}

// --- Size

TEST_F(PoolTest, IdleWorkersEndAndTheImageGoes) {
  Make(SomeRelease(), {.idle_timeout = Millis(40)});
  AnswerAll();
  FakeExchange& exchange = Ask();
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  ASSERT_TRUE(Until([&] { return script(0).shutdown; }));
  processes().ExitCode(WorkerId{script(0).orders.worker_id}, 0);
  ASSERT_TRUE(Until([&] { return empty_ == 1; }));
  EXPECT_EQ(pool_->workers(), 0U);
  // The next request wakes it again, and wants the image again.
  FakeExchange& next = Ask();
  ASSERT_TRUE(Until([&] { return next.done(); }));
  EXPECT_EQ(next.status, 200);
  EXPECT_EQ(images_wanted_, 2);
}

TEST_F(PoolTest, MinimumStays) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_min = 1;
  Pool& pool = Make(spec, {.idle_timeout = Millis(20)});
  AnswerAll();
  pool.KeepMinimum();
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 1; }));
  RunFor(ground_->loop, Millis(60));
  EXPECT_FALSE(script(0).shutdown);
  // One that dies is replaced without a request.
  processes().Exit(WorkerId{script(0).orders.worker_id}, SIGKILL);
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2; }));
}

TEST_F(PoolTest, WorkerIsReplacedAfterItsShareOfRequests) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec, {.requests_max = 5});
  AnswerAll();
  bool shut_down = false;
  for (int i = 0; i < 200 && !shut_down; ++i) {
    FakeExchange& exchange = Ask();
    ASSERT_TRUE(Until([&] { return exchange.done(); }));
    ASSERT_EQ(exchange.status, 200);
    shut_down = script(0).shutdown;
  }
  ASSERT_TRUE(Until([&] { return script(0).shutdown; }));
  EXPECT_EQ(processes().workers.size(), 2U);
}

// --- Boot and retirement

TEST_F(PoolTest, BootSaysHowItWent) {
  Pool& pool = Make(SomeRelease());
  bool booted = false;
  pool.Boot(SomeImage(), 1, [&](const BootOutcome& outcome) {
    booted = true;
    EXPECT_EQ(outcome.failure, nullptr);
  });
  ASSERT_TRUE(Until([&] { return booted; }));
  EXPECT_EQ(images_wanted_, 0);
}

TEST_F(PoolTest, ABootOfSeveralIsOverWhenAllAreReady) {
  Pool& pool = Make(SomeRelease());
  std::vector<ScriptedWorker*> starting;
  processes().on_start = [&](ScriptedWorker& worker) { starting.push_back(&worker); };
  bool booted = false;
  pool.Boot(SomeImage(), 3, [&](const BootOutcome& outcome) {
    booted = true;
    EXPECT_EQ(outcome.failure, nullptr);
  });
  ASSERT_TRUE(Until([&] { return starting.size() == 3; }));
  starting[2]->Ready();
  starting[0]->Ready();
  ASSERT_TRUE(Until([&] {
    std::vector<WorkerInfo> infos;
    pool.AppendInfo(infos);
    return std::ranges::count(infos, "idle", &WorkerInfo::state) == 2;
  }));
  EXPECT_FALSE(booted);
  starting[1]->Ready();
  ASSERT_TRUE(Until([&] { return booted; }));
  EXPECT_EQ(pool.usable(), 3U);
}

TEST_F(PoolTest, ABootOfSeveralFailsWithItsFirstFailure) {
  Pool& pool = Make(SomeRelease());
  processes().on_start = [&](ScriptedWorker& worker) {
    if (processes().workers.size() == 2)
      return worker.FailBoot(
          {.code = "app_raised", .message = "m", .file = "", .line = 0, .traceback = ""});
    worker.Ready();
  };
  std::vector<std::string> codes;
  pool.Boot(SomeImage(), 2, [&](const BootOutcome& outcome) {
    codes.push_back(outcome.failure == nullptr ? "" : outcome.failure->code);
  });
  ASSERT_TRUE(Until([&] { return !codes.empty() && processes().workers.size() == 2; }));
  EXPECT_EQ(codes, std::vector<std::string>{"app_raised"});
}

TEST_F(PoolTest, BootThatFailsIsNoCrash) {
  Pool& pool = Make(SomeRelease());
  processes().on_start = [](ScriptedWorker& worker) {
    worker.FailBoot(
        {.code = "syntax_error", .message = "m", .file = "a.py", .line = 2, .traceback = "t"});
  };
  std::string code;
  pool.Boot(SomeImage(), 1, [&](const BootOutcome& outcome) { code = outcome.failure->code; });
  ASSERT_TRUE(Until([&] { return !code.empty(); }));
  EXPECT_EQ(code, "syntax_error");
  ASSERT_TRUE(Until([&] { return empty_ == 1; }));
  EXPECT_LE(pool.backoff_until(), ground_->loop.Now());
  EXPECT_TRUE(ground_->logs.events.empty()) << "the deployer gets the report";
}

TEST_F(PoolTest, RetiredPoolFinishesWhatRunsAndReroutesTheRest) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Pool& pool = Make(spec);
  HoldAll();
  FakeExchange& running = Ask("/running");
  ASSERT_TRUE(Until([&] { return pool.queued() == 0 && !script(0).requests.empty(); }));
  FakeExchange& queued = Ask("/queued");
  pool.Retire();
  EXPECT_EQ(rerouted_, std::vector<Exchange*>{&queued});
  EXPECT_EQ(queued.body, "from the new release");
  EXPECT_FALSE(script(0).shutdown);
  Finish(script(0), 0);
  ASSERT_TRUE(Until([&] { return script(0).shutdown; }));
  EXPECT_EQ(running.status, 200);
  processes().ExitCode(WorkerId{script(0).orders.worker_id}, 0);
  ASSERT_TRUE(Until([&] { return empty_ == 1; }));
}

TEST_F(PoolTest, RetiredPoolReroutesWhatWasSentAndNotClaimed) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Pool& pool = Make(spec);
  FakeExchange& sent = Ask("/sent");
  ASSERT_TRUE(Until([&] { return !processes().workers.empty() && !script(0).requests.empty(); }));
  pool.Retire();
  EXPECT_EQ(rerouted_, std::vector<Exchange*>{&sent});
  EXPECT_FALSE(script(0).Claim(script(0).requests[0]));
}

TEST_F(PoolTest, ARequestOfTheNodeGoesToNoOtherRelease) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Pool& pool = Make(spec);
  const FakeExchange& sent = Ask("/sent", NodeTerms());
  ASSERT_TRUE(Until([&] { return !processes().workers.empty() && !script(0).requests.empty(); }));
  pool.Retire();
  EXPECT_TRUE(rerouted_.empty());
  EXPECT_EQ(sent.status, 503);
  EXPECT_EQ(sent.notes().problem, "no_release");
}

TEST_F(PoolTest, RetiredPoolWithoutWorkersIsEmptyAtOnce) {
  Make(SomeRelease()).Retire();
  EXPECT_EQ(empty_, 1);
}

TEST_F(PoolTest, RetiredPoolTakesNothing) {
  Make(SomeRelease()).Retire();
  EXPECT_EQ(Ask().status, 503);
}

TEST_F(PoolTest, RetirementEndsABoot) {
  Pool& pool = Make(SomeRelease());
  processes().on_start = [](ScriptedWorker&) {};
  std::string code;
  pool.Boot(SomeImage(), 1, [&](const BootOutcome& outcome) { code = outcome.failure->code; });
  ASSERT_TRUE(Until([&] { return !processes().workers.empty(); }));
  pool.Retire();
  ASSERT_TRUE(Until([&] { return empty_ == 1; }));
  EXPECT_EQ(code, "cancelled");
}

TEST_F(PoolTest, DestroyedPoolAnswersWhatItHas) {
  ReleaseSpec spec = SomeRelease();
  spec.workers_max = 1;
  Make(spec);
  HoldAll();
  FakeExchange& running = Ask();
  ASSERT_TRUE(Until([&] { return pool_->queued() == 0; }));
  FakeExchange& queued = Ask();
  pool_.reset();
  EXPECT_EQ(running.status, 503);
  EXPECT_EQ(queued.status, 503);
}

}  // namespace
}  // namespace cloister
