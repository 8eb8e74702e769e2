#include "daemon/workers/spawner.h"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {
namespace {

class Customer : public Spawner::Client {
 public:
  void OnSpawned(Result<SpawnedWorker> spawned) override { answer = std::move(spawned); }
  std::optional<Result<SpawnedWorker>> answer;
};

class SpawnerTest : public testing::Test, private WorkerControl::Listener {
 protected:
  void SetUp() override {
    processes_.SetListener(this);
    Make({.blanks = 2, .timeout = Millis(10000), .retry_after = Millis(20)});
  }
  void TearDown() override {
    spawner_.reset();
    processes_.SetListener(nullptr);
  }
  void Make(SpawnerOptions options) {
    spawner_ = std::make_unique<Spawner>(loop_, processes_, options);
    spawner_->SetZygote(processes_.NewZygote());
  }
  static SpawnOrder Order() {
    return {.job = WorkerJob::kServe,
            .app = "demo/hello",
            .version = "1.2.0",
            .entry = "hello:application",
            .limits = {},
            .group = "app-3",
            .image = SomeImage()};
  }
  bool Until(const std::function<bool()>& condition) { return RunUntil(loop_, condition); }

  Loop loop_;
  FakeProcesses processes_{loop_};
  std::unique_ptr<Spawner> spawner_;
  Customer customer_;
  std::vector<WorkerId> unknown_exits_;

 private:
  void OnWorkerPlaced(WorkerId worker, std::string_view error) override {
    spawner_->OnWorkerPlaced(worker, error);
  }
  void OnWorkerExited(WorkerId worker, std::uint32_t status, Micros /*cpu*/) override {
    if (!spawner_->OnWorkerExited(worker, status))
      unknown_exits_.push_back(worker);
  }
};

TEST_F(SpawnerTest, KeepsAStockOfBlanks) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  RunFor(loop_, Millis(3));
  EXPECT_EQ(processes_.wanted, 2U);
}

TEST_F(SpawnerTest, OrderBecomesAWorker) {
  spawner_->Spawn(Order(), customer_);
  EXPECT_FALSE(customer_.answer.has_value()) << "never from within Spawn";
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  ASSERT_TRUE(customer_.answer->ok());
  const SpawnedWorker& worker = customer_.answer->value();
  ASSERT_TRUE(Until([&] { return !processes_.workers.empty(); }));
  const HandOver& orders = processes_.workers.front()->orders;
  EXPECT_EQ(orders.worker_id, worker.id.number);
  EXPECT_EQ(orders.app, "demo/hello");
  EXPECT_EQ(orders.version, "1.2.0");
  EXPECT_EQ(orders.memory_max_bytes, MiB(256).count);
  ASSERT_EQ(processes_.placed.size(), 1U);
  EXPECT_EQ(processes_.placed.front().group, "app-3");
  EXPECT_EQ(processes_.placed.front().pids_max, 64U);
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; })) << "the stock is filled up again";
}

TEST_F(SpawnerTest, BlankThatDiesInStockIsReplaced) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  processes_.Exit(processes_.Blanks().front(), SIGKILL);
  ASSERT_TRUE(Until([&] { return processes_.wanted == 3 && spawner_->stock() == 2; }));
  EXPECT_TRUE(unknown_exits_.empty());
}

TEST_F(SpawnerTest, BlankThatDiesWhileItIsPlacedCostsNothing) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  processes_.places = false;
  spawner_->Spawn(Order(), customer_);
  ASSERT_EQ(processes_.placed.size(), 1U);
  processes_.places = true;
  processes_.Exit(WorkerId{processes_.placed.front().worker_id}, SIGKILL);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  ASSERT_TRUE(customer_.answer->ok());
  EXPECT_NE(customer_.answer->value().id.number, processes_.placed.front().worker_id);
}

TEST_F(SpawnerTest, BlanksThatDieAtOnceAreReplacedLaterAndLater) {
  processes_.blank_dies = "no namespace";
  const MonotonicTime start = loop_.Now();
  Make({.blanks = 1, .retry_after = Millis(20), .retry_max = Millis(70)});
  processes_.wanted = 0;
  ASSERT_TRUE(Until([&] { return processes_.wanted == 5; }));
  EXPECT_GE(loop_.Now() - start, Millis(20 + 40 + 70 + 70));
  EXPECT_EQ(spawner_->stock(), 0U);
}

TEST_F(SpawnerTest, OrderFailsWithTheReasonWhenBlankAfterBlankDies) {
  for (const bool overtake : {false, true}) {
    processes_.blank_dies = "no namespace";
    processes_.exits_overtake = overtake;
    Make({.blanks = 0, .retry_after = Millis(5)});
    processes_.wanted = 0;
    customer_.answer.reset();
    spawner_->Spawn(Order(), customer_);
    ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
    ASSERT_FALSE(customer_.answer->ok());
    EXPECT_EQ(customer_.answer->error().code, ErrorCode::kUnavailable);
    EXPECT_NE(customer_.answer->error().message.find("enter_blank: no namespace"),
              std::string::npos);
    EXPECT_EQ(processes_.wanted, 3U);
  }
}

TEST_F(SpawnerTest, BlankWhoseEndIsToldBeforeItsBeginningIsNeverUsed) {
  processes_.blank_dies = "no namespace";
  processes_.exits_overtake = true;
  Make({.blanks = 0, .retry_after = Millis(5)});
  processes_.wanted = 0;
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return processes_.wanted == 1; }));
  processes_.blank_dies.clear();
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  EXPECT_TRUE(customer_.answer->ok());
  EXPECT_EQ(processes_.placed.size(), 1U);
}

TEST_F(SpawnerTest, BlankThatDiedUnnoticedIsNotHandedOver) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  processes_.Vanish(processes_.Blanks().front());
  for (const std::string error : {"", "the worker is gone"}) {
    processes_.place_error = error;
    spawner_->Spawn(Order(), customer_);
    processes_.place_error.clear();
    ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
    ASSERT_TRUE(customer_.answer->ok());
    ASSERT_EQ(processes_.killed.size(), 1U);
    EXPECT_NE(customer_.answer->value().id, processes_.killed.front());
    ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
    processes_.killed.clear();
    customer_.answer.reset();
    processes_.Vanish(processes_.Blanks().front());
  }
}

TEST_F(SpawnerTest, PlacingThatFailsFailsTheOrderAndKillsTheBlank) {
  processes_.place_error = "no such controller";
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  ASSERT_FALSE(customer_.answer->ok());
  EXPECT_EQ(customer_.answer->error().code, ErrorCode::kUnavailable);
  EXPECT_NE(customer_.answer->error().message.find("no such controller"), std::string::npos);
  EXPECT_EQ(processes_.killed.size(), 1U);
}

TEST_F(SpawnerTest, BlankThatCannotBeMadeFailsTheOldestOrder) {
  processes_.gives_blanks = false;
  RunFor(loop_, Millis(3));
  processes_.gives_blanks = true;
  processes_.blank_error = "clone: out of memory";
  Make({.blanks = 1, .timeout = Millis(10000), .retry_after = Millis(20)});
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  ASSERT_FALSE(customer_.answer->ok());
  EXPECT_NE(customer_.answer->error().message.find("out of memory"), std::string::npos);
  // It asks again after a while, not at once.
  processes_.blank_error.clear();
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 1; }));
}

TEST_F(SpawnerTest, WhatAFailedOrderStillOwedIsAskedForAnew) {
  processes_.gives_blanks = false;
  RunFor(loop_, Millis(3));
  processes_.gives_blanks = true;
  processes_.blank_error = "clone: out of memory";
  Make({.blanks = 5, .timeout = Millis(10000), .retry_after = Millis(20)});
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  ASSERT_FALSE(customer_.answer->ok());
  processes_.blank_error.clear();
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 5; }));
}

TEST_F(SpawnerTest, OrderWaitsForTheNextZygote) {
  processes_.gives_blanks = false;
  spawner_->Spawn(Order(), customer_);
  RunFor(loop_, Millis(3));
  processes_.CloseZygote();
  RunFor(loop_, Millis(3));
  EXPECT_FALSE(customer_.answer.has_value());
  processes_.gives_blanks = true;
  spawner_->SetZygote(processes_.NewZygote());
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  EXPECT_TRUE(customer_.answer->ok());
}

TEST_F(SpawnerTest, LostZygoteIsAskedForUntilThereIsOne) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  EXPECT_EQ(processes_.zygotes_wanted, 0U);
  processes_.CloseZygote();
  ASSERT_TRUE(Until([&] { return processes_.zygotes_wanted == 2; }));
  spawner_->SetZygote(processes_.NewZygote());
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value() && spawner_->stock() == 2; }));
  EXPECT_EQ(processes_.zygotes_wanted, 2U);
}

TEST_F(SpawnerTest, OrderThatTimesOutTellsWhatFailed) {
  Make({.blanks = 0, .timeout = Millis(30), .retry_after = Millis(20)});
  processes_.CloseZygote();
  RunFor(loop_, Millis(3));
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  EXPECT_EQ(customer_.answer->error().message,
            "no worker process within 30 ms: the zygote is gone");
}

TEST_F(SpawnerTest, StockOfAnOldZygoteIsGood) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  processes_.CloseZygote();
  RunFor(loop_, Millis(3));
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  EXPECT_TRUE(customer_.answer->ok());
}

TEST_F(SpawnerTest, OrderWithoutABlankTimesOut) {
  processes_.gives_blanks = false;
  Make({.blanks = 1, .timeout = Millis(30), .retry_after = Millis(20)});
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  ASSERT_FALSE(customer_.answer->ok());
  EXPECT_EQ(customer_.answer->error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(spawner_->waiting(), 0U);
}

TEST_F(SpawnerTest, OrderThatIsNotPlacedTimesOutAndTheBlankIsKilled) {
  processes_.places = false;
  Make({.blanks = 1, .timeout = Millis(30), .retry_after = Millis(20)});
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  EXPECT_FALSE(customer_.answer->ok());
  EXPECT_EQ(processes_.killed.size(), 1U);
}

TEST_F(SpawnerTest, CancelledOrderIsForgotten) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  spawner_->Spawn(Order(), customer_);
  spawner_->Cancel(customer_);
  ASSERT_TRUE(Until([&] { return processes_.killed.size() == 1; }));
  EXPECT_FALSE(customer_.answer.has_value());
  EXPECT_TRUE(processes_.workers.empty());
}

TEST_F(SpawnerTest, ExitOfAWorkerIsNotItsConcern) {
  spawner_->Spawn(Order(), customer_);
  ASSERT_TRUE(Until([&] { return customer_.answer.has_value(); }));
  processes_.Exit(customer_.answer->value().id, SIGKILL);
  ASSERT_TRUE(Until([&] { return !unknown_exits_.empty(); }));
}

TEST_F(SpawnerTest, ItsBlanksDieWithIt) {
  ASSERT_TRUE(Until([&] { return spawner_->stock() == 2; }));
  spawner_.reset();
  EXPECT_EQ(processes_.killed.size(), 2U);
}

}  // namespace
}  // namespace cloister
