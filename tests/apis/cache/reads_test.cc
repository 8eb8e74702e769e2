#include "apis/cache/reads.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

using OptString = std::optional<std::string>;

constexpr std::uint64_t kMega = MiB(1).count;

TEST(CacheSizesTest, WhatIsLargeIsKnownByItsKey) {
  CacheSizes sizes;
  EXPECT_EQ(sizes.Of("a"), kCacheSmall);
  sizes.Note("a", 4096);
  EXPECT_EQ(sizes.Of("a"), kCacheSmall);
  sizes.Note("a", 4097);
  EXPECT_EQ(CachePowerBytes(sizes.Of("a")), 8192U);
  EXPECT_EQ(sizes.Of("b"), kCacheSmall);
  sizes.Note("a", kMega);
  EXPECT_EQ(CachePowerBytes(sizes.Of("a")), kMega);
  sizes.Note("a", 5000);
  EXPECT_EQ(CachePowerBytes(sizes.Of("a")), kMega) << "another key may have the place";
  sizes.Note("a", kMega + 1);
  EXPECT_EQ(CachePowerBytes(sizes.Of("a")), kCallMax);
  sizes.Forget();
  EXPECT_EQ(sizes.Of("a"), kCacheSmall);
}

TEST(CacheReadsTest, AnAppWaitsForItselfOnly) {
  CacheReads reads;
  CacheReads::App one;
  CacheReads::App two;
  const std::uint64_t most = CacheReads::kAppMax.count;
  EXPECT_TRUE(reads.Begin(one, most, false));
  EXPECT_FALSE(reads.Begin(one, 1, false));
  reads.Wait(one, 7, 1);
  reads.Wait(one, 8, 1);
  EXPECT_EQ(reads.Next(), std::nullopt);
  EXPECT_TRUE(reads.Begin(two, most, false));
  reads.End(one, 1);
  EXPECT_FALSE(reads.Begin(one, 1, false)) << "others of it came before";
  EXPECT_EQ(reads.Next(), 7U);
  EXPECT_TRUE(reads.Begin(one, 1, true));
  EXPECT_EQ(reads.Next(), std::nullopt);
  reads.End(one, most);
  reads.End(two, most);
  EXPECT_EQ(reads.Next(), 8U);
  EXPECT_EQ(reads.bytes(), 0U);
}

TEST(CacheReadsTest, AppsTakeTurnsWhereTheNodeIsAtItsBound) {
  CacheReads reads;
  std::array<CacheReads::App, CacheReads::kNodeMax.count / CacheReads::kAppMax.count> greedy;
  for (CacheReads::App& app : greedy)
    EXPECT_TRUE(reads.Begin(app, CacheReads::kAppMax.count, false));
  CacheReads::App one;
  CacheReads::App two;
  EXPECT_FALSE(reads.Begin(one, kMega, false));
  reads.Wait(one, 1, kMega);
  reads.Wait(one, 2, kMega);
  reads.Wait(two, 3, kMega);
  EXPECT_EQ(reads.Next(), std::nullopt);
  reads.End(greedy[0], 4096);
  EXPECT_EQ(reads.Next(), std::nullopt);
  EXPECT_FALSE(reads.Begin(greedy[0], 4096, false))
      << "what is small does not starve what is large";
  reads.End(greedy[1], 3 * kMega);
  for (const std::uint64_t serial : {1U, 3U, 2U}) {
    EXPECT_EQ(reads.Next(), serial);
    EXPECT_TRUE(reads.Begin(serial == 3 ? two : one, kMega, true));
  }
  EXPECT_EQ(reads.Next(), std::nullopt);
}

class CacheLargeReadsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node.IsUp());
    keys.reserve(30);
    for (int i = 0; i < 30; ++i)
      keys.push_back("k" + std::to_string(i));
    for (const std::string& key : keys)
      ASSERT_TRUE(node.Set(key, value));
    // What a server does with an answer that it cannot get rid of.
    server.Cli({"CONFIG", "SET", "client-output-buffer-limit", "normal 16mb 16mb 1"});
  }
  // All that one worker may ask at one time, of every key.
  void AskForAll(CacheNode& asked) const {
    const CacheGetMulti get{.keys = {keys.begin(), keys.end()}};
    std::vector<CallId> calls(8);
    for (CallId& call : calls)
      call = asked.Begin(asked.Origin(), get);
    const CallId other = asked.Begin(asked.Origin(2), CacheGet{.key = "none"});
    for (const CallId call : calls) {
      const auto got = asked.Take<CacheGetMultiResult>(call);
      ASSERT_EQ(got.values.size(), 1U);
      EXPECT_EQ(got.values[0], value);
    }
    EXPECT_EQ(asked.Take<CacheGetResult>(other).value, std::nullopt);
    EXPECT_EQ(asked.answers.given_back, 8 * 29U);
    EXPECT_EQ(asked.service.redis().counters().connected, 1U);
    EXPECT_EQ(asked.service.redis().counters().lost, 0U);
  }

  const std::string value = std::string(kMega, 'v');
  std::vector<std::string> keys;
  RedisServer server;
  CacheNode node{server.socket()};
};

TEST_F(CacheLargeReadsTest, ManyLargeAnswersDoNotCostTheConnection) {
  AskForAll(node);
}

TEST_F(CacheLargeReadsTest, NorThoseThatAnotherProcessStored) {
  CacheNode next(server.socket());
  ASSERT_TRUE(next.IsUp());
  AskForAll(next);
}

TEST_F(CacheLargeReadsTest, OnlyWhatFitsIsAskedForAtOneTime) {
  server.Stop();
  const std::uint64_t before = node.service.redis().counters().sent;
  std::vector<CallId> calls;
  for (int i = 0; i < 3; ++i)
    for (const std::string& key : keys)
      calls.push_back(node.Begin(node.Origin(), CacheGet{.key = key}));
  EXPECT_EQ(node.service.redis().counters().sent - before, CacheReads::kAppMax.count / kMega);
  server.Continue();
  for (const CallId call : calls)
    EXPECT_EQ(node.Take<CacheGetResult>(call).value, value);
}

TEST_F(CacheLargeReadsTest, WhatWaitsForALostConnectionIsAnswered) {
  CacheNode hasty(server.socket(), Millis(60));
  ASSERT_TRUE(hasty.IsUp());
  ASSERT_EQ(hasty.Get("k0"), OptString(value));
  server.Stop();
  std::vector<CallId> calls(30);
  for (CallId& call : calls)
    call = hasty.Begin(hasty.Origin(), CacheGet{.key = "k0"});
  for (const CallId call : calls)
    EXPECT_EQ(hasty.Take<CacheGetResult>(call).value, std::nullopt);
  server.Continue();
  ASSERT_TRUE(hasty.IsUp());
  EXPECT_EQ(hasty.Get("k0"), OptString(value));
}

TEST_F(CacheLargeReadsTest, WhatAnotherProcessStoredIsReadAsItIs) {
  const std::vector<std::string> values = {"", "v", std::string(4095, 'v'), std::string(4096, 'v'),
                                           std::string(4097, 'v')};
  CacheGetMulti get;
  std::vector<OptString> expected;
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_TRUE(node.Set(keys[i], values[i]));
    get.keys.push_back(keys[i]);
    expected.emplace_back(values[i]);
  }
  get.keys.emplace_back("none");
  expected.emplace_back();
  CacheNode next(server.socket());
  ASSERT_TRUE(next.IsUp());
  for (int times = 0; times < 2; ++times) {
    const auto got = next.Take<CacheGetMultiResult>(next.Begin(next.Origin(), get));
    EXPECT_EQ(std::vector<OptString>(got.values.begin(), got.values.end()), expected);
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(next.Get(keys[i]), expected[i]);
}

TEST_F(CacheLargeReadsTest, TheFirstValueIsInTheAnswerAlsoWhenItComesLast) {
  for (int i = 1; i < 30; ++i)
    ASSERT_TRUE(node.Set(keys[static_cast<std::size_t>(i)], std::string(4000, 's')));
  CacheNode next(server.socket());
  ASSERT_TRUE(next.IsUp());
  const CacheGetMulti get{.keys = {keys.begin(), keys.end()}};
  const auto got = next.Take<CacheGetMultiResult>(next.Begin(next.Origin(), get));
  ASSERT_GE(got.values.size(), 1U);
  EXPECT_EQ(got.values[0], value);
  EXPECT_EQ(next.answers.given_back, 30 - got.values.size());
}

TEST_F(CacheLargeReadsTest, MissesOfAnAppThatIsKnownAskOnce) {
  // App 2 had nothing when it was first asked for.
  EXPECT_EQ(node.Get("a", node.Origin(2)), std::nullopt);
  ASSERT_TRUE(RunUntil(node.loop, [&] {
    const std::uint64_t before = node.service.redis().counters().sent;
    EXPECT_EQ(node.Get("a", node.Origin(2)), std::nullopt);
    return node.service.redis().counters().sent == before + 1;
  }));
}

}  // namespace
}  // namespace cloister
