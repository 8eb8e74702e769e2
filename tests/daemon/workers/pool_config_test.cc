// Config on its way to the workers of a pool, and secrets on their way out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apis/wire/config_values.h"
#include "tests/daemon/workers/pool_fixture.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;

constexpr const char* kSecret = "correct-horse-battery";

std::shared_ptr<const RunConfig> ConfigOf(std::uint64_t number, const std::string& value,
                                          const std::string& secret = kSecret) {
  auto config = std::make_shared<RunConfig>();
  config->number = number;
  EncodeConfig(config->payload.text(), {{.name = "A", .value = value, .secret = false}});
  const std::vector<NamedSecret> secrets = {{.name = "S", .value = secret}};
  config->redactor = Redactor::Create(secrets);
  return config;
}

std::string PayloadOf(const std::string& value) {
  return ConfigOf(1, value)->payload.text();
}

class PoolConfigTest : public PoolTest {
 protected:
  // A pool with one worker that has answered a request.
  Pool& Served(std::uint64_t number, const std::string& value) {
    ReleaseSpec spec = SomeRelease();
    spec.config = number;
    Pool& pool = Make(spec);
    AnswerAll();
    bool booted = false;
    pool.Boot(RunParts(SomeImage(), ConfigOf(number, value)), 1,
              [&](const BootOutcome& outcome) { booted = outcome.failure == nullptr; });
    EXPECT_TRUE(Until([&] { return booted; }));
    return pool;
  }
  void Answered() {
    FakeExchange& exchange = Ask();
    ASSERT_TRUE(Until([&] { return exchange.done(); }));
  }
};

TEST_F(PoolConfigTest, TheConfigIsTheFirstThatAWorkerGets) {
  Served(1, "one");
  EXPECT_THAT(script(0).configs, ElementsAre(PayloadOf("one")));
}

TEST_F(PoolConfigTest, WithoutConfigItIsEmpty) {
  Make(SomeRelease());
  AnswerAll();
  Answered();
  EXPECT_THAT(script(0).configs, ElementsAre(""));
}

TEST_F(PoolConfigTest, AnotherConfigReplacesTheWorkers) {
  Pool& pool = Served(1, "one");
  pool.Reconfigure(ConfigOf(2, "two"), WorkerSupervisor::Delivery::kReplace);
  EXPECT_EQ(pool.spec().config, 2U);
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2 && pool.workers() == 1; }));
  EXPECT_THAT(script(0).configs, ElementsAre(PayloadOf("one")));
  EXPECT_THAT(script(1).configs, ElementsAre(PayloadOf("two")));
}

TEST_F(PoolConfigTest, WhatRunsIsFinishedWithTheFormerConfig) {
  Pool& pool = Served(1, "one");
  script(0).on_request = [](ScriptedWorker& self, const ScriptedWorker::Got& got) {
    self.Claim(got);
  };
  FakeExchange& running = Ask();
  ASSERT_TRUE(Until([&] { return !script(0).requests.empty(); }));
  pool.Reconfigure(ConfigOf(2, "two"), WorkerSupervisor::Delivery::kReplace);
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2; }));
  EXPECT_FALSE(running.done());
  Finish(script(0), 0);
  ASSERT_TRUE(Until([&] { return running.done() && pool.workers() == 1; }));
  EXPECT_EQ(running.status, 200);
  EXPECT_EQ(script(0).configs.size(), 1U);
}

TEST_F(PoolConfigTest, ALiveConfigComesBeforeTheNextRequestOfTheSameWorker) {
  Pool& pool = Served(1, "one");
  pool.Reconfigure(ConfigOf(2, "two"), WorkerSupervisor::Delivery::kLive);
  std::size_t seen = 0;
  script(0).on_request = [&seen](ScriptedWorker& self, const ScriptedWorker::Got& got) {
    seen = self.configs.size();
    self.Answer(got);
  };
  Answered();
  EXPECT_EQ(seen, 2U);
  EXPECT_EQ(processes().workers.size(), 1U);
  EXPECT_THAT(script(0).configs, ElementsAre(PayloadOf("one"), PayloadOf("two")));
}

TEST_F(PoolConfigTest, AWorkerThatReadsNothingIsReplacedInsteadOfBeingSentMore) {
  Pool& pool = Served(1, "one");
  script(0).StopReading();
  const std::string large(1 << 20, 'x');
  for (std::uint64_t number = 2; number < 8; ++number)
    pool.Reconfigure(ConfigOf(number, large), WorkerSupervisor::Delivery::kLive);
  ASSERT_TRUE(Until([&] { return processes().workers.size() == 2 && !script(1).configs.empty(); }));
  EXPECT_EQ(script(1).configs.size(), 1U);
}

TEST_F(PoolConfigTest, AWorkerThatKnowsVeryManySecretsIsReplaced) {
  Pool& pool = Served(1, "one");
  for (std::uint64_t number = 2; number < 40; ++number)
    pool.Reconfigure(ConfigOf(number, "a", "secret number " + std::to_string(number)),
                     WorkerSupervisor::Delivery::kLive);
  EXPECT_TRUE(Until([&] { return script(0).shutdown; }));
}

TEST_F(PoolConfigTest, WhatAWorkerSaysHasItsSecretsWithIt) {
  Pool& pool = Served(1, "one");
  pool.Reconfigure(ConfigOf(2, "two", "the-second-secret"), WorkerSupervisor::Delivery::kLive);
  script(0).SendLog(0, std::string("it is ") + kSecret + " or the-second-secret");
  ASSERT_TRUE(Until([&] { return ground_->logs.Count("it is") == 1; }));
  LogEvent event = ground_->logs.events.back();
  RedactEvent(event);
  EXPECT_EQ(event.bytes, "it is [secret S] or [secret S]");
  EXPECT_TRUE(event.redacted);
}

TEST_F(PoolConfigTest, ASecretAcrossTheFramesOfOneEventIsFound) {
  Served(1, "one");
  script(0).SendLog(0, "it is correct-horse", kFrameMore);
  script(0).SendLog(0, "-battery indeed");
  ASSERT_TRUE(Until([&] { return ground_->logs.Count("it is") == 1; }));
  LogEvent event = ground_->logs.events.back();
  RedactEvent(event);
  EXPECT_EQ(event.bytes, "it is [secret S] indeed");
}

TEST_F(PoolConfigTest, AReportOfABootHasNoSecret) {
  ReleaseSpec spec = SomeRelease();
  spec.config = 1;
  Pool& pool = Make(spec);
  processes().on_start = [](ScriptedWorker& worker) {
    worker.FailBoot({.code = "app_raised",
                     .message = "S is correct-horse-battery",
                     .file = "correct.py",
                     .line = 1,
                     .traceback = "ValueError: correct-horse-battery is not correct-horse..."});
  };
  std::unique_ptr<BootFailure> failure;
  pool.Boot(RunParts(SomeImage(), ConfigOf(1, "one")), 1,
            [&](BootOutcome outcome) { failure = std::move(outcome.failure); });
  ASSERT_TRUE(Until([&] { return failure != nullptr; }));
  EXPECT_EQ(failure->message, "S is [secret S]");
  EXPECT_EQ(failure->file, "correct.py");
  EXPECT_EQ(failure->traceback, "ValueError: [secret S] is not [secret S]...");
}

TEST_F(PoolConfigTest, APoolThatKeepsItsPartsNeverAsksForThemAgain) {
  Pool& pool = Served(1, "one");
  pool.KeepParts();
  script(0).Close();
  ASSERT_TRUE(Until([&] { return pool.empty() && empty_ == 1; }));
  Answered();
  EXPECT_THAT(script(1).configs, ElementsAre(PayloadOf("one")));
  EXPECT_EQ(images_wanted_, 0);
}

TEST_F(PoolConfigTest, APoolWithWorkAsksOnceForThePartsThatItIsToKeep) {
  image_late_ = true;
  ReleaseSpec spec = SomeRelease();
  spec.config = 1;
  Pool& pool = Make(spec);
  AnswerAll();
  pool.KeepParts();
  EXPECT_FALSE(pool.waits_for_parts());
  FakeExchange& exchange = Ask();
  pool.KeepParts();
  EXPECT_TRUE(pool.waits_for_parts());
  EXPECT_EQ(images_wanted_, 1);
  pool.OnImage(RunParts(SomeImage(), ConfigOf(1, "one")));
  EXPECT_FALSE(pool.waits_for_parts());
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
}

TEST_F(PoolConfigTest, APoolWhosePartsAreStillLoadedAsksForThoseOfTheNewConfig) {
  image_late_ = true;
  ReleaseSpec spec = SomeRelease();
  spec.config = 1;
  Pool& pool = Make(spec);
  AnswerAll();
  FakeExchange& exchange = Ask();
  EXPECT_EQ(images_wanted_, 1);
  pool.Reconfigure(ConfigOf(2, "two"), WorkerSupervisor::Delivery::kReplace);
  ASSERT_TRUE(Until([&] { return images_wanted_ == 2; }));
  pool.OnImage(RunParts(SomeImage(), ConfigOf(2, "two")));
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
  EXPECT_THAT(script(0).configs, ElementsAre(PayloadOf("two")));
}

}  // namespace
}  // namespace cloister
