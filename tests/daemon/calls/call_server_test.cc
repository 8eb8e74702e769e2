#include "daemon/calls/call_server.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/daemon/calls/calls_fixture.h"

namespace cloister {
namespace {

const std::string kGet = CallOf(CacheGet{.key = "k"});

struct Refusal {
  std::string quota;
  std::uint64_t limit = 0;
  std::uint64_t used = 0;
  std::uint32_t retry_after_ms = 0;
};

Refusal RefusalIn(std::string_view reply) {
  WireReader in(reply);
  if (CallStatus{in.U8()} != CallStatus::kQuotaExceeded)
    return {};
  Refusal refusal;
  refusal.quota = in.Str16();
  refusal.limit = in.U64();
  refusal.used = in.U64();
  refusal.retry_after_ms = in.U32();
  EXPECT_TRUE(in.AtEnd());
  return refusal;
}

TEST(CallServerTest, ACallGoesToItsServiceAsItsWorkersApp) {
  CallBench bench;
  bench.quota.cache.value_max = KiB(7);
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn(9, AppId{42}));
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  ASSERT_EQ(bench.service.calls.size(), 1U);
  const ServedCall& served = bench.service.calls.front();
  EXPECT_EQ(served.origin.app, AppId{42});
  EXPECT_EQ(served.origin.overlay, 9U);
  EXPECT_EQ(served.origin.quota.cache.value_max, KiB(7));
  EXPECT_EQ(served.number, CallNumber::kCacheGet);
  EXPECT_EQ(DecodeFields<CacheGet>(served.args).value().key, "k");
  bench.service.Answer(0, "value");
  const auto replies = bench.channel.TakeReplies();
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].first, 2U);
  EXPECT_EQ(ValueIn(replies[0].second), "value");
}

TEST(CallServerTest, WhatAnAnswerLeavesOutIsGivenBack) {
  CallBench bench;
  bench.quota.cache.calls_rate = 10;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  const std::vector<std::string_view> keys(8, "k");
  ASSERT_TRUE(GiveCall(calls, 2, CallOf(CacheGetMulti{.keys = keys})).ok());
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 8U);
  bench.server.GiveBack(bench.service.calls[0].id, 5);
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 3U);
  bench.service.Answer(0, "");
  bench.server.GiveBack(bench.service.calls[0].id, 3);
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 3U) << "it was answered";
}

TEST(CallServerTest, CallsAreMeteredAndAllOfAnAppsWorkersTogether) {
  CallBench bench;
  bench.quota.cache.calls_rate = 3;
  bench.service.answers_at_once = true;
  WorkerCalls one(bench.server, bench.channel, bench.CallerOn());
  WorkerCalls two(bench.server, bench.channel, bench.CallerOn());
  for (const std::uint32_t id : {2U, 4U})
    ASSERT_TRUE(GiveCall(one, id, kGet).ok());
  ASSERT_TRUE(GiveCall(two, 2, kGet).ok());
  bench.channel.TakeReplies();
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 3U);

  ASSERT_TRUE(GiveCall(two, 4, kGet).ok());
  const auto replies = bench.channel.TakeReplies();
  ASSERT_EQ(replies.size(), 1U);
  const Refusal refusal = RefusalIn(replies[0].second);
  EXPECT_EQ(refusal.quota, "cache.calls");
  EXPECT_EQ(refusal.limit, 3U);
  EXPECT_EQ(refusal.used, 4U);
  EXPECT_EQ(refusal.retry_after_ms, 1000U);
  EXPECT_EQ(bench.service.calls.size(), 3U);
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).refused, 1U);
  ASSERT_EQ(bench.logs.events.size(), 2U);
  EXPECT_EQ(bench.logs.events[0].bytes,
            "This app comes near to its quota cache.calls: 100 % of 3 a second are used.");
  EXPECT_EQ(bench.logs.events[1].bytes.substr(0, 50),
            "1 call was refused with cloister.QuotaExceeded: th");
  EXPECT_TRUE(bench.logs.events[1].by_node);

  // Another app has its own.
  WorkerCalls other(bench.server, bench.channel, bench.CallerOn(0, AppId{2}));
  ASSERT_TRUE(GiveCall(other, 2, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 4U);
  // Time gives back.
  bench.clock.Advance(Seconds(1));
  ASSERT_TRUE(GiveCall(one, 8, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 5U);
}

TEST(CallServerTest, EachKeyOfACallForManyCounts) {
  CallBench bench;
  bench.quota.cache.calls_rate = 10;
  bench.service.answers_at_once = true;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, CallOf(CacheGetMulti{.keys = {"a", "b", "c", "d"}})).ok());
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 4U);
  ASSERT_TRUE(GiveCall(calls, 4, CallOf(CacheDeleteMulti{.keys = {}})).ok());
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 5U);
  // More than may ever come at once: there is no use in waiting.
  bench.channel.TakeReplies();
  ASSERT_TRUE(GiveCall(calls, 6, CallOf(CacheGetMulti{.keys = call::LIST_BYTES(11, "k")})).ok());
  EXPECT_EQ(RefusalIn(bench.channel.TakeReplies().at(0).second).retry_after_ms, 0U);
}

TEST(CallServerTest, TheBytesOfACallArePaidBeforeItIsServed) {
  CallBench bench;
  bench.quota.cache.calls_rate = 10;
  bench.service.cost_of_bytes = 5;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 6U);
  ASSERT_TRUE(GiveCall(calls, 4, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 1U) << "four are left, six are needed";
  const Refusal refusal = RefusalIn(bench.channel.TakeReplies().at(0).second);
  EXPECT_EQ(refusal.quota, "cache.calls");
  EXPECT_EQ(refusal.used, 12U);
  EXPECT_EQ(refusal.retry_after_ms, 1000U);
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 6U) << "a refusal costs nothing";
}

TEST(CallServerTest, ACallThatCostsMoreThanThereEverIsBeginsWithAllOfItAndOwesTheRest) {
  CallBench bench;
  bench.quota.cache.calls_rate = 10;
  bench.service.cost_of_bytes = 34;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  ASSERT_EQ(bench.service.calls.size(), 1U);
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 35U);
  bench.service.cost_of_bytes = 0;
  ASSERT_TRUE(GiveCall(calls, 4, kGet).ok());
  const Refusal refusal = RefusalIn(bench.channel.TakeReplies().at(0).second);
  EXPECT_EQ(refusal.used, 36U);
  EXPECT_EQ(refusal.retry_after_ms, 3000U) << "25 are owed, and one is needed";
  bench.clock.Advance(Seconds(3));
  ASSERT_TRUE(GiveCall(calls, 6, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 2U);
}

TEST(CallServerTest, TheBytesOfAnAnswerAreOwedFromThenOn) {
  CallBench bench;
  bench.quota.cache.calls_rate = 10;
  bench.service.answer_bytes_per_call = 1000;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  bench.service.Answer(0, std::string(500, 'v'));
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 1U);
  ASSERT_TRUE(GiveCall(calls, 4, kGet).ok());
  bench.service.Answer(1, std::string(20000, 'v'));
  EXPECT_EQ(bench.server.UseOf(AppId{1}, Api::kCache).used, 22U);
  bench.channel.TakeReplies();
  ASSERT_TRUE(GiveCall(calls, 6, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 2U);
  EXPECT_EQ(RefusalIn(bench.channel.TakeReplies().at(0).second).retry_after_ms, 2000U);
  bench.clock.Advance(Seconds(2));
  ASSERT_TRUE(GiveCall(calls, 8, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 3U);
}

TEST(CallServerTest, AnotherRateHoldsAtOnce) {
  CallBench bench;
  bench.quota.cache.calls_rate = 1;
  bench.service.answers_at_once = true;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  bench.quota.cache.calls_rate = 5;
  bench.clock.Advance(Seconds(1));
  for (std::uint32_t id = 4; id < 14; id += 2)
    ASSERT_TRUE(GiveCall(calls, id, kGet).ok());
  EXPECT_EQ(bench.service.calls.size(), 6U);
}

TEST(CallServerTest, AnApiThatTheNodeDoesNotOfferFails) {
  CallBench bench;
  CallServer bare(bench.clock, bench.logs);
  WorkerCalls calls(bare, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  const auto replies = bench.channel.TakeReplies();
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].second, EncodeReply(CallFailure{.code = "api_unavailable",
                                                       .message = "the node does not offer this"}));
}

TEST(CallServerTest, AnAnswerForAWorkerThatIsGoneIsDropped) {
  CallBench bench;
  {
    WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
    ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  }
  bench.service.Answer(0, "too late");
  EXPECT_TRUE(bench.channel.out.empty());
}

TEST(CallServerTest, AnOverlayEndsWithItsLastWorker) {
  CallBench bench;
  {
    WorkerCalls kept(bench.server, bench.channel, bench.CallerOn());
    WorkerCalls one(bench.server, bench.channel, bench.CallerOn(7));
    {
      WorkerCalls two(bench.server, bench.channel, bench.CallerOn(7));
    }
    EXPECT_TRUE(bench.service.ended.empty());
  }
  EXPECT_EQ(bench.service.ended, std::vector<OverlayId>{7});
}

TEST(CallServerTest, ServicesHearOfADeletedApp) {
  CallBench bench;
  bench.server.OnAppDeleted(AppId{3});
  EXPECT_EQ(bench.service.deleted, std::vector{AppId{3}});
}

TEST(CallServerTest, AnAppsDirectoryMayGoWhenAllServicesHaveClosedIt) {
  CallBench bench;
  bool closed = false;
  bench.server.WhenClosed(AppId{3}, [&] { closed = true; });
  EXPECT_FALSE(closed);
  std::exchange(bench.service.closed, nullptr)();
  EXPECT_TRUE(closed);
}

TEST(CallServerTest, ServicesHearWhichWorkerIsGone) {
  CallBench bench;
  RecordingChannel other_channel;
  CallerId first = 0;
  {
    WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
    WorkerCalls other(bench.server, other_channel, bench.CallerOn());
    ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
    ASSERT_TRUE(GiveCall(other, 2, kGet).ok());
    ASSERT_EQ(bench.service.calls.size(), 2U);
    first = bench.service.calls[0].origin.caller;
    EXPECT_NE(first, bench.service.calls[1].origin.caller);
    EXPECT_TRUE(bench.service.gone.empty());
  }
  EXPECT_EQ(bench.service.gone, (std::vector{bench.service.calls[1].origin.caller, first}));
}

}  // namespace
}  // namespace cloister
