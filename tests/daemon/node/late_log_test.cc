#include "daemon/node/late_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "apis/wire/event_fields.h"
#include "apis/wire/fd_socket.h"
#include "daemon/loop/timer.h"

namespace cloister {
namespace {

class KeptEvents : public LogSink {
 public:
  void Append(LogEvent event) override {
    events.push_back(std::move(event));
    if (loop != nullptr && events.size() == wanted)
      loop->Stop();
  }
  std::vector<LogEvent> events;
  Loop* loop = nullptr;
  std::size_t wanted = 0;
};

LogEvent EventOf(std::string bytes) {
  LogEvent event;
  event.time = WallTime(Micros(1234567));
  event.app = AppId{7};
  event.release = "1.2.0";
  event.worker = WorkerId{99};
  event.request_id = "01REQUEST";
  event.source = LogSource::kLogging;
  event.level = 30;
  event.logger = "app.db";
  event.check = true;
  event.app_name = "demo/hello";
  event.fields = EncodeEventFields({{.name = "user", .value = std::int64_t{3}}});
  event.bytes = std::move(bytes);
  return event;
}

class LateLogTest : public testing::Test {
 protected:
  LateLogTest() : relay_(loop_, own_), patience_(loop_) {
    auto pair = MakeControlPair();
    EXPECT_TRUE(pair.ok());
    successor_ = std::move(pair.value().first);
    predecessor_ = std::move(pair.value().second);
  }

  // Runs the loop until the successor has `count` events.
  void RunUntil(std::size_t count) {
    taken_.loop = &loop_;
    taken_.wanted = count;
    patience_.Start(Millis(20000), [this] { loop_.Stop(); });
    loop_.Run();
    ASSERT_EQ(count, taken_.events.size());
  }

  Loop loop_;
  KeptEvents own_;
  KeptEvents taken_;
  LogRelay relay_;
  Timer patience_;
  UniqueFd successor_;
  UniqueFd predecessor_;
};

TEST_F(LateLogTest, BeforeForwardEventsGoToTheOwnStore) {
  relay_.Append(EventOf("here"));
  ASSERT_EQ(1U, own_.events.size());
  EXPECT_EQ("here", own_.events.front().bytes);
}

TEST_F(LateLogTest, EventsArriveWholeAndInOrder) {
  const LateLogReader reader(loop_, std::move(predecessor_), taken_);
  relay_.Forward(std::move(successor_));
  const std::string any_bytes("\0\xff\r\n", 4);
  relay_.Append(EventOf(any_bytes));
  relay_.Append(EventOf(""));
  RunUntil(2);
  EXPECT_TRUE(own_.events.empty());
  const LogEvent& event = taken_.events.front();
  EXPECT_EQ(any_bytes, event.bytes);
  EXPECT_EQ(AppId{7}, event.app);
  EXPECT_EQ(WallTime(Micros(1234567)), event.time);
  EXPECT_EQ("1.2.0", event.release);
  EXPECT_EQ(WorkerId{99}, event.worker);
  EXPECT_EQ("01REQUEST", event.request_id);
  EXPECT_EQ(LogSource::kLogging, event.source);
  EXPECT_EQ(30, event.level);
  EXPECT_EQ("app.db", event.logger);
  EXPECT_TRUE(event.check);
  EXPECT_EQ("demo/hello", event.app_name);
  EXPECT_EQ(EventOf("").fields, event.fields);
  EXPECT_EQ("", taken_.events.back().bytes);
}

TEST_F(LateLogTest, LargeEventsTravelInPiecesAndWaitForASlowReader) {
  relay_.Forward(std::move(successor_));
  for (char c = 'a'; c <= 'j'; ++c)
    relay_.Append(EventOf(std::string(kLogEventMax, c)));
  EXPECT_FALSE(relay_.idle());
  const LateLogReader reader(loop_, std::move(predecessor_), taken_);
  RunUntil(10);
  EXPECT_TRUE(relay_.idle());
  EXPECT_EQ(std::string(kLogEventMax, 'j'), taken_.events.back().bytes);
  EXPECT_EQ(EventOf("").fields, taken_.events.back().fields);
  EXPECT_EQ(0U, relay_.lost());
}

// The most that an event can be is still one packet a piece.
TEST_F(LateLogTest, NamesAreCut) {
  const LateLogReader reader(loop_, std::move(predecessor_), taken_);
  relay_.Forward(std::move(successor_));
  for (const std::size_t size :
       {kLogNameMax - 1, kLogNameMax, kLogNameMax + 1, std::size_t{64} * 1024}) {
    LogEvent event = EventOf(std::string(kLogEventMax, 'b'));
    event.logger = event.release = event.request_id = std::string(size, 'n');
    relay_.Append(std::move(event));
  }
  RunUntil(4);
  EXPECT_EQ(std::string(kLogNameMax - 1, 'n'), taken_.events[0].logger);
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(std::string(kLogNameMax, 'n'), taken_.events[i].logger);
    EXPECT_EQ(std::string(kLogNameMax, 'n'), taken_.events[i].release);
    EXPECT_EQ(std::string(kLogNameMax, 'n'), taken_.events[i].request_id);
    EXPECT_EQ(std::string(kLogEventMax, 'b'), taken_.events[i].bytes);
  }
}

TEST_F(LateLogTest, AFloodLeavesTheLoopToOthers) {
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(SendPacket(successor_.get(), EncodeMessage(LateEvent{})).ok());
  const LateLogReader reader(loop_, std::move(predecessor_), taken_);
  std::size_t after_one_turn = 0;
  const std::function<void()> look = [&] {
    after_one_turn = taken_.events.size();
    if (after_one_turn == 0)
      loop_.Post(look);
  };
  loop_.Post(look);
  RunUntil(40);
  EXPECT_GT(after_one_turn, 0U);
  EXPECT_LT(after_one_turn, 40U);
}

TEST_F(LateLogTest, WithoutASuccessorEventsAreCountedAsLost) {
  relay_.Forward(UniqueFd());
  relay_.Append(EventOf("nobody"));
  EXPECT_EQ(1U, relay_.lost());
  EXPECT_TRUE(relay_.idle());
}

TEST_F(LateLogTest, WhatWaitsIsLostWhenTheSuccessorDies) {
  relay_.Forward(std::move(successor_));
  for (int i = 0; i < 20; ++i)
    relay_.Append(EventOf(std::string(kLogEventMax, 'x')));
  bool idle = false;
  relay_.SetIdleCallback([this, &idle] {
    idle = true;
    loop_.Stop();
  });
  predecessor_.Reset();
  patience_.Start(Millis(20000), [this] { loop_.Stop(); });
  loop_.Run();
  EXPECT_TRUE(idle);
  EXPECT_TRUE(relay_.idle());
  EXPECT_GT(relay_.lost(), 0U);
}

TEST_F(LateLogTest, GarbageEndsTheReadingAndNothingElse) {
  const LateLogReader reader(loop_, std::move(predecessor_), taken_);
  LateEvent bad;
  bad.source = 200;
  ASSERT_TRUE(SendPacket(successor_.get(), EncodeMessage(bad)).ok());
  ASSERT_TRUE(SendPacket(successor_.get(), "\xff").ok());
  patience_.Start(Millis(50), [this] { loop_.Stop(); });
  loop_.Run();
  EXPECT_TRUE(taken_.events.empty());
}

}  // namespace
}  // namespace cloister
