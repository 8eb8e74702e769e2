#include "daemon/cli/row_counts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

using Lines = std::vector<std::string>;

TEST(RowCountsTest, TablesThatDifferAreALineEach) {
  const RowCounts now = {{"later", 3}, {"notes", 1234567}, {"same", 5}, {"users", 999}};
  const RowCounts then = {{"dropped", 0}, {"notes", 1000}, {"same", 5}, {"users", std::nullopt}};
  EXPECT_EQ(
      CompareRows(now, then),
      (Lines{"TABLE        ROWS NOW  IN THE SNAPSHOT", "dropped             -                0",
             "later               3                -", "notes       1,234,567            1,000",
             "users             999                ?", "1 table has as many rows in both"}));
}

TEST(RowCountsTest, WhatIsNotKnownIsNotAlike) {
  EXPECT_EQ(
      CompareRows({{"t", std::nullopt}}, {{"t", std::nullopt}}),
      (Lines{"TABLE      ROWS NOW  IN THE SNAPSHOT", "t                 ?                ?"}));
}

TEST(RowCountsTest, NothingDiffers) {
  EXPECT_EQ(CompareRows({{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 2}}),
            (Lines{"2 tables have as many rows in both"}));
  EXPECT_EQ(CompareRows({}, {}), Lines{});
}

TEST(RowCountsTest, ManyTablesAreSummedUpAndNamesSteerNoTerminal) {
  RowCounts now = {{"\x1b[2J\nnotes 0 0", 1}, {std::string(1 << 20, 'a'), 1}};
  for (int i = 0; i < 28; ++i)
    now["t" + std::to_string(i)] = 1;
  const Lines lines = CompareRows(now, {});
  ASSERT_EQ(lines.size(), 22U);
  EXPECT_TRUE(lines[1].starts_with("\\x1b[2J\\nnotes 0 0 ")) << lines[1];
  for (const std::string& line : lines)
    EXPECT_LT(line.size(), 200U);
  EXPECT_EQ(lines.back(), "and 10 more");
}

}  // namespace
}  // namespace cloister
