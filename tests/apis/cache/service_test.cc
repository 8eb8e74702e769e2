#include "apis/cache/service.h"

#include <gtest/gtest.h>

#include <limits>

#include "apis/cache/token.h"
#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

class CacheServiceTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node.IsUp()); }

  RedisServer server;
  CacheNode node{server.socket()};
};

using OptString = std::optional<std::string>;

TEST_F(CacheServiceTest, WhatWasSetIsThereUntilItIsDeleted) {
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_TRUE(node.Set("a", std::string_view("b\0\r\n", 4)));
  EXPECT_EQ(node.Get("a"), OptString(std::string("b\0\r\n", 4)));
  EXPECT_TRUE(node.Set("a", ""));
  EXPECT_EQ(node.Get("a"), OptString(""));
  EXPECT_TRUE(node.Delete("a"));
  EXPECT_FALSE(node.Delete("a"));
  EXPECT_EQ(node.Get("a"), std::nullopt);
}

TEST_F(CacheServiceTest, AddAndReplaceLookAtWhatIsThere) {
  EXPECT_FALSE(node.Replace("a", "0"));
  EXPECT_TRUE(node.Add("a", "1"));
  EXPECT_FALSE(node.Add("a", "2"));
  EXPECT_EQ(node.Get("a"), OptString("1"));
  EXPECT_TRUE(node.Replace("a", "3"));
  EXPECT_EQ(node.Get("a"), OptString("3"));
}

TEST_F(CacheServiceTest, CasStoresOnlyOnTopOfWhatWasRead) {
  EXPECT_EQ(node.Cas("a", "x", "t"), CacheCasOutcome::kMissing);
  node.Set("a", "1");
  const std::string token = node.Token("a");
  EXPECT_EQ(node.Cas("a", "2", token), CacheCasOutcome::kStored);
  EXPECT_EQ(node.Cas("a", "3", token), CacheCasOutcome::kChanged);
  EXPECT_EQ(node.Get("a"), OptString("2"));
  EXPECT_EQ(node.Token("none"), "");
}

TEST_F(CacheServiceTest, CasHashesNoValueOfAnotherLength) {
  const auto gets = [&] {
    const std::string all = server.Cli({"INFO", "commandstats"});
    const std::string name = "cmdstat_get:calls=";
    const std::size_t at = all.find(name);
    return at == std::string::npos ? 0 : std::stoi(all.substr(at + name.size()));
  };
  const auto token = [](std::string_view value) { return CacheTokenOf(value); };
  for (const std::string& there : {std::string(), std::string("v"), std::string(1000, 'v')}) {
    ASSERT_TRUE(node.Set("a", there));
    const int before = gets();
    for (const std::string& other : {std::string("ww"), std::string(999, 'v'), there + "v"})
      EXPECT_EQ(node.Cas("a", "new", token(other)), CacheCasOutcome::kChanged) << there.size();
    for (const char* none : {"", ":", "0:", "1", ":1", "-1:00", "1 :00", "999999999:00",
                             "99999999999999999999:00", "0x1:00", "1:00:00"})
      EXPECT_EQ(node.Cas("a", "new", none), CacheCasOutcome::kChanged) << none;
    EXPECT_EQ(gets(), before);
    EXPECT_EQ(node.Cas("a", "new", token(there)), CacheCasOutcome::kStored);
    EXPECT_EQ(node.Cas("a", "newer", token("old")), CacheCasOutcome::kChanged);
    EXPECT_EQ(node.Cas("none", "new", token(there)), CacheCasOutcome::kMissing);
  }
}

TEST_F(CacheServiceTest, BytesCostCallsBeyondTheFirst16KiB) {
  const auto cost = [&](const auto& call) {
    std::string args;
    EncodeFields(call, args);
    return node.service.CostOfBytes(call.kNumber, args);
  };
  const std::string key(250, 'k');
  const auto set = [&](std::size_t size) {
    return cost(CacheSet{.key = key, .value = std::string(size, 'v')});
  };
  EXPECT_EQ(set(0), 0U);
  EXPECT_EQ(set(16384), 0U);
  EXPECT_EQ(set(16384 + 512), 1U);
  EXPECT_EQ(set(2 * 16384), 1U);
  EXPECT_EQ(set(1 << 20), 63U);
  EXPECT_EQ(cost(CacheGet{.key = key}), 0U);
  EXPECT_EQ(node.service.CostOfAnswer(16384), 0U);
  EXPECT_EQ(node.service.CostOfAnswer(16384 + 512), 0U);
  EXPECT_EQ(node.service.CostOfAnswer(16384 + 513), 1U);
  EXPECT_EQ(node.service.CostOfAnswer(1 << 20), 63U);
  // What is hashed counts as if it had been sent, and no lie about it costs more than that.
  const auto cas = [&](std::string_view token) {
    return cost(CacheCas{.key = "k", .value = "v", .token = token});
  };
  EXPECT_EQ(cas(CacheTokenOf("v")), 0U);
  EXPECT_EQ(cas(CacheTokenOf(std::string(1 << 20, 'v'))), 63U);
  EXPECT_EQ(cas("99999999:0"), CacheCostOfBytes(kCallMax + 100));
  EXPECT_EQ(cas("none"), 0U);
}

TEST_F(CacheServiceTest, IncrCountsInSixtyFourBits) {
  EXPECT_EQ(node.Incr("n", 1), std::nullopt) << "nothing to begin with";
  EXPECT_EQ(node.Get("n"), std::nullopt);
  EXPECT_EQ(node.Incr("n", 1, 41), 41);
  EXPECT_EQ(node.Incr("n", 1, 41), 42);
  EXPECT_EQ(node.Incr("n", -50), -8);
  node.Set("n", "9007199254740993");
  EXPECT_EQ(node.Incr("n", 1), 9007199254740994);
  node.Set("n", std::to_string(std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(node.Incr("n", 1), std::nullopt) << "it would be none of 64 bits";
  EXPECT_EQ(node.Incr("n", 0), std::numeric_limits<std::int64_t>::max());
  node.Set("t", "text");
  EXPECT_EQ(node.Incr("t", 1), std::nullopt);
  EXPECT_EQ(node.Get("t"), OptString("text"));
}

TEST_F(CacheServiceTest, EntriesEndWithTheirTime) {
  EXPECT_TRUE(node.Set("a", "1", node.Origin(), 30));
  EXPECT_EQ(node.Get("a"), OptString("1"));
  EXPECT_TRUE(RunUntil(node.loop, [&] { return server.Cli({"EXISTS", "c:test:1:1:a"}) == "0"; }));
  EXPECT_EQ(node.Get("a"), std::nullopt);
  node.Set("b", "1", node.Origin(), 100000);
  EXPECT_TRUE(node.Touch("b", 0));
  EXPECT_EQ(server.Cli({"PTTL", "c:test:1:1:b"}), "-1");
  EXPECT_TRUE(node.Touch("b", 5000));
  EXPECT_NE(server.Cli({"PTTL", "c:test:1:1:b"}), "-1");
  EXPECT_FALSE(node.Touch("none", 5000));
  node.Set("b", "2");
  EXPECT_EQ(server.Cli({"PTTL", "c:test:1:1:b"}), "-1") << "a set has its own time";
  node.Set("c", "1", node.Origin(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_LE(std::stoll(server.Cli({"PTTL", "c:test:1:1:c"})), static_cast<long long>(kCacheTtlMax));
}

TEST_F(CacheServiceTest, CallsForManyKeysKeepTheirOrder) {
  CacheSetMulti set;
  CacheGetMulti get;
  CacheDeleteMulti del;
  std::vector<std::string> keys;
  keys.reserve(1000);
  for (int i = 0; i < 1000; ++i)
    keys.push_back("k" + std::to_string(i));
  for (const std::string& key : keys) {
    set.keys.push_back(key);
    set.values.push_back(key);
    get.keys.push_back(key);
    del.keys.push_back(key);
  }
  const auto stored = node.Take<CacheSetMultiResult>(node.Begin(node.Origin(), set));
  EXPECT_EQ(stored.stored, std::vector<std::uint8_t>(1000, 1));
  node.Delete("k7");
  const auto got = node.Take<CacheGetMultiResult>(node.Begin(node.Origin(), get));
  ASSERT_EQ(got.values.size(), 1000U);
  for (std::size_t i = 0; i < keys.size(); ++i)
    EXPECT_EQ(got.values[i], i == 7 ? std::nullopt : std::optional<std::string_view>(keys[i]));
  const auto gone = node.Take<CacheDeleteMultiResult>(node.Begin(node.Origin(), del));
  std::vector<std::uint8_t> expected(1000, 1);
  expected[7] = 0;
  EXPECT_EQ(gone.deleted, expected);
  const auto none = node.Take<CacheGetMultiResult>(node.Begin(node.Origin(), CacheGetMulti{}));
  EXPECT_TRUE(none.values.empty());
}

TEST_F(CacheServiceTest, ManyLargeValuesComeAsFarAsAnAnswerHolds) {
  const std::string value(1 << 20, 'x');
  CacheGetMulti get;
  for (const char* key : {"a", "b", "c"}) {
    EXPECT_TRUE(node.Set(key, value));
    get.keys.emplace_back(key);
  }
  const CallId id = node.Begin(node.Origin(), get);
  const auto got = node.Take<CacheGetMultiResult>(id);
  ASSERT_EQ(got.values.size(), 1U);
  EXPECT_EQ(got.values[0], value);
  EXPECT_LE(node.kept.back().size(), kCallMax);
  EXPECT_EQ(node.answers.given_back, 2U) << "the app is not charged for what it has not got";
}

TEST_F(CacheServiceTest, QuotasAreExact) {
  const CallOrigin origin = node.Origin();
  const std::string key(250, 'k');
  EXPECT_TRUE(node.Set(key, "v"));
  EXPECT_EQ(node.StatusOf(node.Begin(origin, CacheGet{.key = key})), CallStatus::kDone);
  const std::string long_key(251, 'k');
  EXPECT_EQ(node.StatusOf(node.Begin(origin, CacheGet{.key = long_key})),
            CallStatus::kQuotaExceeded);
  EXPECT_EQ(node.StatusOf(node.Begin(origin, CacheDelete{.key = long_key})),
            CallStatus::kQuotaExceeded);
  EXPECT_TRUE(node.Set("a", std::string((1 << 20) - 1, 'v')));
  EXPECT_TRUE(node.Set("a", std::string(1 << 20, 'v')));
  const std::string long_value((1 << 20) + 1, 'v');
  EXPECT_EQ(node.StatusOf(node.Begin(origin, CacheSet{.key = "a", .value = long_value})),
            CallStatus::kQuotaExceeded);
  EXPECT_EQ(node.answers.refused,
            (std::vector<std::string>{"cache.key", "cache.key", "cache.value"}));
}

TEST_F(CacheServiceTest, AnEntryThatNeverFitsIsRefused) {
  node.quota = Bytes{4096};
  EXPECT_TRUE(node.Set("a", std::string(3500, 'v')));
  const std::string value(4096, 'v');
  EXPECT_EQ(node.StatusOf(node.Begin(node.Origin(), CacheSet{.key = "a", .value = value})),
            CallStatus::kQuotaExceeded);
  EXPECT_EQ(node.answers.refused, std::vector<std::string>{"cache.bytes"});
}

TEST_F(CacheServiceTest, MalformedCallsAreAnHonestWorkersNever) {
  const auto serve = [&](CallNumber number, const auto& args) {
    std::string bytes;
    EncodeFields(args, bytes);
    return node.service.Serve(++node.last_call, node.Origin(), number, bytes).ok();
  };
  EXPECT_FALSE(serve(CallNumber::kCacheGet, CacheGet{.key = ""}));
  EXPECT_FALSE(serve(CallNumber::kCacheSet, CacheSet{.mode = 3, .key = "a"}));
  EXPECT_FALSE(serve(CallNumber::kCacheSet, CacheSet{.key = ""}));
  EXPECT_FALSE(serve(CallNumber::kCacheGetMulti, CacheGetMulti{.keys = {"a", ""}}));
  EXPECT_FALSE(serve(CallNumber::kCacheSetMulti, CacheSetMulti{.keys = {"a"}, .values = {}}));
  EXPECT_FALSE(serve(CallNumber::kCacheClear, CacheGet{.key = "a"}));
  // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): as a worker may send it.
  const CallNumber nobodys{0x7777};
  EXPECT_FALSE(node.service.Serve(++node.last_call, node.Origin(), nobodys, "").ok());
}

TEST_F(CacheServiceTest, AppsAndSpacesAreApart) {
  EXPECT_TRUE(node.Set("a", "one", node.Origin(1)));
  EXPECT_TRUE(node.Set("a", "two", node.Origin(2)));
  // What would be app 1's key if a key could say so.
  EXPECT_TRUE(node.Set("1:a", "three", node.Origin(11)));
  EXPECT_EQ(node.Get("a", node.Origin(1)), OptString("one"));
  EXPECT_EQ(node.Get("a", node.Origin(2)), OptString("two"));
  EXPECT_TRUE(node.Clear(node.Origin(1)));
  EXPECT_EQ(node.Get("a", node.Origin(1)), std::nullopt);
  EXPECT_EQ(node.Get("a", node.Origin(2)), OptString("two"));
  EXPECT_EQ(node.Get("1:a", node.Origin(11)), OptString("three"));
}

TEST_F(CacheServiceTest, AFlushedScriptIsSentAgain) {
  node.Set("a", "1");
  server.Cli({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(node.Set("a", "2"));
  EXPECT_EQ(node.Get("a"), OptString("2"));
  EXPECT_EQ(server.Cli({"EXISTS", "c:test:1:1"}), "1") << "in the same generation";
}

TEST_F(CacheServiceTest, ClearSweepsWhatWasThere) {
  for (int i = 0; i < 350; ++i)
    node.Set("k" + std::to_string(i), "v");
  EXPECT_TRUE(node.Clear(node.Origin()));
  EXPECT_EQ(node.generations.stored[1], 2U);
  node.Set("new", "v");
  EXPECT_TRUE(RunUntil(node.loop, [&] { return server.Cli({"DBSIZE"}) == "3"; }))
      << server.Cli({"DBSIZE"});
  EXPECT_EQ(server.Cli({"SMEMBERS", "c:test:1"}), "2");
  EXPECT_EQ(node.Get("new"), OptString("v"));
}

TEST_F(CacheServiceTest, ADeletedAppLeavesNothing) {
  node.Set("a", "1");
  node.Set("b", "1", node.Origin(2));
  node.service.OnAppDeleted(AppId{1});
  EXPECT_TRUE(RunUntil(node.loop, [&] { return server.Cli({"EXISTS", "c:test:1"}) == "0"; }));
  EXPECT_EQ(server.Cli({"DBSIZE"}), "3");
}

TEST_F(CacheServiceTest, WhatADeletedAppBeganIsFinishedAndGoesToo) {
  CacheSetMulti set;
  std::vector<std::string> keys;
  keys.reserve(300);
  for (int i = 0; i < 300; ++i)
    keys.push_back("k" + std::to_string(i));
  set.keys.assign(keys.begin(), keys.end());
  set.values.assign(keys.begin(), keys.end());
  node.Set("a", "1");
  const CallId began = node.Begin(node.Origin(), set);
  node.service.OnAppDeleted(AppId{1});
  EXPECT_EQ(node.Take<CacheSetMultiResult>(began).stored, std::vector<std::uint8_t>(300, 1));
  EXPECT_TRUE(RunUntil(node.loop, [&] { return server.Cli({"DBSIZE"}) == "0"; }));
  EXPECT_EQ(node.service.UseOf(AppId{1}).counters.calls, 0U);
}

TEST_F(CacheServiceTest, CountersTell) {
  node.Set("a", "1");
  node.Get("a");
  node.Get("b");
  const CacheUse use = node.service.UseOf(AppId{1});
  EXPECT_EQ(use.counters.calls, 3U);
  EXPECT_EQ(use.counters.hits, 1U);
  EXPECT_EQ(use.counters.misses, 1U);
  EXPECT_EQ(use.counters.failed, 0U);
  EXPECT_GT(use.used.count, 0U);
  EXPECT_EQ(node.service.UseOf(AppId{2}).used.count, 0U);
}

TEST_F(CacheServiceTest, AServerThatEvictsAsItLikesIsAdvisedAgainst) {
  EXPECT_EQ(node.service.Advice(), "");
  server.Cli({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  server.Cli({"CLIENT", "KILL", "TYPE", "normal"});
  EXPECT_TRUE(RunUntil(node.loop, [&] { return !node.service.Advice().empty(); }));
  EXPECT_NE(node.service.Advice().find("allkeys-lru"), std::string::npos);
}

TEST_F(CacheServiceTest, AFullServerStoresNothingAndKeepsNoOldValue) {
  EXPECT_TRUE(node.Set("a", "old"));
  server.Cli({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_FALSE(node.Set("a", std::string(1000, 'n')));
  EXPECT_EQ(node.Get("a"), std::nullopt);
  EXPECT_FALSE(node.Set("b", "new"));
  EXPECT_EQ(node.Incr("n", 1, 1), std::nullopt);
  EXPECT_GE(node.service.counters().failed, 2U);
  EXPECT_NE(node.service.Advice().find("the server is full"), std::string::npos);
  node.clock.Advance(Seconds(60));
  EXPECT_EQ(node.service.Advice(), "") << "not lately";
  server.Cli({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(node.Set("a", "new"));
  EXPECT_EQ(node.Get("a"), OptString("new"));
  EXPECT_EQ(node.generations.stores, 0) << "nothing was lost";
}

int CountIn(const std::string& text, const std::string& word) {
  int count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

TEST_F(CacheServiceTest, ThatTheServerIsFullIsToldOnceInTenMinutes) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(node.Set("k" + std::to_string(i), value));
  server.Cli({"CONFIG", "SET", "maxmemory", "1"});
  testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(node.Set("n" + std::to_string(i), value)) << "of its own entries";
  EXPECT_FALSE(node.Set("a", value, node.Origin(3)));
  EXPECT_EQ(CountIn(testing::internal::GetCapturedStderr(), "cache_server_full"), 1);
  EXPECT_NE(node.service.Advice(), "");
  testing::internal::CaptureStderr();
  node.clock.Advance(Seconds(599));
  EXPECT_FALSE(node.Set("a", value, node.Origin(3)));
  EXPECT_EQ(CountIn(testing::internal::GetCapturedStderr(), "cache_server_full"), 0);
  testing::internal::CaptureStderr();
  node.clock.Advance(Seconds(1));
  EXPECT_FALSE(node.Set("a", value, node.Origin(3)));
  EXPECT_EQ(CountIn(testing::internal::GetCapturedStderr(), "cache_server_full"), 1);
}

TEST_F(CacheServiceTest, AServerThatIsNotThereIsToldOfOnceInTenMinutes) {
  const auto told_after = [](CacheNode& waiting, Millis passed) {
    waiting.clock.Advance(passed);
    testing::internal::CaptureStderr();
    RunFor(waiting.loop, Millis(150));  // some attempts
    return CountIn(testing::internal::GetCapturedStderr(), "cache_unreachable");
  };
  CacheNode nowhere(server.socket() + ".none");
  EXPECT_EQ(told_after(nowhere, Seconds(0)), 0) << "it may come yet";
  EXPECT_EQ(told_after(nowhere, Seconds(5)), 1);
  EXPECT_EQ(told_after(nowhere, Seconds(599)), 0);
  EXPECT_EQ(told_after(nowhere, Seconds(1)), 1);
  // The same of one that was there.
  server.Kill();
  ASSERT_TRUE(node.IsDown());
  EXPECT_EQ(told_after(node, Seconds(4)), 0);
  EXPECT_EQ(told_after(node, Seconds(1)), 1);
}

TEST_F(CacheServiceTest, WhatSomebodyElsePutThereCannotHurt) {
  node.Set("a", "1");
  for (const int size : {1114112 - 73, 1114112 - 72, 1114112 - 71, 1114112, 2000000}) {
    server.Cli(
        {"EVAL",
         "return redis.call(\"SET\", KEYS[1], string.rep(\"x\", " + std::to_string(size) + "))",
         "1", "c:test:1:1:a"});
    EXPECT_EQ(node.Get("a").has_value(), size <= 1114112 - 72) << size;
    const auto many = node.Take<CacheGetMultiResult>(
        node.Begin(node.Origin(), CacheGetMulti{.keys = {"a", "b"}}));
    EXPECT_GE(many.values.size(), 1U);
    EXPECT_EQ(node.Token("a").empty(), size > 1114112 - 72);
  }
  for (const char* command : {"HSET", "LPUSH", "SADD"}) {
    server.Cli({"DEL", "c:test:1:1:a"});
    server.Cli(command == std::string("HSET")
                   ? std::vector<std::string>{command, "c:test:1:1:a", "f", "v"}
                   : std::vector<std::string>{command, "c:test:1:1:a", "v"});
    EXPECT_EQ(node.Get("a"), std::nullopt) << command;
    EXPECT_TRUE(node.Set("a", "2")) << command;
    EXPECT_EQ(node.Get("a"), OptString("2")) << command;
  }
}

TEST_F(CacheServiceTest, OnAFullServerAnAppMakesRoomOfItsOwn) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(node.Set("k" + std::to_string(i), value));
  EXPECT_TRUE(node.Set("other", value, node.Origin(2)));
  const std::uint64_t before = node.service.UseOf(AppId{1}).used.count;
  server.Cli({"CONFIG", "SET", "maxmemory", "1"});
  for (int i = 0; i < 40; ++i)
    EXPECT_TRUE(node.Set("n" + std::to_string(i), value));
  EXPECT_LE(node.service.UseOf(AppId{1}).used.count, before);
  EXPECT_TRUE(node.Get("n39").has_value());
  EXPECT_EQ(node.service.UseOf(AppId{1}).counters.evicted, 40U);
  EXPECT_TRUE(node.Set("n39", "small"));
  EXPECT_EQ(node.Get("n39"), OptString("small"));
  EXPECT_TRUE(node.Get("other", node.Origin(2)).has_value()) << "another app's stays";
  EXPECT_FALSE(node.Set("k", value, node.Origin(3))) << "who has nothing has no room to make";
  EXPECT_EQ(server.Cli({"HGET", "c:test:1:1", ""}),
            std::to_string(node.service.UseOf(AppId{1}).used.count));
}

}  // namespace
}  // namespace cloister
