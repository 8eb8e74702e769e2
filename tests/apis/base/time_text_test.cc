#include "apis/base/time_text.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

struct TimeRow {
  const char* text;
  std::int64_t micros;
};

TEST(TimeTextTest, ReadsWhatRfc3339Allows) {
  constexpr std::int64_t kSecond = 1'000'000;
  const TimeRow rows[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01T00:00:00.000001Z", 1},
      {"1970-01-01T00:00:00.5Z", 500'000},
      {"1970-01-01T00:00:00.1234567899Z", 123'456},
      {"1970-01-02t00:00:00z", 86400 * kSecond},
      {"1970-01-01 01:00:00+01:00", 0},
      {"2000-02-29T12:30:45-23:59", (951827445 + 86340) * kSecond},
      {"2016-12-31T23:59:60Z", 1483228800 * kSecond},
      {"2026-11-21T10:05:03Z", 1795255503 * kSecond},
      {"9999-12-31T23:59:59Z", 253402300799 * kSecond},
  };
  for (const TimeRow& row : rows) {
    const Result<WallTime> time = ParseTime(row.text);
    ASSERT_TRUE(time.ok()) << row.text << ": " << time.error().message;
    EXPECT_EQ(time.value().time_since_epoch().count(), row.micros) << row.text;
  }
}

TEST(TimeTextTest, RefusesAllElse) {
  for (const char* text : {"",
                           "1",
                           "2026-11-21",
                           "2026-11-21T10:05",
                           "2026-11-21T10:05:03",
                           "2026-11-21T10:05:03ZZ",
                           "2026-11-21T10:05:03.Z",
                           "2026-11-21T10:05:03+1:00",
                           "2026-11-21T10:05:03+24:00",
                           "2026-11-21T10:05:03+01:60",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-02-29T00:00:00Z",
                           "2026-04-31T00:00:00Z",
                           "2026-11-21T24:00:00Z",
                           "2026-11-21T10:60:00Z",
                           "2026-11-21T10:05:61Z",
                           "2026-11-21_10:05:03Z",
                           "26-11-21T10:05:03Z",
                           "+026-11-21T10:05:03Z",
                           " 2026-11-21T10:05:03Z",
                           "10000-01-01T00:00:00Z",
                           "1969-12-31T23:59:59Z",
                           "2026-11-21T10:05:03Z\n"}) {
    const Result<WallTime> time = ParseTime(text);
    ASSERT_FALSE(time.ok()) << text;
    EXPECT_NE(time.error().message.find("RFC 3339, such as 2026-11-21T10:05:03Z"),
              std::string::npos);
  }
}

TEST(TimeTextTest, WhatIsWrittenReadsBack) {
  for (const std::int64_t micros : {0L, 1L, 999'999L, 1'795'255'503'123'456L}) {
    const WallTime time{Micros(micros)};
    EXPECT_EQ(ParseTime(TimeText(time)).value(), time);
  }
  EXPECT_EQ(TimeText(WallTime(Micros(1'795'255'503'123'456))), "2026-11-21T10:05:03.123456Z");
}

}  // namespace
}  // namespace cloister
