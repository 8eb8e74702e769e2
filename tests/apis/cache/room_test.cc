// An app's bytes: counted at least, kept within its quota by its own eviction, and nobody else's.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

class CacheRoomTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node.IsUp()); }

  std::uint64_t Counted(int app = 1) const {
    const std::string sum = server.Cli({"HGET", "c:test:" + std::to_string(app) + ":1", ""});
    return sum.empty() ? 0 : std::stoull(sum);
  }
  // The same of all generations of app 1.
  std::uint64_t CountedOfAll() const {
    return std::stoull(
        server.Cli({"EVAL",
                    "local sum = 0 "
                    "for _, old in ipairs(redis.call(\"SMEMBERS\", KEYS[1])) do "
                    "sum = sum + (redis.call(\"HGET\", KEYS[1] .. \":\" .. old, \"\") or 0) "
                    "end "
                    "return sum",
                    "1", "c:test:1"}));
  }
  // What Redis says that the app's keys take.
  std::uint64_t Measured() const {
    return std::stoull(
        server.Cli({"EVAL",
                    "local sum = 0 "
                    "for _, key in ipairs(redis.call(\"KEYS\", \"c:test:1:*\")) do "
                    "sum = sum + (redis.call(\"MEMORY\", \"USAGE\", key, \"SAMPLES\", \"0\") or 0) "
                    "end "
                    "return sum",
                    "0"}));
  }
  // What the sum that is kept beside them should be.
  std::uint64_t SumOfParts() const {
    return std::stoull(server.Cli({"EVAL",
                                   "local sum = 0 "
                                   "local all = redis.call(\"HGETALL\", KEYS[1]) "
                                   "for i = 1, #all, 2 do if all[i] ~= \"\" then "
                                   "sum = sum + all[i + 1] end end return sum",
                                   "1", "c:test:1:1"}));
  }
  int Present(const std::string& pattern) const {
    std::istringstream lines(server.Cli({"KEYS", pattern}));
    int count = 0;
    for (std::string line; std::getline(lines, line);)
      count += line.empty() ? 0 : 1;
    return count;
  }

  RedisServer server;
  CacheNode node{server.socket()};
};

// Writes of every kind, with keys and values of many sizes.
class RandomWrites {
 public:
  explicit RandomWrites(CacheNode& node) : node_(node) {}

  void One() {
    const std::string key = "key" + std::to_string(Below(400)) + std::string(Below(2) * 180, 'k');
    const std::string value(Below(4) == 0 ? Below(20000) : Below(60), 'v');
    const std::uint64_t ttl = Below(3) == 0 ? 1 + Below(40) : 0;
    switch (Below(8)) {
      case 0:
        node_.Delete(key);
        return;
      case 1:
        node_.Incr(key, 1000000007, 1);
        return;
      case 2:
        node_.Touch(key, ttl);
        return;
      case 3:
        node_.Cas(key, value, node_.Token(key));
        return;
      default:
        node_.Set(key, value, node_.Origin(), ttl,
                  CacheSetMode{static_cast<std::uint8_t>(Below(3))});
    }
  }

 private:
  std::size_t Below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }

  CacheNode& node_;
  std::mt19937 random_{7};
};

TEST_F(CacheRoomTest, IsNeverCountedForLessThanItTakes) {
  node.quota = Bytes{256 << 10};
  RandomWrites writes(node);
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 50; ++i)
      writes.One();
    const std::uint64_t counted = Counted();
    EXPECT_GE(counted, Measured()) << "round " << round;
    EXPECT_LE(counted, node.quota.count);
    EXPECT_EQ(counted, SumOfParts());
  }
  EXPECT_GT(node.service.counters().evicted, 0U);
}

TEST_F(CacheRoomTest, WhatAClearLeftCountsUntilItIsSwept) {
  node.quota = Bytes{256 << 10};
  const auto set_many = [&](int count, std::string_view value) {
    CacheSetMulti set;
    std::vector<std::string> keys;
    for (int i = 0; i < count; ++i)
      keys.push_back("k" + std::to_string(i));
    set.keys.assign(keys.begin(), keys.end());
    set.values.assign(keys.size(), value);
    return node.Begin(node.Origin(), set);
  };
  // More than are swept at one time.
  const std::string small(300, 'v');
  node.Take<CacheSetMultiResult>(set_many(500, small));
  EXPECT_GT(Counted(), node.quota.count * 9 / 10);
  const std::string large(4000, 'v');
  int refused = 0;
  for (int round = 0; round < 10; ++round) {
    const CallId cleared = node.Begin(node.Origin(), CacheClear{});
    const CallId began = set_many(50, large);
    EXPECT_TRUE(RunUntil(node.loop, [&] {
      EXPECT_LE(CountedOfAll(), node.quota.count) << "round " << round;
      return node.answers.replies.contains(began);
    }));
    EXPECT_EQ(node.StatusOf(cleared), CallStatus::kDone);
    for (const CallId call : {began, set_many(500, small)}) {
      const auto stored = node.Take<CacheSetMultiResult>(call).stored;
      refused += static_cast<int>(std::ranges::count(stored, 0));
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(node.service.UseOf(AppId{1}).counters.failed, static_cast<std::uint64_t>(refused));
  // What is not stored is not there; when all is swept everything fits.
  EXPECT_TRUE(node.Clear(node.Origin()));
  EXPECT_TRUE(RunUntil(node.loop, [&] { return server.Cli({"DBSIZE"}) == "0"; }));
  EXPECT_EQ(node.Take<CacheSetMultiResult>(set_many(50, large)).stored,
            std::vector<std::uint8_t>(50, 1));
}

TEST_F(CacheRoomTest, WhatHasNoRoomWhileThereIsSweepingLeavesNoOldValue) {
  node.quota = Bytes{64 << 10};
  const std::string value(1000, 'v');
  for (int i = 0; i < 30; ++i)
    node.Set("k" + std::to_string(i), value);
  // As if the sweeping did not come on: a generation that nobody has told of.
  server.Cli({"EVAL",
              "redis.call(\"SADD\", KEYS[1], \"0\") "
              "redis.call(\"HSET\", KEYS[1] .. \":0\", \"\", 50000, \"gone\", 50000)",
              "1", "c:test:1"});
  server.Cli({"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_TRUE(node.IsDown());
  ASSERT_TRUE(node.IsUp());
  EXPECT_FALSE(node.Set("k1", value)) << "it is swept behind this one";
  EXPECT_EQ(node.Get("k1"), std::nullopt);
  EXPECT_TRUE(node.Get("k2").has_value());
  EXPECT_TRUE(RunUntil(node.loop, [&] { return server.Cli({"EXISTS", "c:test:1:0"}) == "0"; }));
  EXPECT_TRUE(node.Set("k1", value));
  EXPECT_EQ(Counted(), SumOfParts());
}

TEST_F(CacheRoomTest, OneAppsFullnessEvictsNothingOfAnothers) {
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(node.Set("k" + std::to_string(i), "v", node.Origin(2)));
  node.quota = Bytes{64 << 10};
  const std::string value(1000, 'v');
  for (int i = 0; i < 200; ++i)
    EXPECT_TRUE(node.Set("k" + std::to_string(i), value));
  EXPECT_EQ(Present("c:test:2:1:*"), 50);
  const int own = Present("c:test:1:1:*");
  EXPECT_GT(own, 35);
  EXPECT_LT(own, 64);
  EXPECT_EQ(node.service.UseOf(AppId{1}).counters.evicted, static_cast<std::uint64_t>(200 - own));
  EXPECT_EQ(node.service.UseOf(AppId{2}).counters.evicted, 0U);
  EXPECT_LE(node.service.UseOf(AppId{1}).used, node.quota);
}

TEST_F(CacheRoomTest, WhatWasNotUsedForLongestGoesFirst) {
  node.quota = Bytes{100 << 10};
  const std::string value(1000, 'v');
  for (int i = 0; i < 60; ++i)
    node.Set("k" + std::to_string(i), value);
  // Idle times are in seconds: the first twenty are used until the others are two of them old.
  while (std::stoi(server.Cli({"OBJECT", "IDLETIME", "c:test:1:1:k59"})) < 2) {
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(node.Get("k" + std::to_string(i)).has_value());
    RunFor(node.loop, Millis(50));
  }
  for (int i = 0; i < 45; ++i)
    node.Set("n" + std::to_string(i), value);
  int used = 0;
  for (int i = 0; i < 20; ++i)
    used += node.Get("k" + std::to_string(i)) ? 1 : 0;
  EXPECT_GE(used, 15) << "eviction samples: most of what is in use stays";
  EXPECT_GT(node.service.counters().evicted, 20U);
}

TEST_F(CacheRoomTest, WhatHasExpiredGoesBeforeAnythingElse) {
  node.quota = Bytes{64 << 10};
  const std::string value(1000, 'v');
  for (int i = 0; i < 30; ++i)
    node.Set("short" + std::to_string(i), value, node.Origin(), 20);
  node.Set("long", value);
  ASSERT_TRUE(RunUntil(node.loop, [&] { return Present("c:test:1:1:short*") == 0; }));
  EXPECT_GT(Counted(), 30000U) << "counted still";
  for (int i = 0; i < 40; ++i)
    node.Set("n" + std::to_string(i), value);
  EXPECT_TRUE(node.Get("long").has_value());
  EXPECT_EQ(node.service.counters().evicted, 0U);
  EXPECT_LE(Counted(), node.quota.count);
}

TEST_F(CacheRoomTest, RoomForOneLargeEntryIsMadeInSeveralSteps) {
  node.quota = Bytes{2 << 20};
  CacheSetMulti set;
  std::vector<std::string> keys;
  keys.reserve(7000);
  for (int i = 0; i < 7000; ++i)
    keys.push_back("k" + std::to_string(i));
  for (std::size_t from = 0; from < keys.size(); from += 1000) {
    set.keys.assign(keys.begin() + static_cast<std::ptrdiff_t>(from),
                    keys.begin() + static_cast<std::ptrdiff_t>(from) + 1000);
    set.values.assign(1000, "v");
    node.Take<CacheSetMultiResult>(node.Begin(node.Origin(), set));
  }
  EXPECT_TRUE(node.Set("large", std::string(1 << 20, 'v')));
  EXPECT_TRUE(node.Get("large").has_value());
  EXPECT_GT(node.service.counters().evicted, 1000U);
  EXPECT_LE(Counted(), node.quota.count);
  EXPECT_EQ(node.service.counters().invalidated, 0U);
}

TEST_F(CacheRoomTest, ASmallerQuotaHoldsWithTheNextEntries) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 200; ++i)
    node.Set("k" + std::to_string(i), value);
  node.quota = Bytes{64 << 10};
  EXPECT_TRUE(node.Set("new", value));
  EXPECT_LE(Counted(), node.quota.count);
  EXPECT_TRUE(node.Get("new").has_value());
}

TEST_F(CacheRoomTest, OfAnEntryThatIsReplacedOnlyTheNewSizeCounts) {
  node.quota = Bytes{8 << 10};
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(node.Set("a", std::string(static_cast<std::size_t>(6000 - 200 * i), 'v')));
  EXPECT_EQ(node.service.counters().evicted, 0U);
  node.Delete("a");
  EXPECT_EQ(Counted(), 0U);
}

}  // namespace
}  // namespace cloister
