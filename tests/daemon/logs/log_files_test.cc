#include "daemon/logs/log_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

// Of now: the age of a log is the age of its files.
WallTime Now() {
  return std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now());
}

class LogFilesTest : public testing::Test {
 protected:
  void Write(AppId app) {
    std::vector<LogEvent> events(1);
    events.front().time = Now();
    events.front().bytes = "text";
    std::size_t written = 0;
    ASSERT_TRUE(files_.Open(app).value()->Append(events, Now(), written).ok());
  }
  std::size_t EventsOf(AppId app) {
    return files_.Find(app)
        .value()
        ->Read({.after = 0, .limit = 100, .bytes_max = kLogEventMax})
        .value()
        .events.size();
  }

  TempDir dir_;
  LogRetention retention_;
  LogFiles files_{dir_.path(), retention_, 2};
};

TEST_F(LogFilesTest, TheLeastRecentlyUsedIsClosed) {
  for (std::uint64_t app = 1; app <= 3; ++app)
    Write({app});
  EXPECT_EQ(files_.open(), 2U);
  EXPECT_EQ(EventsOf({1}), 1U);
}

TEST_F(LogFilesTest, WhatHasNoLogIsNotMadeByLookingForIt) {
  EXPECT_EQ(files_.Find({7}).value(), nullptr);
  EXPECT_EQ(files_.open(), 0U);
  EXPECT_TRUE(files_.Apps().empty());
}

TEST_F(LogFilesTest, ListsTheAppsOfItsDirectory) {
  Write({1});
  Write({23});
  std::filesystem::create_directory(dir_.At("apps/nobody"));
  std::vector<AppId> apps = files_.Apps();
  std::ranges::sort(apps);
  EXPECT_EQ(apps, (std::vector<AppId>{{1}, {23}}));
}

TEST_F(LogFilesTest, ExpiryOpensOnlyWhatHoldsSomethingOld) {
  Write({1});
  LogFiles later(dir_.path(), retention_, 2);
  ASSERT_TRUE(later.Expire({1}, Now()).ok());
  ASSERT_TRUE(later.Expire({2}, Now()).ok()) << "an app without a log";
  EXPECT_EQ(later.open(), 0U);
  ASSERT_TRUE(later.Expire({1}, Now() + retention_.kept_age + Seconds(60)).ok());
  EXPECT_EQ(later.open(), 1U);
  EXPECT_EQ(EventsOf({1}), 0U);
}

TEST_F(LogFilesTest, ExpiryOpensWhatIsLargerThanItMayBeNow) {
  Write({1});
  LogFiles later(dir_.path(), {.kept_bytes = KiB(64)}, 2);
  ASSERT_TRUE(later.Expire({1}, Now()).ok());
  EXPECT_EQ(later.open(), 1U);
}

}  // namespace
}  // namespace cloister
