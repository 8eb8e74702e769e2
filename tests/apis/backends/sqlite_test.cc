#include "apis/backends/sqlite.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

class SqliteTest : public testing::Test {
 protected:
  static Database Open(const std::string& path, const Database::Options& options = {}) {
    Result<Database> db = Database::Open(path, options);
    EXPECT_TRUE(db.ok()) << db.error().message;
    return std::move(db).value();
  }

  std::string path() const { return dir_.At("test.db"); }

  TempDir dir_;
};

std::string One(Database& db, const std::string& sql) {
  Result<Statement> row = db.Prepare(sql);
  if (!row.ok() || !row.value().Step().value())
    return "<none>";
  return std::string(row.value().Text(0));
}

TEST_F(SqliteTest, CommittedMeansOnDisk) {
  Database db = Open(path());
  EXPECT_EQ(One(db, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(One(db, "PRAGMA synchronous"), "2");  // FULL
  EXPECT_EQ(One(db, "PRAGMA foreign_keys"), "1");
}

TEST_F(SqliteTest, TheFileIsItsOwnersAlone) {
  const Database db = Open(path());
  struct stat status = {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(SqliteTest, ValuesComeBackAsTheyWere) {
  Database db = Open(path());
  ASSERT_TRUE(db.Execute("CREATE TABLE t (i INTEGER, s TEXT, b BLOB, n INTEGER) STRICT").ok());
  const std::string bytes("\0\xff\x01", 3);
  ASSERT_TRUE(db.Run("INSERT INTO t VALUES (?, ?, ?, ?)", ~std::uint64_t{0}, "gr\xc3\xbc\xc3\x9f",
                     Blob{bytes}, std::nullopt)
                  .ok());
  ASSERT_TRUE(db.Run("INSERT INTO t VALUES (?, ?, ?, ?)", -1, std::string(), Blob{{}},
                     std::optional<int>(7))
                  .ok());
  Result<Statement> rows = db.Query("SELECT i, s, b, n FROM t");
  ASSERT_TRUE(rows.ok());
  ASSERT_TRUE(rows.value().Step().value());
  EXPECT_EQ(rows.value().UInt(0), ~std::uint64_t{0});
  EXPECT_EQ(rows.value().Text(1), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(rows.value().BlobBytes(2), bytes);
  EXPECT_TRUE(rows.value().IsNull(3));
  ASSERT_TRUE(rows.value().Step().value());
  EXPECT_EQ(rows.value().Int(0), -1);
  EXPECT_FALSE(rows.value().IsNull(1));
  EXPECT_EQ(rows.value().Text(1), "");
  EXPECT_FALSE(rows.value().IsNull(2));
  EXPECT_EQ(rows.value().Int(3), 7);
  EXPECT_FALSE(rows.value().Step().value());
}

TEST_F(SqliteTest, OneTextMayRunTwiceAtOnce) {
  Database db = Open(path());
  ASSERT_TRUE(db.Execute("CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (1), (2)").ok());
  int pairs = 0;
  Statement outer = std::move(db.Query("SELECT i FROM t")).value();
  while (outer.Step().value()) {
    Statement inner = std::move(db.Query("SELECT i FROM t")).value();
    while (inner.Step().value())
      ++pairs;
  }
  EXPECT_EQ(pairs, 4);
}

TEST_F(SqliteTest, WhatIsNotCommittedIsRolledBack) {
  Database db = Open(path());
  ASSERT_TRUE(db.Execute("CREATE TABLE t (i INTEGER)").ok());
  {
    const Transaction transaction = std::move(Transaction::Begin(db)).value();
    ASSERT_TRUE(db.Run("INSERT INTO t VALUES (1)").ok());
  }
  EXPECT_EQ(One(db, "SELECT count(*) FROM t"), "0");
  Transaction transaction = std::move(Transaction::Begin(db)).value();
  ASSERT_TRUE(db.Run("INSERT INTO t VALUES (1)").ok());
  ASSERT_TRUE(transaction.Commit().ok());
  EXPECT_EQ(One(db, "SELECT count(*) FROM t"), "1");
}

TEST_F(SqliteTest, AReadingTransactionSeesOneMoment) {
  Database writer = Open(path());
  ASSERT_TRUE(writer.Execute("CREATE TABLE t (i INTEGER)").ok());
  Database reader = Open(path(), {.access = Database::Access::kReadOnly});
  {
    const Transaction moment = std::move(Transaction::BeginRead(reader)).value();
    EXPECT_EQ(One(reader, "SELECT count(*) FROM t"), "0");
    ASSERT_TRUE(writer.Run("INSERT INTO t VALUES (1)").ok());
    EXPECT_EQ(One(reader, "SELECT count(*) FROM t"), "0");
  }
  EXPECT_EQ(One(reader, "SELECT count(*) FROM t"), "1");
}

TEST_F(SqliteTest, BrokenConstraintsHaveTheirCodes) {
  Database db = Open(path());
  ASSERT_TRUE(db.Execute("CREATE TABLE t (i INTEGER PRIMARY KEY, u TEXT UNIQUE, c CHECK (c > 0),"
                         "  f INTEGER REFERENCES t (i));"
                         "INSERT INTO t VALUES (1, 'a', 1, NULL)")
                  .ok());
  const auto code = [&](const char* sql) { return db.Run(sql).error().code; };
  EXPECT_EQ(code("INSERT INTO t VALUES (1, 'b', 1, NULL)"), ErrorCode::kAlreadyExists);
  EXPECT_EQ(code("INSERT INTO t VALUES (2, 'a', 1, NULL)"), ErrorCode::kAlreadyExists);
  EXPECT_EQ(code("INSERT INTO t VALUES (2, 'b', 0, NULL)"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("INSERT INTO t VALUES (2, 'b', 1, 9)"), ErrorCode::kInvalidArgument);
}

TEST_F(SqliteTest, AFullDatabaseSaysSoAndGoesOn) {
  Database db = Open(path(), {.pages_max = 20});
  ASSERT_TRUE(db.Execute("CREATE TABLE t (b BLOB); CREATE TABLE small (i INTEGER)").ok());
  const std::string large(200'000, 'x');
  {
    const Transaction transaction = std::move(Transaction::Begin(db)).value();
    ASSERT_TRUE(db.Run("INSERT INTO small VALUES (1)").ok());
    const Result<void> inserted = db.Run("INSERT INTO t VALUES (?)", Blob{large});
    ASSERT_FALSE(inserted.ok());
    EXPECT_EQ(inserted.error().code, ErrorCode::kStorageFull);
    EXPECT_NE(inserted.error().message.find("full"), std::string::npos);
  }
  EXPECT_EQ(One(db, "SELECT count(*) FROM small"), "0");
  EXPECT_TRUE(db.Run("INSERT INTO small VALUES (2)").ok());
}

// In a process of its own: the limit cannot be raised again.
int WriteUnderFileLimit(const std::string& path) {
  Database db = std::move(Database::Open(path, {})).value();
  if (!db.Execute("CREATE TABLE t (b BLOB)").ok())
    return 1;
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {.rlim_cur = 300'000, .rlim_max = 300'000};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0)
    return 2;
  const std::string large(1'000'000, 'x');
  const Result<void> inserted = db.Run("INSERT INTO t VALUES (?)", Blob{large});
  if (inserted.ok())
    return 3;
  if (inserted.error().code != ErrorCode::kStorageFull)
    return 4;
  return db.Run("INSERT INTO t VALUES ('small')").ok() ? 0 : 5;
}

TEST_F(SqliteTest, AFileThatMayNotGrowIsAFullDisk) {
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(WriteUnderFileLimit(path()));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SqliteTest, AnotherWritersLockIsWaitedForAndThenReported) {
  Database one = Open(path());
  ASSERT_TRUE(one.Execute("CREATE TABLE t (i INTEGER)").ok());
  Database other = Open(path(), {.busy_timeout = Millis(1)});
  const Transaction transaction = std::move(Transaction::Begin(one)).value();
  const Result<Transaction> second = Transaction::Begin(other);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

TEST_F(SqliteTest, AReaderSeesWhatWasCommittedAndWritesNothing) {
  Database writer = Open(path());
  ASSERT_TRUE(writer.Execute("CREATE TABLE t (i INTEGER)").ok());
  Database reader = Open(path(), {.access = Database::Access::kReadOnly});
  ASSERT_TRUE(writer.Run("INSERT INTO t VALUES (1)").ok());
  EXPECT_EQ(One(reader, "SELECT count(*) FROM t"), "1");
  EXPECT_EQ(reader.Run("INSERT INTO t VALUES (1)").error().code, ErrorCode::kPermissionDenied);
}

TEST_F(SqliteTest, AnotherFileIsNoDatabase) {
  std::ofstream(path()) << "this is a text, and long enough for the header of a database: "
                        << path() << std::string(200, '.');
  const Result<Database> db = Database::Open(path(), {});
  ASSERT_FALSE(db.ok());
  EXPECT_NE(db.error().message.find("not a database"), std::string::npos);
}

TEST_F(SqliteTest, ALinkIsNotFollowed) {
  {
    const Database db = Open(path());
  }
  ASSERT_EQ(::symlink(path().c_str(), (dir_.At("link.db")).c_str()), 0);
  EXPECT_FALSE(Database::Open(dir_.At("link.db"), {}).ok());
}

}  // namespace
}  // namespace cloister
