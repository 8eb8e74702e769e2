#include "daemon/node/late_cache.h"

#include <gtest/gtest.h>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

using OptString = std::optional<std::string>;

// A node process: its service speaks through a LateCache to the generations of the state.
struct Process {
  Process(Loop& loop, CacheGenerations& stored, const std::string& socket)
      : late(loop, stored), service(MakeParts(loop), Options(loop, socket)), loop_(loop) {
    late.SetService(service);
  }

  template <typename Results, typename Args>
  Results Call(const Args& args) {
    const CallId id = Begin(args);
    EXPECT_TRUE(RunUntil(loop_, [&] { return answers.replies.contains(id); }));
    kept = answers.replies[id];
    return DecodeFields<Results>(std::string_view(kept).substr(1)).value();
  }
  template <typename Args>
  CallId Begin(const Args& args) {
    std::string bytes;
    EncodeFields(args, bytes);
    const CallId id = ++last_call;
    EXPECT_TRUE(
        service.Serve(id, {.app = AppId{1}, .overlay = 0, .quota = {}}, Args::kNumber, bytes).ok());
    return id;
  }
  bool Set(std::string_view value) {
    return Call<CacheSetResult>(CacheSet{.key = "a", .value = value}).stored == 1;
  }
  OptString Get() {
    const auto result = Call<CacheGetResult>(CacheGet{.key = "a"});
    return result.value ? OptString(*result.value) : std::nullopt;
  }
  bool IsUp() {
    return RunUntil(loop_, [&] { return service.redis().connected(); });
  }

  FakeClock clock;
  FakeAnswers answers;
  std::string kept;
  CallId last_call = 0;
  LateCache late;
  CacheService service;

 private:
  CacheService::Parts MakeParts(Loop& loop) {
    return {.loop = loop.uv(),
            .clock = clock,
            .answers = answers,
            .generations = late,
            .later = [](Millis, const std::function<void()>&) {}};
  }
  static RedisOptions Options(Loop& loop, const std::string& socket) {
    RedisOptions options;
    options.address.path = socket;
    options.command_timeout = Millis(60);
    options.connect_timeout = Millis(60);
    options.retry_max = Millis(50);
    options.at_turn_end = [&loop](std::function<void()> task) { loop.AtTurnEnd(std::move(task)); };
    return options;
  }
  Loop& loop_;
};

class LateCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(old.IsUp());
    ASSERT_TRUE(next->IsUp());
    EXPECT_TRUE(old.Set("1"));
    EXPECT_EQ(next->Get(), OptString("1"));
    next->late.Follow(old.late.Forward());
  }

  RedisServer server;
  Loop loop;
  FakeGenerations stored{loop};
  Process old{loop, stored, server.socket()};
  std::unique_ptr<Process> next = std::make_unique<Process>(loop, stored, server.socket());
};

TEST_F(LateCacheTest, WhatADrainingNodeLosesItsSuccessorPersistsBeforeTheAppHears) {
  server.Stop();
  const CallId lost = old.Begin(CacheSet{.key = "a", .value = "2"});
  stored.slow = true;
  ASSERT_TRUE(RunUntil(loop, [&] { return !stored.waiting.empty(); }));
  EXPECT_FALSE(old.answers.replies.contains(lost)) << "not before it is persisted";
  server.Continue();
  stored.waiting[0]();
  ASSERT_TRUE(RunUntil(loop, [&] { return old.answers.replies.contains(lost); }));
  EXPECT_EQ(stored.stored[1], 2U);
  stored.slow = false;
  ASSERT_TRUE(old.IsUp());
  ASSERT_TRUE(next->IsUp());
  EXPECT_EQ(old.Get(), std::nullopt);
  EXPECT_EQ(next->Get(), std::nullopt);
  EXPECT_TRUE(next->Set("3"));
  EXPECT_EQ(old.Get(), OptString("3")) << "both use the same generation";
}

TEST_F(LateCacheTest, WhatTheNewNodeLosesTheDrainingOneHearsOf) {
  server.Stop();
  EXPECT_FALSE(next->Set("2"));
  server.Continue();
  ASSERT_TRUE(old.IsUp());
  EXPECT_TRUE(RunUntil(loop, [&] { return !old.Get().has_value(); }));
  EXPECT_EQ(stored.stored[1], 2U);
}

TEST_F(LateCacheTest, ASuccessorThatIsGoneKeepsNobodyWaiting) {
  server.Stop();
  const CallId lost = old.Begin(CacheSet{.key = "a", .value = "2"});
  stored.slow = true;
  ASSERT_TRUE(RunUntil(loop, [&] { return !stored.waiting.empty(); }));
  next.reset();
  ASSERT_TRUE(RunUntil(loop, [&] { return old.answers.replies.contains(lost); }));
  EXPECT_FALSE(old.Set("3"));
  server.Continue();
  ASSERT_TRUE(old.IsUp());
  EXPECT_EQ(old.Get(), std::nullopt) << "in this process it holds all the same";
}

TEST_F(LateCacheTest, AChainOfNodesPassesItOn) {
  Process third(loop, stored, server.socket());
  ASSERT_TRUE(third.IsUp());
  third.late.Follow(next->late.Forward());
  server.Stop();
  EXPECT_FALSE(old.Set("2"));
  server.Continue();
  ASSERT_TRUE(third.IsUp());
  EXPECT_EQ(stored.stored[1], 2U);
  EXPECT_EQ(third.Get(), std::nullopt);
  ASSERT_TRUE(next->IsUp());
  EXPECT_EQ(next->Get(), std::nullopt);
}

}  // namespace
}  // namespace cloister
