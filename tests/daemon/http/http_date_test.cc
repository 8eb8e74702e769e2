#include "daemon/http/http_date.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(HttpDateTest, IsWrittenInOneForm) {
  EXPECT_EQ(HttpDate(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(HttpDate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(HttpDate(-5), HttpDate(0));
  EXPECT_EQ(HttpDate(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(HttpDate(INT64_MAX), HttpDate(253402300799));
}

TEST(HttpDateTest, AllThreeFormsAreRead) {
  for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994"})
    EXPECT_EQ(ParseHttpDate(text), 784111777) << text;
  for (const std::int64_t seconds : {0L, 951782400L, 1700000000L, 4102444800L})
    EXPECT_EQ(ParseHttpDate(HttpDate(seconds)), seconds);
  EXPECT_EQ(ParseHttpDate("Saturday, 01-Jan-00 00:00:00 GMT"), 946684800);
}

TEST(HttpDateTest, NothingElseIsADate) {
  for (const char* text :
       {"", ",", "Sun", "0", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 30 Feb 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun Nov 6 08:49:37 1994", "Sun, 06 Nov"})
    EXPECT_FALSE(ParseHttpDate(text).has_value()) << text;
}

}  // namespace
}  // namespace cloister
