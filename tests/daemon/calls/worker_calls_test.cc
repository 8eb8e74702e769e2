#include "daemon/calls/worker_calls.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/daemon/calls/calls_fixture.h"

namespace cloister {
namespace {

const std::string kGet = CallOf(CacheGet{.key = "k"});

std::string SetOf(std::size_t size) {
  const std::string value(size, 'v');
  return CallOf(CacheSet{.mode = 0, .key = "k", .value = value, .ttl_ms = 0});
}

Result<void> GiveFrame(WorkerCalls& calls, std::uint32_t id, std::string_view payload,
                       std::uint8_t flags) {
  return calls.TakeCall({.type = FrameType::kCall, .flags = flags, .id = id, .payload = payload});
}

TEST(WorkerCallsTest, ALargeCallComesInSeveralFramesAndSoDoesItsAnswer) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  const std::string call = SetOf(200000);
  ASSERT_TRUE(GiveFrame(calls, 2, call.substr(0, 60000), kFrameMore).ok());
  EXPECT_TRUE(calls.in_call());
  ASSERT_TRUE(GiveFrame(calls, 2, call.substr(60000, 60000), kFrameMore).ok());
  EXPECT_TRUE(bench.service.calls.empty());
  ASSERT_TRUE(GiveFrame(calls, 2, call.substr(120000, 60000), kFrameMore).ok());
  ASSERT_TRUE(GiveFrame(calls, 2, call.substr(180000), 0).ok());
  EXPECT_FALSE(calls.in_call());
  ASSERT_EQ(bench.service.calls.size(), 1U);
  EXPECT_EQ(bench.service.calls[0].args, call.substr(2));
  const std::string value(kFramePayloadMax * 2, 'w');
  bench.service.Answer(0, value);
  const auto replies = bench.channel.TakeReplies();
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(ValueIn(replies[0].second), value);
}

TEST(WorkerCallsTest, WhatNoHonestWorkerSendsIsRefused) {
  CallBench bench;
  struct Case {
    const char* what;
    std::uint32_t id;
    std::string bytes;
  };
  const std::string unknown("\xff\xff", 2);
  for (const Case& each :
       {Case{"an odd id", 3, kGet}, Case{"no id", 0, kGet}, Case{"nothing", 2, ""},
        Case{"half a number", 2, "\x01"}, Case{"an unknown call", 2, unknown},
        Case{"a list that is too long", 2,
             CallOf(CacheGetMulti{.keys = call::LIST_BYTES(kCallListMax + 1, "k")})},
        Case{"too large a call", 2, SetOf(kCallMax)}}) {
    WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
    const Result<void> taken = GiveCall(calls, each.id, each.bytes);
    ASSERT_FALSE(taken.ok()) << each.what;
    EXPECT_EQ(taken.error().code, ErrorCode::kProtocol) << each.what;
  }
  EXPECT_TRUE(bench.service.calls.empty());
}

TEST(WorkerCallsTest, TheLargestCallIsTaken) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  const std::string call = SetOf(kCallMax - SetOf(0).size());
  ASSERT_EQ(call.size(), kCallMax);
  EXPECT_TRUE(GiveCall(calls, 2, call).ok());
  EXPECT_EQ(bench.service.calls.size(), 1U);
}

TEST(WorkerCallsTest, ACallInsideOfAnotherIsRefused) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveFrame(calls, 2, kGet, kFrameMore).ok());
  EXPECT_FALSE(GiveFrame(calls, 4, kGet, 0).ok());
}

TEST(WorkerCallsTest, AnIdIsInUseUntilItsAnswer) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  EXPECT_FALSE(GiveCall(calls, 2, kGet).ok());
  CallBench other;
  WorkerCalls again(other.server, other.channel, other.CallerOn());
  other.service.answers_at_once = true;
  ASSERT_TRUE(GiveCall(again, 2, kGet).ok());
  EXPECT_TRUE(GiveCall(again, 2, kGet).ok());
}

TEST(WorkerCallsTest, SomeRunAtOneTimeTheOthersInOrder) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  for (std::uint32_t i = 1; i <= kCallsMax; ++i)
    ASSERT_TRUE(GiveCall(calls, 2 * i, CallOf(CacheGet{.key = std::to_string(i)})).ok());
  EXPECT_EQ(bench.service.calls.size(), WorkerCalls::kStartedMax);
  EXPECT_FALSE(GiveCall(calls, 2000, kGet).ok());
  bench.service.answers_at_once = true;
  bench.service.Answer(3, "x");
  // The fourth ended, and with it there was room for one after another.
  ASSERT_EQ(bench.service.calls.size(), kCallsMax);
  for (std::size_t i = 0; i < kCallsMax; ++i)
    EXPECT_EQ(DecodeFields<CacheGet>(bench.service.calls[i].args).value().key,
              std::to_string(i + 1));
  EXPECT_EQ(bench.channel.TakeReplies().size(), kCallsMax - WorkerCalls::kStartedMax + 1);
}

TEST(WorkerCallsTest, BytesOfCallsHaveALimit) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  const std::string large = SetOf(kCallMax - SetOf(0).size());
  std::uint32_t id = 0;
  for (std::size_t sum = 0; sum + large.size() <= kCallBytesMax; sum += large.size())
    ASSERT_TRUE(GiveCall(calls, id += 2, large).ok());
  EXPECT_FALSE(GiveCall(calls, id += 2, large).ok());
}

TEST(WorkerCallsTest, NothingBeginsWhileTheWorkerDoesNotRead) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  bench.channel.unread_bytes = WorkerCalls::kUnreadMax;
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  EXPECT_TRUE(bench.service.calls.empty());
  bench.channel.unread_bytes = 0;
  calls.OnDrained();
  EXPECT_EQ(bench.service.calls.size(), 1U);
}

TEST(WorkerCallsTest, ACallThatTurnsOutToBeNoneLaterIsTold) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  bench.channel.unread_bytes = WorkerCalls::kUnreadMax;
  ASSERT_TRUE(GiveCall(calls, 2, kGet).ok());
  bench.service.refuses = true;
  bench.channel.unread_bytes = 0;
  calls.OnDrained();
  EXPECT_EQ(bench.channel.bad, "no call at all");
}

TEST(WorkerCallsTest, AfterTheEndNothingIsSentOrBegun) {
  CallBench bench;
  WorkerCalls calls(bench.server, bench.channel, bench.CallerOn());
  for (std::uint32_t i = 1; i <= WorkerCalls::kStartedMax + 1; ++i)
    ASSERT_TRUE(GiveCall(calls, 2 * i, kGet).ok());
  calls.Close();
  bench.service.Answer(0, "x");
  EXPECT_TRUE(bench.channel.out.empty());
  EXPECT_EQ(bench.service.calls.size(), WorkerCalls::kStartedMax);
}

}  // namespace
}  // namespace cloister
