#include "daemon/http/stamp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace cloister {
namespace {

constexpr WallTime At(std::int64_t millis) {
  return WallTime(Millis(millis));
}

std::string Make(RequestIds& ids, WallTime time) {
  RequestIdText text = {};
  ids.Make(time, text);
  return {text.data(), text.size()};
}

TEST(RequestIdsTest, AreUniqueAndSortedByTime) {
  RequestIds ids;
  std::set<std::string> seen;
  std::string last;
  for (std::int64_t i = 0; i < 10000; ++i) {
    const std::string id = Make(ids, At(1'800'000'000'000 + i / 100));
    EXPECT_THAT(id, testing::MatchesRegex("[0-9A-HJKMNP-TV-Z]+"));
    EXPECT_EQ(kRequestIdSize, id.size());
    EXPECT_LT(last, id);
    last = id;
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(RequestIdsTest, BeginWithTheTime) {
  RequestIds ids;
  // The example of the ULID specification.
  EXPECT_EQ("01ARYZ6S41", Make(ids, At(1469918176385)).substr(0, 10));
}

TEST(RequestIdsTest, AClockThatGoesBackDoesNotRepeatAnId) {
  RequestIds ids;
  const std::string first = Make(ids, At(2000));
  EXPECT_LT(first, Make(ids, At(1000)));
  EXPECT_LT(first, Make(ids, At(2000)));
}

TEST(RequestIdsTest, TwoNodesDiffer) {
  RequestIds one;
  RequestIds other;
  EXPECT_NE(Make(one, At(1)), Make(other, At(1)));
}

TEST(DateHeaderTest, IsAnHttpDate) {
  DateHeader date;
  EXPECT_EQ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", date.At(At(784111777000)));
  EXPECT_EQ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", date.At(At(784111777999)));
  EXPECT_EQ("Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", date.At(At(784111778000)));
}

}  // namespace
}  // namespace cloister
