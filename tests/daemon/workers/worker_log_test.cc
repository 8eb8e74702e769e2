#include "daemon/workers/worker_log.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "apis/wire/channel.h"
#include "apis/wire/event_fields.h"
#include "daemon/logs/redactor.h"
#include "tests/daemon/workers/worker_fixture.h"
#include "tests/support/fake_clock.h"

namespace cloister {
namespace {

TEST(WorkerLogTest, NodeSpeaksAsTheRuntime) {
  LogCollector sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  log.SetWorker(WorkerId{9});
  log.Say(kLogError, "text", "request");
  ASSERT_EQ(sink.events.size(), 1U);
  const LogEvent& event = sink.events.front();
  EXPECT_EQ(event.source, LogSource::kRuntime);
  EXPECT_EQ(event.level, kLogError);
  EXPECT_EQ(event.app, AppId{3});
  EXPECT_EQ(event.release, "1.2.0");
  EXPECT_EQ(event.worker, WorkerId{9});
  EXPECT_EQ(event.request_id, "request");
  EXPECT_EQ(event.time, clock.Wall());
}

// The name travels with the event to files and to the next node, whose messages have a limit.
TEST(WorkerLogTest, LoggersNameIsCut) {
  LogCollector sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  for (const std::size_t size :
       {std::size_t{199}, std::size_t{200}, std::size_t{201}, kFramePayloadMax - 100}) {
    const std::string name(size, 'n');
    std::string payload;
    WireWriter writer(payload);
    const LogHead head{.source = LogSource::kLogging, .level = 20, .logger = name};
    head.Encode(writer);
    writer.Raw("text");
    ASSERT_TRUE(
        log.TakeLog({.type = FrameType::kLog, .flags = 0, .id = 0, .payload = payload}, {}).ok());
    EXPECT_EQ(sink.events.back().logger, name.substr(0, 200));
    EXPECT_EQ(sink.events.back().bytes, "text");
  }
}

class SecretsInParts : public testing::Test {
 protected:
  SecretsInParts() {
    log_.AddSecrets(Redactor::Create(std::vector<NamedSecret>{{"A", "correct horse battery"}}));
  }
  // What stands in the log of it.
  std::string Say(std::string_view text, LogSource source = LogSource::kStdout,
                  std::uint8_t flags = 0) {
    std::string payload;
    WireWriter writer(payload);
    const LogHead head{.source = source, .level = 0, .logger = {}};
    head.Encode(writer);
    writer.Raw(text);
    EXPECT_TRUE(
        log_.TakeLog({.type = FrameType::kLog, .flags = flags, .id = 0, .payload = payload}, {})
            .ok());
    if (flags != 0)
      return {};
    LogEvent& event = sink_.events.back();
    RedactEvent(event);
    EXPECT_TRUE(event.before.empty());
    return event.bytes;
  }

  LogCollector sink_;
  FakeClock clock_;
  WorkerLog log_{sink_, clock_, SomeRelease()};
  const std::string long_ = std::string(40000, 'x');
};

TEST_F(SecretsInParts, ASecretOfALineInTwoEventsStandsInNeither) {
  EXPECT_EQ(Say(long_ + "correct ho"), long_ + "[secret A]");
  EXPECT_EQ(Say("rse battery y"), "[secret A] y");
  EXPECT_EQ(Say(" z\n"), " z\n");
}

TEST_F(SecretsInParts, NorInThree) {
  EXPECT_EQ(Say(long_ + "correct "), long_ + "[secret A]");
  EXPECT_EQ(Say("horse "), "[secret A]");
  EXPECT_EQ(Say("battery"), "[secret A]");
}

TEST_F(SecretsInParts, TheEventBeforeMayHaveSeveralFrames) {
  Say(long_, LogSource::kStdout, kFrameMore);
  Say(long_ + "correct ", LogSource::kStdout, kFrameMore);
  EXPECT_EQ(Say("horse bat"), long_ + long_ + "[secret A]");
  EXPECT_EQ(Say("tery"), "[secret A]");
}

TEST_F(SecretsInParts, StreamsAreApartAndWholeLinesAreWhole) {
  EXPECT_EQ(Say(long_ + "correct ho"), long_ + "[secret A]");
  EXPECT_EQ(Say("rse battery", LogSource::kStderr), "rse battery");
  EXPECT_EQ(Say("rse battery", LogSource::kLogging), "rse battery");
  EXPECT_EQ(Say("rse battery\n"), "[secret A]\n");
  EXPECT_EQ(Say("correct ho\n"), "correct ho\n");
  EXPECT_EQ(Say("rse battery\n"), "rse battery\n");
}

std::string LogPayload(std::string_view fields) {
  std::string payload;
  WireWriter writer(payload);
  const LogHead head{
      .source = LogSource::kLogging, .level = 20, .logger = "shop", .fields = fields};
  head.Encode(writer);
  writer.Raw("text");
  return payload;
}

TEST(WorkerLogTest, FieldsArePassedOnAsTheyAre) {
  LogCollector sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  const std::string fields = EncodeEventFields({{.name = "user", .value = std::int64_t{3}}});
  const std::string first = LogPayload(fields);
  const std::string second = LogPayload("");
  ASSERT_TRUE(
      log.TakeLog({.type = FrameType::kLog, .flags = kFrameMore, .id = 0, .payload = first}, {})
          .ok());
  ASSERT_TRUE(
      log.TakeLog({.type = FrameType::kLog, .flags = 0, .id = 0, .payload = second}, {}).ok());
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events.front().fields, fields);
  EXPECT_EQ(sink.events.front().bytes, "texttext");
}

TEST(WorkerLogTest, FieldsThatAreNoneAreAViolation) {
  LogCollector sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  const std::string many = EncodeEventFields(std::vector<EventField>(kEventFieldsMax + 1));
  for (const std::string& fields : {std::string("\1\0a\6", 4), std::string("\1"), many}) {
    const std::string payload = LogPayload(fields);
    EXPECT_FALSE(
        log.TakeLog({.type = FrameType::kLog, .flags = 0, .id = 0, .payload = payload}, {}).ok());
  }
  EXPECT_TRUE(sink.events.empty());
}

TEST(WorkerLogTest, AnEventSaysWhetherItIsACheckS) {
  LogCollector sink;
  FakeClock clock;
  ReleaseSpec spec = SomeRelease();
  WorkerLog(sink, clock, spec).Say(kLogInfo, "serves");
  spec.writes = Writes::kOverlay;
  WorkerLog(sink, clock, spec).Say(kLogInfo, "is checked");
  ASSERT_EQ(sink.events.size(), 2U);
  EXPECT_FALSE(sink.events[0].check);
  EXPECT_TRUE(sink.events[1].check);
  EXPECT_EQ(sink.events[1].app_name, spec.app.ToString());
}

struct EndRow {
  std::uint32_t status;
  const char* words;
};
class DescribeEndTest : public testing::TestWithParam<EndRow> {};

TEST_P(DescribeEndTest, SaysTheCauseAndTheWayOut) {
  EXPECT_NE(DescribeEnd(EndOf(GetParam().status), {}).find(GetParam().words), std::string::npos)
      << DescribeEnd(EndOf(GetParam().status), {});
}

INSTANTIATE_TEST_SUITE_P(Ends, DescribeEndTest,
                         testing::Values(EndRow{0, "exit code 0"}, EndRow{3 << 8, "exit code 3"},
                                         EndRow{SIGKILL, "memory limit of 256 MiB"},
                                         EndRow{SIGSEGV, "crashed (signal 11)"},
                                         EndRow{SIGABRT | 0x80, "crashed (signal 6)"},
                                         EndRow{SIGSYS, "system call"},
                                         EndRow{SIGXCPU, "signal 24"}));

TEST(DescribeEndTest, ProcessThatNeverWas) {
  const ProcessEnd end{.how = ProcessEnd::How::kNotMade, .number = 0, .error = "no blank"};
  EXPECT_EQ(DescribeEnd(end, {}), "could not be made: no blank");
}

TEST(WorkerLogTest, MalformedCountOfRefusedCallsIsAViolation) {
  LogCollector sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  EXPECT_FALSE(
      log.TakeRefused({.type = FrameType::kRefused, .flags = 0, .id = 0, .payload = "\x01"}).ok());
  EXPECT_TRUE(sink.events.empty());
}

TEST(WorkerLogTest, OnlyWhatCanBeACallIsNamedByTheNode) {
  LogCollector sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  const auto take = [&log](std::string_view name) {
    std::string payload;
    WireWriter writer(payload);
    writer.Str16(name);
    writer.U32(3);
    return log.TakeRefused({.type = FrameType::kRefused, .flags = 0, .id = 0, .payload = payload})
        .ok();
  };
  const std::string longest(64, 'a');
  for (const std::string& good : {std::string("open"), std::string("FileHandler"), longest})
    EXPECT_TRUE(take(good)) << good;
  EXPECT_EQ(sink.events.size(), 3U);
  for (const std::string& bad :
       {std::string(), longest + "a", std::string("a b"), std::string("a-b"), std::string("a\nb"),
        std::string("a.b"), std::string("\x1b[31m"), std::string("\xc3\xa9")})
    EXPECT_FALSE(take(bad)) << bad;
  EXPECT_EQ(sink.events.size(), 3U);
}

// A log that has no room, and counts what it is spared.
class FullLog : public LogCollector {
 public:
  bool Decline(const LogOutline& outline) override {
    outlines.push_back(outline);
    return full;
  }
  bool full = true;
  std::vector<LogOutline> outlines;
};

TEST(WorkerLogTest, WhatWouldBeLostIsNotMade) {
  FullLog sink;
  FakeClock clock;
  WorkerLog log(sink, clock, SomeRelease());
  const auto say = [&log](std::string_view text, std::uint8_t flags) {
    std::string payload;
    WireWriter writer(payload);
    LogHead{.source = LogSource::kStdout, .level = 0, .logger = "shop"}.Encode(writer);
    writer.Raw(text);
    EXPECT_TRUE(
        log.TakeLog({.type = FrameType::kLog, .flags = flags, .id = 0, .payload = payload}, {})
            .ok());
  };
  // One event in three pieces is one that is lost, even if there is room again before it ends.
  say("abc", kFrameMore);
  EXPECT_TRUE(log.in_event());
  sink.full = false;
  say("def", kFrameMore);
  say("g", 0);
  EXPECT_FALSE(log.in_event());
  EXPECT_TRUE(sink.events.empty());
  ASSERT_EQ(sink.outlines.size(), 1U);
  EXPECT_EQ(sink.outlines[0].app, AppId{3});
  EXPECT_FALSE(sink.outlines[0].by_node);
  EXPECT_EQ(sink.outlines[0].bytes, 3U);
  EXPECT_EQ(sink.outlines[0].names, 4U);
  say("whole", 0);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].bytes, "whole");
}

}  // namespace
}  // namespace cloister
