#include "config/log_query.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

constexpr WallTime kNow{Seconds(1'795'255'503)};  // 2026-11-21T10:05:03Z

TEST(LogQueryTest, SinceIsATimeOrHowLongAgo) {
  EXPECT_EQ(ReadSince("1h", kNow).value(), kNow - Seconds(3600));
  EXPECT_EQ(ReadSince("90s", kNow).value(), kNow - Seconds(90));
  EXPECT_EQ(ReadSince("0s", kNow).value(), kNow);
  EXPECT_EQ(ReadSince("3650d", kNow).value(), kNow - std::chrono::hours(3650 * 24));
  EXPECT_EQ(ReadSince("2026-11-21T10:05:03Z", kNow).value(), kNow);
  EXPECT_EQ(ReadSince("2026-11-21T11:05:03.5+01:00", kNow).value(), kNow + Millis(500));
}

TEST(LogQueryTest, ASinceThatIsNeitherIsRefusedWithBothWays) {
  for (const char* text : {"", "1", "h", "1x", "-1h", "yesterday", "2026-11-21", "3651d"}) {
    const Result<WallTime> since = ReadSince(text, kNow);
    ASSERT_FALSE(since.ok()) << text;
    EXPECT_NE(since.error().message.find("must be"), std::string::npos);
    EXPECT_NE(since.error().message.find("2026-11-21T10:05:03Z"), std::string::npos);
  }
  EXPECT_FALSE(ReadSince("10:05:03", kNow).ok());
}

TEST(LogQueryTest, ALevelIsANameOrANumber) {
  EXPECT_EQ(ReadEventLevel("debug").value(), 10);
  EXPECT_EQ(ReadEventLevel("Info").value(), 20);
  EXPECT_EQ(ReadEventLevel("WARNING").value(), 30);
  EXPECT_EQ(ReadEventLevel("warn").value(), 30);
  EXPECT_EQ(ReadEventLevel("error").value(), 40);
  EXPECT_EQ(ReadEventLevel("critical").value(), 50);
  EXPECT_EQ(ReadEventLevel("0").value(), 0);
  EXPECT_EQ(ReadEventLevel("25").value(), 25);
  EXPECT_EQ(ReadEventLevel("255").value(), 255);
}

TEST(LogQueryTest, AnUnknownLevelIsRefusedWithThoseThatThereAre) {
  for (const char* text : {"", "256", "-1", "loud", "warning ", "30x", "3 0"}) {
    const Result<std::uint8_t> level = ReadEventLevel(text);
    ASSERT_FALSE(level.ok()) << text;
    EXPECT_NE(level.error().message.find("debug, info, warning, error, critical"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace cloister
