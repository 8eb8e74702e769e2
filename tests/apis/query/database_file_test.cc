#include "apis/query/database_file.h"

#include <gtest/gtest.h>

#include <string>

#include "apis/backends/sqlite.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

TEST(DatabaseFileTest, ANewOneIsADatabaseOfSqliteInWalMode) {
  const TempDir directory;
  directory.Write("query.db", NewDatabaseFile());
  auto db = Database::Open(directory.At("query.db"), {});
  ASSERT_TRUE(db.ok()) << db.error().message;
  auto mode = db.value().Query("PRAGMA journal_mode");
  ASSERT_TRUE(mode.ok() && mode.value().Step().ok());
  EXPECT_EQ("wal", mode.value().Text(0));
  ASSERT_TRUE(db.value().Execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)").ok());
  auto check = db.value().Query("PRAGMA integrity_check");
  ASSERT_TRUE(check.ok() && check.value().Step().ok());
  EXPECT_EQ("ok", check.value().Text(0));
}

TEST(DatabaseFileTest, EachBitOfAPageChangesItsSum) {
  std::string page(kDatabasePage, '\0');
  EXPECT_EQ(0U, PageSum(page));
  for (std::size_t i = 0; i < page.size(); ++i)
    page[i] = static_cast<char>(i * 7 + i / 256);
  const std::uint64_t sum = PageSum(page);
  for (std::size_t i = 0; i < kDatabasePage - kPageSumSize; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      page[i] = static_cast<char>(page[i] ^ (1 << bit));
      EXPECT_NE(sum, PageSum(page)) << i;
      page[i] = static_cast<char>(page[i] ^ (1 << bit));
    }
}

}  // namespace
}  // namespace cloister
