#include "apis/cache/near.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <utility>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

using OptString = std::optional<std::string>;

class CacheNearTest : public testing::Test {
 protected:
  void SetUp() override { near.Turn(true); }

  OptString Find(std::string_view key, AppId app = AppId{1}) {
    const auto value = near.Find(app, key, clock.Now());
    return value ? OptString(*value) : std::nullopt;
  }
  std::optional<CacheNear::Ticket> Ask(std::string_view key, AppId app = AppId{1}) {
    return near.OnGet(app, key, clock.Now());
  }
  // None: one that keeps nothing.
  CacheNear::Ticket TicketFor(std::string_view key) {
    return Ask(key).value_or(CacheNear::Ticket());
  }
  void Keep(std::string_view key, std::string_view value, const CacheNear::Ticket& ticket,
            std::optional<Millis> ttl = {}, AppId app = AppId{1}) {
    near.Keep(app, key, {.value = value, .ttl = ttl}, ticket, clock.Now());
  }
  // Asked for twice, and found.
  void Fill(std::string_view key, std::string_view value, std::optional<Millis> ttl = {},
            AppId app = AppId{1}) {
    (void)Ask(key, app);
    if (const auto ticket = Ask(key, app))
      Keep(key, value, *ticket, ttl, app);
  }

  FakeClock clock;
  CacheNear near;
};

TEST_F(CacheNearTest, TheSecondGetWithinASecondIsKept) {
  EXPECT_FALSE(Ask("a"));
  clock.Advance(Millis(1000));
  EXPECT_FALSE(Ask("a")) << "a second later it is a first one again";
  clock.Advance(Millis(999));
  const CacheNear::Ticket ticket = TicketFor("a");
  EXPECT_EQ(Find("a"), std::nullopt);
  Keep("a", "1", ticket);
  EXPECT_EQ(Find("a"), OptString("1"));
  EXPECT_EQ(Find("b"), std::nullopt);
  EXPECT_EQ(Find("a", AppId{2}), std::nullopt);
}

TEST_F(CacheNearTest, NothingIsOlderThanASecondSinceItWasAskedFor) {
  (void)Ask("a");
  const CacheNear::Ticket ticket = TicketFor("a");
  clock.Advance(Millis(400));
  Keep("a", "1", ticket);
  clock.Advance(Millis(600) - Micros(1));
  EXPECT_EQ(Find("a"), OptString("1"));
  clock.Advance(Micros(1));
  EXPECT_EQ(Find("a"), std::nullopt);
}

TEST_F(CacheNearTest, ATtlEndsToTheMillisecond) {
  Fill("a", "1", Millis(20));
  clock.Advance(Millis(20) - Micros(1));
  EXPECT_EQ(Find("a"), OptString("1"));
  clock.Advance(Micros(1));
  EXPECT_EQ(Find("a"), std::nullopt);
  Fill("b", "1", Millis(0));
  EXPECT_EQ(Find("b"), std::nullopt);
  (void)Ask("c");
  const CacheNear::Ticket late = TicketFor("c");
  clock.Advance(Millis(30));
  Keep("c", "1", late, Millis(30));
  EXPECT_EQ(Find("c"), std::nullopt) << "its time was over before the answer came";
}

TEST_F(CacheNearTest, AWriteDropsItsKeyAndWhatWasAskedBeforeIsNotKept) {
  Fill("a", "1");
  Fill("b", "1");
  const CacheNear::Ticket before = TicketFor("a");
  near.Drop(AppId{1}, "a");
  EXPECT_EQ(Find("a"), std::nullopt);
  EXPECT_EQ(Find("b"), OptString("1"));
  Keep("a", "1", before);
  EXPECT_EQ(Find("a"), std::nullopt);
  Keep("a", "2", TicketFor("a"));
  EXPECT_EQ(Find("a"), OptString("2"));
}

TEST_F(CacheNearTest, NoTicketOutlivesWhatItWasGivenFor) {
  const auto forget = {+[](CacheNear& all) { all.DropAll(); },
                       +[](CacheNear& all) { all.DropApp(AppId{1}); },
                       +[](CacheNear& all) {
                         all.Turn(false);
                         all.Turn(true);
                       }};
  for (const auto& each : forget) {
    Fill("a", "1");
    Fill("a", "other", {}, AppId{2});
    const CacheNear::Ticket ticket = TicketFor("a");
    each(near);
    EXPECT_EQ(Find("a"), std::nullopt);
    (void)Ask("a");
    Keep("a", "1", ticket);
    EXPECT_EQ(Find("a"), std::nullopt);
  }
}

TEST_F(CacheNearTest, OffItKeepsNothing) {
  near.Turn(false);
  EXPECT_FALSE(Ask("a"));
  EXPECT_FALSE(Ask("a"));
  EXPECT_EQ(near.used(), Bytes{0});
}

TEST_F(CacheNearTest, AValueThatIsTooLargeIsNotKept) {
  Fill("a", std::string(KiB(16).count, 'v'));
  Fill("b", std::string(KiB(16).count + 1, 'v'));
  EXPECT_TRUE(Find("a"));
  EXPECT_EQ(Find("b"), std::nullopt);
}

TEST_F(CacheNearTest, AnAppThatIsFullTakesNothingFromAnother) {
  const std::string value(10000, 'v');
  Fill("a", "1", {}, AppId{2});
  for (int i = 0; i < 200; ++i)
    Fill("k" + std::to_string(i), value);
  int kept = 0;
  for (int i = 0; i < 200; ++i)
    kept += Find("k" + std::to_string(i)) ? 1 : 0;
  EXPECT_GT(kept, 90);
  EXPECT_LT(kept, 105);
  EXPECT_LT(near.used(), Bytes{MiB(1).count + KiB(16).count});
  EXPECT_EQ(Find("a", AppId{2}), OptString("1"));
  Fill("b", "1", {}, AppId{2});
  EXPECT_EQ(Find("b", AppId{2}), OptString("1"));
}

TEST_F(CacheNearTest, TheNodesRoomIsBoundedAndComesBack) {
  CacheNear small(
      CacheNear::Limits{.app_max = KiB(64), .node_max = KiB(256), .value_max = KiB(16)});
  small.Turn(true);
  const std::string value(8000, 'v');
  const auto fill = [&](std::uint64_t app, std::string_view key) {
    (void)small.OnGet(AppId{app}, key, clock.Now());
    if (const auto ticket = small.OnGet(AppId{app}, key, clock.Now()))
      small.Keep(AppId{app}, key, {.value = value, .ttl = {}}, *ticket, clock.Now());
  };
  for (std::uint64_t app = 1; app <= 20; ++app)
    for (const char* key : {"a", "b", "c"})
      fill(app, key);
  EXPECT_LE(small.used(), KiB(256));
  EXPECT_GT(small.used(), KiB(240));
  EXPECT_TRUE(small.Find(AppId{1}, "a", clock.Now())) << "nobody is pushed out";
  clock.Advance(Millis(1000));
  small.Expire(clock.Now());
  EXPECT_EQ(small.used(), Bytes{0});
  fill(20, "a");
  EXPECT_TRUE(small.Find(AppId{20}, "a", clock.Now()));
}

// Writes, gets and answers in any order; one get after the other is answered, as Redis does it.
class NearWalk {
 public:
  NearWalk() { near_.Turn(true); }

  void Step() {
    const AppId app{static_cast<std::uint64_t>(1 + Pick(3))};
    const std::string key(1, static_cast<char>('a' + Pick(6)));
    const int what = Pick(16);
    if (what == 0) {
      stored_[{app.number, key}] = std::to_string(++written_);
      near_.Drop(app, key);
    } else if (what <= 4) {
      Answer();
    } else if (what == 5) {
      Wait(app);
    } else {
      Get(app, key);
    }
  }
  int found() const { return found_; }
  Bytes UsedInTheEnd() {
    clock_.Advance(Seconds(2));
    near_.Expire(clock_.Now());
    return near_.used();
  }

 private:
  static constexpr std::size_t kAskedMax = 8;
  struct Asked {
    AppId app;
    std::string key;
    std::string value;
    CacheNear::Ticket ticket;
  };

  int Pick(int below) { return std::uniform_int_distribution(0, below - 1)(random_); }

  void Get(AppId app, const std::string& key) {
    const std::string& value = stored_[{app.number, key}];
    if (const auto near = near_.Find(app, key, clock_.Now())) {
      ++found_;
      EXPECT_EQ(*near, value);
      return;
    }
    const auto ticket = near_.OnGet(app, key, clock_.Now());
    if (ticket && asked_.size() < kAskedMax)
      asked_.push_back({.app = app, .key = key, .value = value, .ticket = *ticket});
  }
  void Answer() {
    if (asked_.empty())
      return;
    const Asked first = std::move(asked_.front());
    asked_.pop_front();
    near_.Keep(first.app, first.key, {.value = first.value, .ttl = {}}, first.ticket, clock_.Now());
  }
  void Wait(AppId app) {
    clock_.Advance(Millis(Pick(40)));
    if (Pick(20) == 0)
      near_.Expire(clock_.Now());
    if (Pick(200) == 0)
      near_.DropApp(app);
  }

  FakeClock clock_;
  CacheNear near_;
  std::mt19937 random_{1};
  std::map<std::pair<std::uint64_t, std::string>, std::string> stored_;
  std::deque<Asked> asked_;
  int written_ = 0;
  int found_ = 0;
};

TEST(CacheNearWalkTest, WhateverHappensWhatIsFoundIsWhatWasWrittenLast) {
  NearWalk walk;
  for (int step = 0; step < 200000; ++step)
    walk.Step();
  EXPECT_GT(walk.found(), 20000);
  EXPECT_EQ(walk.UsedInTheEnd(), Bytes{0}) << "what is counted is what is held";
}

// With the service and a server.
class CacheServiceNearTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node.IsUp());
    node.service.SetNear(true);
  }
  // Whether a get of "a" is answered without the server; it finds `value`.
  bool IsNear(std::string_view value, const CallOrigin& origin) {
    const std::uint64_t before = node.service.counters().near;
    EXPECT_EQ(node.Get("a", origin), OptString(value));
    return node.service.counters().near > before;
  }
  bool IsNear(std::string_view value) { return IsNear(value, node.Origin()); }
  // Sets "a" and reads it until it is near.
  void MakeNear(std::string_view value, std::uint64_t ttl_ms = 0) {
    ASSERT_TRUE(node.Set("a", value, node.Origin(), ttl_ms));
    for (int i = 0; i < 2 && !IsNear(value); ++i)
      ;
    EXPECT_TRUE(IsNear(value));
  }

  RedisServer server;
  CacheNode node{server.socket()};
};

TEST_F(CacheServiceNearTest, AKeyThatIsReadAllTheTimeNeedsNoServer) {
  ASSERT_TRUE(node.Set("a", "1"));
  EXPECT_FALSE(IsNear("1"));
  EXPECT_FALSE(IsNear("1"));
  EXPECT_TRUE(IsNear("1"));
  server.Stop();
  EXPECT_TRUE(IsNear("1"));
  server.Continue();
  node.clock.Advance(Millis(1000));
  EXPECT_FALSE(IsNear("1")) << "it is asked for once a second at least";
  const CacheCounters counters = node.service.UseOf(AppId{1}).counters;
  EXPECT_EQ(counters.near, 2U);
  EXPECT_EQ(counters.hits, 5U);
  EXPECT_EQ(counters.calls, 6U);
}

TEST_F(CacheServiceNearTest, EveryWriteDropsItsKey) {
  MakeNear("1");
  EXPECT_TRUE(node.Set("a", "2"));
  EXPECT_FALSE(IsNear("2"));
  MakeNear("3");
  EXPECT_EQ(node.Incr("a", 1), 4);
  EXPECT_FALSE(IsNear("4"));
  MakeNear("5");
  EXPECT_TRUE(node.Replace("a", "6"));
  EXPECT_FALSE(IsNear("6"));
  MakeNear("7");
  EXPECT_EQ(node.Cas("a", "8", node.Token("a")), CacheCasOutcome::kStored);
  EXPECT_FALSE(IsNear("8"));
  MakeNear("9");
  EXPECT_TRUE(node.Touch("a", 30));
  EXPECT_FALSE(IsNear("9"));
  MakeNear("10");
  EXPECT_TRUE(node.Delete("a"));
  EXPECT_EQ(node.Get("a"), std::nullopt);
  MakeNear("11");
  (void)node.Take<CacheDeleteMultiResult>(
      node.Begin(node.Origin(), CacheDeleteMulti{.keys = {"b", "a"}}));
  EXPECT_EQ(node.Get("a"), std::nullopt);
  MakeNear("12");
  (void)node.Take<CacheSetMultiResult>(
      node.Begin(node.Origin(), CacheSetMulti{.keys = {"b", "a"}, .values = {"x", "13"}}));
  EXPECT_FALSE(IsNear("13"));
  MakeNear("14");
  EXPECT_TRUE(node.Clear(node.Origin()));
  EXPECT_EQ(node.Get("a"), std::nullopt);
}

TEST_F(CacheServiceNearTest, AGetThatWasSentBeforeAWriteKeepsNothing) {
  ASSERT_TRUE(node.Set("a", "1"));
  EXPECT_FALSE(IsNear("1"));
  const CallId get = node.Begin(node.Origin(), CacheGet{.key = "a"});
  const CallId gone = node.Begin(node.Origin(), CacheDelete{.key = "a"});
  EXPECT_EQ(node.Take<CacheGetResult>(get).value, "1");
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_EQ(node.Take<CacheDeleteResult>(gone).deleted, 1U);
  EXPECT_EQ(node.service.counters().near, 0U);
}

TEST_F(CacheServiceNearTest, ATtlIsKept) {
  MakeNear("1", 300);
  node.clock.Advance(Millis(299));
  // The server's clock has hardly moved; less than 300 ms were left when it was asked.
  node.clock.Advance(Millis(1));
  EXPECT_FALSE(IsNear("1"));
  ASSERT_TRUE(node.Set("a", "2", node.Origin(), 40));
  (void)node.Get("a");
  (void)node.Get("a");
  const std::uint64_t before = node.service.counters().near;
  RunFor(node.loop, Millis(60));
  node.clock.Advance(Millis(60));
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_EQ(node.service.counters().near, before);
}

TEST_F(CacheServiceNearTest, NoConnectionNothingNear) {
  MakeNear("1");
  server.Kill();
  ASSERT_TRUE(node.IsDown());
  EXPECT_EQ(node.service.near().used(), Bytes{0});
  EXPECT_EQ(node.Get("a"), std::nullopt);
  server.Start();
  ASSERT_TRUE(node.IsUp());
  EXPECT_EQ(node.Get("a"), std::nullopt);
  MakeNear("2");
}

TEST_F(CacheServiceNearTest, WhatAnotherProcessLostIsNotNear) {
  MakeNear("1");
  node.service.RaiseGeneration(AppId{1}, 2);
  EXPECT_EQ(node.Get("a"), std::nullopt);
  MakeNear("2");
  bool done = false;
  node.service.Invalidate(AppId{1}, 2, [&] { done = true; });
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_TRUE(RunUntil(node.loop, [&] { return done; }));
}

TEST_F(CacheServiceNearTest, ADeletedAppLeavesNothingNear) {
  MakeNear("1");
  node.service.OnAppDeleted(AppId{1});
  EXPECT_EQ(node.service.near().used(), Bytes{0});
}

TEST_F(CacheServiceNearTest, AnOverlayReadsItAndPutsNothingThere) {
  const CallOrigin check = node.Origin(1, 7);
  MakeNear("1");
  EXPECT_TRUE(IsNear("1", check));
  EXPECT_TRUE(node.Set("a", "checked", check));
  EXPECT_FALSE(IsNear("checked", check));
  EXPECT_TRUE(IsNear("1")) << "what is only checked changes nothing";
  EXPECT_EQ(node.Incr("n", 1, 5, check), 5);
  node.clock.Advance(Millis(1000));
  for (int i = 0; i < 3; ++i)
    EXPECT_FALSE(IsNear("1", node.Origin(1, 8))) << "only what is live is kept";
}

TEST_F(CacheServiceNearTest, QuotasHoldAllTheSame) {
  MakeNear("1");
  CallOrigin origin = node.Origin();
  origin.quota.cache.key_max = 0;
  EXPECT_EQ(node.StatusOf(node.Begin(origin, CacheGet{.key = "a"})), CallStatus::kQuotaExceeded);
}

TEST_F(CacheServiceNearTest, AnAnswerForManyKeysKeepsItsOrder) {
  const std::string large(700 << 10, 'v');
  const std::string small(KiB(16).count, 'v');
  std::vector<std::string> names(40);
  for (std::size_t i = 0; i < names.size(); ++i)
    names[i] = "k" + std::to_string(i);
  ASSERT_TRUE(node.Set("large", large));
  for (const std::string& name : names) {
    ASSERT_TRUE(node.Set(name, small));
    for (int i = 0; i < 2; ++i)
      (void)node.Get(name);
  }
  std::vector<std::string_view> keys = {"k0", "large"};
  keys.insert(keys.end(), names.begin(), names.end());
  const auto result = node.Take<CacheGetMultiResult>(
      node.Begin(node.Origin(), CacheGetMulti{.keys = {keys.begin(), keys.end()}}));
  // The beginning, as far as an answer holds it.
  ASSERT_GT(result.values.size(), 2U);
  ASSERT_LT(result.values.size(), keys.size());
  EXPECT_EQ(result.values[0], small);
  EXPECT_EQ(result.values[1], large);
  for (std::size_t i = 2; i < result.values.size(); ++i)
    EXPECT_EQ(result.values[i], small);
  EXPECT_GE(node.service.counters().near, 1U);
}

TEST_F(CacheServiceNearTest, AServerThatTellsNoTimeIsAskedEveryTime) {
  server.Cli({"ACL", "SETUSER", "default", "-pttl"});
  ASSERT_TRUE(node.Set("a", "1"));
  for (int i = 0; i < 4; ++i)
    EXPECT_FALSE(IsNear("1"));
}

}  // namespace
}  // namespace cloister
