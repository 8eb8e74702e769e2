// What an app reads after Redis was killed, stopped, flushed or cut off at any moment: what it
// stored last, or nothing.

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

using OptString = std::optional<std::string>;

constexpr Millis kPatience{60};  // of commands, so that tests are short

class CacheLossTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node.IsUp()); }

  // A server that hangs for so long that the connection is given up, and goes on then.
  void Hang() {
    server.Stop();
    ASSERT_TRUE(node.IsDown());
    server.Continue();
    ASSERT_TRUE(node.IsUp());
  }

  RedisServer server;
  CacheNode node{server.socket(), kPatience};
};

TEST_F(CacheLossTest, WithoutAServerEveryCallSaysNoAtOnce) {
  node.Set("a", "1");
  const std::string token = node.Token("a");
  server.Kill();
  ASSERT_TRUE(node.IsDown());
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_EQ(node.Incr("n", 1, 1), std::nullopt);
  EXPECT_FALSE(node.Add("b", "1"));
  EXPECT_EQ(node.Cas("a", "2", token), CacheCasOutcome::kFailed);
  EXPECT_FALSE(node.Touch("a", 1000));
  EXPECT_EQ(node.generations.stores, 0) << "nothing is stale yet";
  EXPECT_FALSE(node.Set("a", "2"));
  EXPECT_EQ(node.generations.stores, 1);
  EXPECT_FALSE(node.Delete("a"));
  EXPECT_FALSE(node.Set("b", "2"));
  EXPECT_EQ(node.generations.stores, 1) << "in a generation in which nothing is, nothing is stale";
  EXPECT_EQ(node.Take<CacheGetMultiResult>(node.Begin(node.Origin(), CacheGetMulti{.keys = {"a"}}))
                .values,
            std::vector<std::optional<std::string_view>>{std::nullopt});
  EXPECT_EQ(node.service.counters().invalidated, 1U);
  EXPECT_GE(node.service.counters().failed, 8U);
}

TEST_F(CacheLossTest, AClearNeedsNoServer) {
  node.Set("a", "1");
  server.Stop();
  EXPECT_TRUE(node.Clear(node.Origin()));
  server.Continue();
  EXPECT_EQ(node.Get("a"), std::nullopt);
}

TEST_F(CacheLossTest, AWriteThatWasNotAnsweredLeavesNothingToRead) {
  const std::vector<std::function<bool()>> writes = {
      [this] { return node.Set("a", "2"); },
      [this] { return node.Delete("a"); },
      [this] { return node.Replace("a", "2"); },
      [this] { return node.Add("z", "2"); },
      [this] { return node.Incr("n", 1, 5).has_value(); },
  };
  for (const auto& write : writes) {
    ASSERT_TRUE(node.Set("a", "1"));
    const std::uint64_t before = node.service.counters().invalidated;
    server.Stop();
    EXPECT_FALSE(write());
    server.Continue();
    ASSERT_TRUE(node.IsUp());
    EXPECT_EQ(node.Get("a"), std::nullopt);
    EXPECT_EQ(node.service.counters().invalidated, before + 1);
  }
  EXPECT_TRUE(node.Add("z", "3")) << "whatever became of the one that was lost";
  EXPECT_EQ(node.Get("z"), OptString("3"));
}

TEST_F(CacheLossTest, ADeleteThatCouldNotBeSentHoldsWhenTheServerIsBackWithItsData) {
  node.Set("a", "1");
  node.Set("a", "1", node.Origin(2));
  server.Stop();
  ASSERT_TRUE(node.Begin(node.Origin(3), CacheGet{.key = "x"}) != 0);
  ASSERT_TRUE(node.IsDown());
  EXPECT_FALSE(node.Delete("a"));
  server.Continue();
  ASSERT_TRUE(node.IsUp());
  EXPECT_EQ(server.Cli({"GET", "c:test:1:1:a"}), "1") << "the server has it still";
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_EQ(node.Get("a", node.Origin(2)), OptString("1")) << "another app has lost nothing";
}

TEST_F(CacheLossTest, AReadThatWasLostInvalidatesNothing) {
  node.Set("a", "1");
  server.Stop();
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_FALSE(node.Touch("a", 1000));
  server.Continue();
  ASSERT_TRUE(node.IsUp());
  EXPECT_EQ(node.Get("a"), OptString("1"));
}

TEST_F(CacheLossTest, TheNewGenerationIsPersistedBeforeTheAppHearsOfTheLoss) {
  node.Set("a", "1");
  node.generations.slow = true;
  server.Stop();
  const CallId lost = node.Begin(node.Origin(), CacheSet{.key = "a", .value = "2"});
  ASSERT_TRUE(RunUntil(node.loop, [&] { return !node.generations.waiting.empty(); }));
  RunFor(node.loop, Millis(20));
  EXPECT_FALSE(node.answers.replies.contains(lost));
  // A second one, and a read, while the first is being written: one more write for all.
  const CallId second = node.Begin(node.Origin(), CacheDelete{.key = "a"});
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_FALSE(node.answers.replies.contains(second));
  node.generations.waiting[0]();
  EXPECT_TRUE(node.answers.replies.contains(lost));
  EXPECT_TRUE(node.answers.replies.contains(second));
  EXPECT_EQ(node.generations.stored[1], 2U);
  server.Continue();
}

TEST_F(CacheLossTest, ANewNodeDoesNotReadWhatTheOldOneGaveUp) {
  node.Set("a", "1");
  server.Stop();
  EXPECT_FALSE(node.Set("a", "2"));
  server.Continue();
  CacheNode next(server.socket());
  next.generations.stored = node.generations.stored;
  ASSERT_TRUE(next.IsUp());
  EXPECT_EQ(next.Get("a"), std::nullopt);
}

TEST_F(CacheLossTest, AGenerationThatCannotBeStoredIsTriedAgain) {
  node.Set("a", "1");
  node.generations.fails = true;
  server.Stop();
  EXPECT_FALSE(node.Set("a", "2"));
  node.generations.fails = false;
  server.Continue();
  ASSERT_TRUE(node.IsUp());
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_TRUE(RunUntil(node.loop, [&] { return node.generations.stored[1] == 2; }));
}

TEST_F(CacheLossTest, AWriteThatIsLostAfterADiskHasFailedIsAnswered) {
  node.Set("a", "1");
  node.generations.fails = true;
  server.Stop();
  const CallId lost = node.Begin(node.Origin(), CacheSet{.key = "a", .value = "2"});
  // The generation is raised, and not stored, before the write is known to be lost.
  EXPECT_TRUE(node.Clear(node.Origin()));
  EXPECT_FALSE(node.answers.replies.contains(lost));
  EXPECT_EQ(node.Take<CacheSetResult>(lost).stored, 0U);
  server.Continue();
}

TEST_F(CacheLossTest, AGenerationThatCouldNotBeStoredIsStoredLaterOfItself) {
  node.Set("a", "1");
  node.generations.fails = true;
  EXPECT_TRUE(node.Clear(node.Origin()));
  for (int times = 0; times < 10; ++times) {
    ASSERT_NE(node.later, nullptr);
    const std::size_t before = node.delays.size();
    std::exchange(node.later, nullptr)();
    ASSERT_TRUE(RunUntil(node.loop, [&] { return node.delays.size() > before; }));
    EXPECT_GE(node.delays.back(), node.delays[before - 1]);
  }
  EXPECT_EQ(node.delays.front(), Millis(1000));
  EXPECT_EQ(node.delays.back(), Millis(60000));
  node.generations.fails = false;
  node.later();
  EXPECT_TRUE(RunUntil(node.loop, [&] { return node.generations.stored[1] == 2; }));
}

TEST_F(CacheLossTest, AWriteThatFailedBeforeTheGenerationWasKnownCountsToo) {
  CacheNode first(server.socket());
  ASSERT_TRUE(first.IsUp());
  first.Set("a", "1");
  node.generations.fails = true;
  EXPECT_FALSE(node.Set("a", "2"));
  EXPECT_EQ(node.Get("a"), std::nullopt);
  node.generations.fails = false;
  EXPECT_EQ(node.Get("a"), std::nullopt) << "what was there before is not what the app set";
  EXPECT_EQ(node.generations.stored[1], 2U);
}

TEST_F(CacheLossTest, TwoProcessesTellEachOther) {
  CacheNode other(server.socket());
  ASSERT_TRUE(other.IsUp());
  node.Set("a", "1");
  EXPECT_EQ(other.Get("a"), OptString("1"));
  // The old process cannot persist: it asks the new one, which has the app loaded.
  bool done = false;
  other.service.Invalidate(AppId{1}, 1, [&] { done = true; });
  EXPECT_TRUE(RunUntil(other.loop, [&] { return done; }));
  EXPECT_EQ(other.generations.stored[1], 2U);
  EXPECT_EQ(other.Get("a"), std::nullopt);
  node.service.RaiseGeneration(AppId{1}, 2);
  EXPECT_EQ(node.Get("a"), std::nullopt);
  // Of an app that nobody has asked for yet.
  done = false;
  other.service.Invalidate(AppId{5}, 7, [&] { done = true; });
  EXPECT_TRUE(RunUntil(other.loop, [&] { return done; }));
  EXPECT_EQ(other.generations.stored[5], 8U);
  other.Set("a", "x", other.Origin(5));
  EXPECT_EQ(server.Cli({"EXISTS", "c:test:5:8:a"}), "1");
}

TEST_F(CacheLossTest, AProcessBesideAnotherTakesNoGenerationForEmpty) {
  node.Set("a", "1");
  std::vector<std::uint64_t> told;
  node.service.SetRaisedCallback([&](AppId, std::uint64_t number) { told.push_back(number); });
  server.Kill();
  ASSERT_TRUE(node.IsDown());
  EXPECT_FALSE(node.Set("a", "2"));
  EXPECT_FALSE(node.Set("a", "3"));
  EXPECT_EQ(told, (std::vector<std::uint64_t>{2, 3}));
}

TEST_F(CacheLossTest, AFlushedServerForgetsAndCountsAnew) {
  node.Set("a", std::string(1000, 'v'));
  server.Cli({"FLUSHALL"});
  EXPECT_EQ(node.Get("a"), std::nullopt);
  node.Set("b", "v");
  EXPECT_LT(node.service.UseOf(AppId{1}).used.count, 1000U);
  EXPECT_EQ(node.Get("b"), OptString("v"));
}

// Random calls on some keys, one under way on each, while the server is mistreated. The model knows
// what each key may hold: what was stored last, or nothing.
class CacheModel {
 public:
  CacheModel(RedisServer& server, CacheNode& node, unsigned seed)
      : server_(server), node_(node), random_(seed) {}

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      for (Key& key : keys_)
        if (!key.call)
          Begin(key);
      if (Chance(4))
        Mistreat();
      RunFor(node_.loop, Millis(Chance(3) ? 3 : 1));
      for (Key& key : keys_)
        if (key.call && node_.answers.replies.contains(*key.call))
          End(key);
    }
    if (stopped_)
      server_.Continue();
    for (Key& key : keys_)
      if (key.call && node_.Await(*key.call))
        End(key);
  }
  int hits() const { return hits_; }

 private:
  enum class Kind { kGet, kSet, kAdd, kReplace, kDelete, kIncr };
  struct Key {
    std::string name;
    std::optional<CallId> call = {};
    Kind kind = Kind::kGet;
    std::string value = {};  // that the call stores
    OptString may = {};      // what a get may find
  };

  bool Chance(int one_in) { return std::uniform_int_distribution(1, one_in)(random_) == 1; }

  void Begin(Key& key) {
    key.kind = Kind{std::uniform_int_distribution(0, 5)(random_)};
    key.value = std::to_string(++last_value_);
    const CallOrigin origin = node_.Origin();
    const auto set = [&](CacheSetMode mode) {
      return node_.Begin(
          origin,
          CacheSet{.mode = static_cast<std::uint8_t>(mode), .key = key.name, .value = key.value});
    };
    switch (key.kind) {
      case Kind::kGet:
        key.call = node_.Begin(origin, CacheGet{.key = key.name});
        break;
      case Kind::kSet:
        key.call = set(CacheSetMode::kSet);
        break;
      case Kind::kAdd:
        key.call = set(CacheSetMode::kAdd);
        break;
      case Kind::kReplace:
        key.call = set(CacheSetMode::kReplace);
        break;
      case Kind::kDelete:
        key.call = node_.Begin(origin, CacheDelete{.key = key.name});
        break;
      case Kind::kIncr:
        key.call = node_.Begin(origin, CacheIncr{.key = key.name, .delta = 1000000});
        break;
    }
  }

  void End(Key& key) {
    const CallId id = std::exchange(key.call, std::nullopt).value_or(0);
    switch (key.kind) {
      case Kind::kGet:
        EndGet(key, id);
        break;
      case Kind::kSet:
        key.may = node_.Take<CacheSetResult>(id).stored != 0 ? OptString(key.value) : std::nullopt;
        break;
      case Kind::kReplace:
      case Kind::kAdd:
        // Not stored for what was there, or was not: then it is as it was.
        if (node_.Take<CacheSetResult>(id).stored != 0)
          key.may = key.value;
        break;
      case Kind::kDelete:
        (void)node_.Take<CacheDeleteResult>(id);
        key.may.reset();
        break;
      case Kind::kIncr:
        EndIncr(key, id);
        break;
    }
    node_.answers.replies.erase(id);
    node_.kept.clear();
  }

  void EndGet(const Key& key, CallId id) {
    const auto got = node_.Take<CacheGetResult>(id);
    if (!got.value)
      return;
    ++hits_;
    EXPECT_EQ(OptString(*got.value), key.may) << key.name << " is stale";
  }

  void EndIncr(Key& key, CallId id) {
    const auto result = node_.Take<CacheIncrResult>(id);
    if (!result.value)
      return;
    EXPECT_EQ(*result.value, std::stoll(key.may.value_or("0")) + 1000000);
    key.may = std::to_string(*result.value);
  }

  void Mistreat() {
    switch (std::uniform_int_distribution(0, 6)(random_)) {
      case 0:
      case 1:
        if (server_.runs() && !stopped_) {
          server_.Stop();
          stopped_ = true;
        }
        return;
      case 2:
      case 3:
        if (stopped_)
          server_.Continue();
        stopped_ = false;
        return;
      case 4:
        if (server_.runs() && !stopped_ && Chance(4))
          server_.Kill();
        return;
      case 5:
        if (!server_.runs())
          server_.Start();
        return;
      default:
        if (server_.runs() && !stopped_)
          server_.Cli(Chance(4) ? std::vector<std::string>{"FLUSHALL"}
                                : std::vector<std::string>{"CLIENT", "KILL", "TYPE", "normal"});
        return;
    }
  }

  RedisServer& server_;
  CacheNode& node_;
  std::mt19937 random_;
  std::vector<Key> keys_ = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};
  int last_value_ = 0;
  int hits_ = 0;
  bool stopped_ = false;
};

TEST(CacheModelTest, NothingStaleIsEverRead) {
  int hits = 0;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    RedisServer server;
    CacheNode node(server.socket(), Millis(10));
    ASSERT_TRUE(node.IsUp());
    // The clock stands still, so what is near stays there.
    node.service.SetNear(seed % 2 == 0);
    CacheModel model(server, node, seed);
    model.Run(600);
    hits += model.hits();
    EXPECT_GT(node.service.counters().invalidated, 0U) << "seed " << seed;
  }
  EXPECT_GT(hits, 50) << "a test that reads nothing shows nothing";
}

}  // namespace
}  // namespace cloister
