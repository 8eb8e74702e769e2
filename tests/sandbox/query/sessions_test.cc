#include "sandbox/query/sessions.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "tests/sandbox/query/query_fixture.h"

namespace cloister {
namespace {

using Texts = std::vector<std::string>;

class SessionsTest : public QueryFixture {};

TEST_F(SessionsTest, StatementsRunAndAnswer) {
  EXPECT_EQ(Texts(), Values("CREATE TABLE t (a)"));
  EXPECT_EQ(Texts(), Values("INSERT INTO t VALUES (1), ('x'), (NULL), (1.5)"));
  EXPECT_EQ((Texts{"1", "x", "NULL", "1.500000"}), Values("SELECT a FROM t ORDER BY rowid"));
  EXPECT_EQ(Texts(), Values("-- nothing"));
}

TEST_F(SessionsTest, AChangeBeginsATransactionWhereThatIsWanted) {
  (void)Ask("CREATE TABLE t (a)");
  const auto inserted = Ask("INSERT INTO t VALUES (1)", 1, QueryBegin::kDeferred);
  ASSERT_TRUE(inserted);
  EXPECT_TRUE(inserted->in_transaction);
  EXPECT_EQ(1U, sessions_->transactions());
  EXPECT_EQ("0", Ask("SELECT count(*) FROM t", 2)->values.front());
  EXPECT_EQ("1", Ask("SELECT count(*) FROM t", 1)->values.front());
  EXPECT_FALSE(Ask("COMMIT", 1)->in_transaction);
  EXPECT_EQ(0U, sessions_->transactions());
  EXPECT_EQ("1", Ask("SELECT count(*) FROM t", 2)->values.front());
}

TEST_F(SessionsTest, AStatementThatFindsALockIsNotRunAtAll) {
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("INSERT INTO t VALUES (1)", 1, QueryBegin::kDeferred);
  const std::uint64_t endings = sessions_->endings();
  EXPECT_FALSE(Ask("INSERT INTO t VALUES (2)", 2));
  EXPECT_FALSE(Ask("INSERT INTO t VALUES (2)", 2, QueryBegin::kImmediate));
  EXPECT_FALSE(Ask("BEGIN IMMEDIATE", 2));
  EXPECT_EQ(1U, sessions_->transactions());
  EXPECT_TRUE(Ask("SELECT * FROM t", 2));
  (void)Ask("ROLLBACK", 1);
  EXPECT_NE(endings, sessions_->endings());
  EXPECT_TRUE(Ask("INSERT INTO t VALUES (2)", 2));
  EXPECT_EQ((Texts{"2"}), Values("SELECT a FROM t"));
}

TEST_F(SessionsTest, AReaderThatWantsToWriteAfterAnotherOneIsToldAtOnce) {
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("BEGIN", 1);
  (void)Ask("SELECT * FROM t", 1);
  (void)Ask("INSERT INTO t VALUES (1)", 2);
  const auto answer = Ask("INSERT INTO t VALUES (2)", 1);
  ASSERT_TRUE(answer);
  EXPECT_EQ("database_locked", answer->code);
  EXPECT_TRUE(answer->in_transaction);
}

TEST_F(SessionsTest, AWorkerThatGoesTakesItsTransactionsAlong) {
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("INSERT INTO t VALUES (1)", 1, QueryBegin::kDeferred, 7);
  (void)Ask("BEGIN", 2, QueryBegin::kNone, 8);
  sessions_->Forget(7);
  EXPECT_EQ(1U, sessions_->transactions());
  EXPECT_EQ("0", Value("SELECT count(*) FROM t"));
}

TEST_F(SessionsTest, ATransactionThatIsOpenForTooLongIsUndoneAndItsSessionTold) {
  (void)Ask("CREATE TABLE t (a)");
  quota_.transaction_max = Millis(0);
  sessions_->SetQuota(quota_);
  (void)Ask("INSERT INTO t VALUES (1)", 1, QueryBegin::kDeferred);
  sessions_->Expire(std::chrono::steady_clock::now());
  EXPECT_EQ(0U, sessions_->transactions());
  EXPECT_EQ("transaction_expired", Ask("INSERT INTO t VALUES (2)", 1)->code);
  EXPECT_EQ("0", Value("SELECT count(*) FROM t"));
  EXPECT_EQ(1U, sessions_->TakeUse(std::chrono::steady_clock::now()).refused_transaction_time);
}

TEST_F(SessionsTest, ASessionThatOnlyReadsChangesNothing) {
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("INSERT INTO t VALUES (1)");
  const auto code = [this](std::string_view sql) {
    return Ask(sql, 5, QueryBegin::kNone, 1, kQueryReadOnly)->code;
  };
  for (const char* sql :
       {"INSERT INTO t VALUES (2)", "DELETE FROM t", "UPDATE t SET a = 2 RETURNING a",
        "CREATE TABLE u (a)", "DROP TABLE t", "BEGIN IMMEDIATE", "ANALYZE",
        "WITH n AS (SELECT 2) INSERT INTO t SELECT * FROM n"})
    EXPECT_EQ("sql_read_only", code(sql)) << sql;
  for (const char* sql :
       {"SELECT * FROM t", "BEGIN", "SAVEPOINT s", "EXPLAIN DELETE FROM t", "RELEASE s", "COMMIT",
        "PRAGMA foreign_keys = ON", "PRAGMA table_info(t)"})
    EXPECT_EQ("", code(sql)) << sql;
  EXPECT_EQ("1", Value("SELECT a FROM t"));
}

TEST_F(SessionsTest, AStatementThatNobodyWaitsForIsStopped) {
  (void)Ask("CREATE TABLE t (a)");
  constexpr const char* kEndless =
      "INSERT INTO t WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
      "SELECT x FROM r";
  std::array<int, 2> ends = {-1, -1};
  ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()));
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  quota_.statement_max = Millis(60000);
  sessions_->SetQuota(quota_);
  EXPECT_EQ("", Ask("INSERT INTO t VALUES (1)", 1, QueryBegin::kNone, 1, 0, ours.get())->code);
  theirs.Reset();
  const SteadyTime began = std::chrono::steady_clock::now();
  EXPECT_NE("", Ask(kEndless, 1, QueryBegin::kNone, 1, 0, ours.get())->code);
  EXPECT_LT(std::chrono::steady_clock::now() - began, Millis(30000));
  EXPECT_EQ("1", Value("SELECT count(*) FROM t"));
}

TEST_F(SessionsTest, TransactionsAreBounded) {
  quota_.transactions_max = 2;
  sessions_->SetQuota(quota_);
  EXPECT_EQ("", Ask("BEGIN", 1)->code);
  EXPECT_EQ("", Ask("SAVEPOINT s", 2)->code);
  EXPECT_EQ("query.transactions", Ask("BEGIN", 3)->code);
  EXPECT_EQ("query.transactions", Ask("SAVEPOINT s", 3)->code);
  EXPECT_EQ("", Ask("SELECT 1", 3)->code);
  EXPECT_EQ("", Ask("SAVEPOINT t", 2)->code);
  (void)Ask("ROLLBACK", 1);
  EXPECT_EQ("", Ask("BEGIN", 3)->code);
}

TEST_F(SessionsTest, ResultsAreBoundedToTheByte) {
  quota_.result_max = Bytes{1000};
  sessions_->SetQuota(quota_);
  // A row of one blob: 5 bytes and itself; 4 bytes in front of all.
  EXPECT_EQ("", Code("SELECT zeroblob(991)"));
  EXPECT_EQ("query.result", Code("SELECT zeroblob(992)"));
}

TEST_F(SessionsTest, WhatIsRefusedHalfWayIsGoneAsAWhole) {
  (void)Ask("CREATE TABLE t (a)");
  quota_.result_max = Bytes{1000};
  sessions_->SetQuota(quota_);
  EXPECT_EQ("query.result",
            Code("INSERT INTO t VALUES (zeroblob(600)), (zeroblob(600)) RETURNING a"));
  EXPECT_EQ("0", Value("SELECT count(*) FROM t"));
  const auto in_one =
      Ask("INSERT INTO t VALUES (zeroblob(2000)) RETURNING a", 1, QueryBegin::kDeferred);
  EXPECT_FALSE(in_one->in_transaction);
  EXPECT_EQ("0", Value("SELECT count(*) FROM t"));
}

TEST_F(SessionsTest, StatementsAreMetered) {
  quota_.statements_rate = 3;
  sessions_->SetQuota(quota_);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ("", Code("SELECT 1"));
  EXPECT_EQ("query.statements", Code("SELECT 1"));
  const QueryUse use = sessions_->TakeUse(std::chrono::steady_clock::now());
  EXPECT_EQ(3U, use.served);
  EXPECT_EQ(1U, use.refused_statements);
}

TEST_F(SessionsTest, AStatementIsStoppedInTime) {
  quota_.statement_max = Millis(20);
  sessions_->SetQuota(quota_);
  EXPECT_EQ("query.statement",
            Code("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
                 "SELECT count(*) FROM r"));
  EXPECT_EQ("1", Value("SELECT 1"));
}

TEST_F(SessionsTest, AFullDatabaseTakesNoMore) {
  (void)Ask("CREATE TABLE t (a)");
  quota_.bytes_max = KiB(64);
  sessions_->SetQuota(quota_);
  EXPECT_EQ("query.bytes", Code("INSERT INTO t VALUES (zeroblob(100000))"));
  EXPECT_EQ("", Code("INSERT INTO t VALUES (zeroblob(10000))"));
  EXPECT_LE(sessions_->TakeUse(std::chrono::steady_clock::now()).bytes, KiB(64).count);
}

TEST_F(SessionsTest, AFlippedBitIsFoundWhereverItIs) {
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("INSERT INTO t VALUES (zeroblob(20000))");
  // The last connection writes the log back.
  sessions_.reset();
  for (const off_t place : {off_t{3 * 4096 + 1000}, off_t{2 * 4096 + 4090}}) {
    char byte = 0;
    ASSERT_EQ(1, ::pread(fds_[0].get(), &byte, 1, place));
    const char flipped = static_cast<char>(byte ^ 4);
    ASSERT_EQ(1, ::pwrite(fds_[0].get(), &flipped, 1, place));
    sessions_ = std::make_unique<QuerySessions>("/db", SqlAccess::kReadWrite);
    sessions_->SetQuota(quota_);
    const auto answer = Ask("SELECT hex(a) FROM t");
    EXPECT_EQ("database_damaged", answer->code) << place;
    EXPECT_EQ(QueryErrorClass::kDatabase, answer->kind);
    sessions_.reset();
    ASSERT_EQ(1, ::pwrite(fds_[0].get(), &byte, 1, place));
  }
}

TEST_F(SessionsTest, ADatabaseThatIsOnlyReadIsNotChanged) {
  (void)Ask("CREATE TABLE t (a)");
  sessions_.reset();
  Begin(SqlAccess::kReadOnly);
  EXPECT_EQ("0", Value("SELECT count(*) FROM t"));
  for (const char* sql : {"INSERT INTO t VALUES (1)", "CREATE TABLE u (a)", "DROP TABLE t",
                          "UPDATE t SET a = 1", "ALTER TABLE t ADD b"})
    EXPECT_EQ("sql_refused", Code(sql)) << sql;
}

TEST_F(SessionsTest, SchemasThatRecurseAndLargePatternsAreBounded) {
  std::string deep = "SELECT ";
  for (int i = 0; i < 2000; ++i)
    deep += "(";
  EXPECT_EQ("sql_error", Code(deep + "1" + std::string(2000, ')')));
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("CREATE VIEW v AS SELECT * FROM w");
  (void)Ask("CREATE VIEW w AS SELECT * FROM v");
  EXPECT_EQ("sql_error", Code("SELECT * FROM v"));
  EXPECT_EQ("sql_error", Code("SELECT 'a' LIKE '" + std::string(6000, '%') + "'"));
  EXPECT_EQ("sql_error", Code("SELECT '" + std::string((1 << 20) + 1, 'x') + "'"));
}

TEST_F(SessionsTest, AStatementThatIsKeptFollowsTheSchema) {
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("INSERT INTO t VALUES (1)");
  EXPECT_EQ((Texts{"1"}), Values("SELECT * FROM t"));
  (void)Ask("ALTER TABLE t ADD COLUMN b DEFAULT 2");
  EXPECT_EQ((Texts{"1", "2"}), Values("SELECT * FROM t"));
  EXPECT_EQ((Texts{"3", "4"}), Values("INSERT INTO t VALUES (3, 4) RETURNING *"));
}

TEST_F(SessionsTest, RowsThatComeBackOfAWithAreGoneWhenTheyAreRefused) {
  quota_.result_max = Bytes{1000};
  sessions_->SetQuota(quota_);
  (void)Ask("CREATE TABLE t (a)");
  EXPECT_EQ("query.result",
            Ask("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40) "
                "INSERT INTO t SELECT zeroblob(100) FROM n RETURNING a")
                ->code);
  EXPECT_EQ("0", Value("SELECT count(*) FROM t"));
}

// Two readers that overlap for ever keep the log from being begun anew.
TEST_F(SessionsTest, TheLogIsBounded) {
  quota_.bytes_max = Bytes{std::uint64_t{4} << 20};
  sessions_->SetQuota(quota_);
  (void)Ask("CREATE TABLE t (a)");
  (void)Ask("INSERT INTO t VALUES (randomblob(1000000))");
  (void)Ask("BEGIN", 2);
  EXPECT_EQ("1", Ask("SELECT count(*) FROM t", 2)->values.front());
  std::string refused;
  for (int i = 0; i < 200 && refused.empty(); ++i)
    refused = Ask("UPDATE t SET a = randomblob(1000000)")->code;
  EXPECT_EQ("query.bytes", refused);
  EXPECT_LE(SizeOfFile("/db-wal"), std::uint64_t{68} << 20);
  // It goes on once the reader has ended.
  (void)Ask("COMMIT", 2);
  EXPECT_EQ("", Ask("UPDATE t SET a = randomblob(1000000)")->code);
  EXPECT_EQ("", Ask("UPDATE t SET a = randomblob(1000000)")->code);
}

}  // namespace
}  // namespace cloister
