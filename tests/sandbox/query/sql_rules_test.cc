#include "sandbox/query/sql_rules.h"

#include <gtest/gtest.h>

#include "tests/sandbox/query/query_fixture.h"

namespace cloister {
namespace {

class SqlRulesTest : public QueryFixture {};

TEST_F(SqlRulesTest, WhatIsRefusedIsRefusedWithAReason) {
  const std::pair<const char*, const char*> refused[] = {
      {"ATTACH 'x' AS x", "an app has one database"},
      {"ATTACH '' AS x", "an app has one database"},
      {"ATTACH ':memory:' AS x", "an app has one database"},
      {"ATTACH '/db' AS x", "an app has one database"},
      {"DETACH main", "an app has one database"},
      {"VACUUM", "an app has one database"},
      {"VACUUM INTO 'x'", "an app has one database"},
      {"CREATE TEMP TABLE x (a)", "temporary"},
      {"CREATE TEMPORARY TABLE x AS SELECT 1", "temporary"},
      {"CREATE TABLE temp.x (a)", "temporary"},
      {"CREATE TEMP VIEW x AS SELECT 1", "temporary"},
      {"CREATE VIRTUAL TABLE x USING fts5(a)", "virtual tables"},
      {"CREATE VIRTUAL TABLE x USING rtree(a, b, c)", "virtual tables"},
      {"CREATE VIRTUAL TABLE x USING dbstat", "virtual tables"},
      {"SELECT load_extension('x')", "native code"},
      {"SELECT load_extension('x', 'y')", "native code"},
      {"SELECT fts3_tokenizer('simple')", "native code"},
      {"SELECT sqlite_compileoption_get(0)", "about the node"},
      {"PRAGMA writable_schema=ON", "not one of those"},
      {"PRAGMA journal_mode=DELETE", "can be asked for"},
      {"PRAGMA main.journal_mode=MEMORY", "can be asked for"},
      {"PRAGMA synchronous=OFF", "not one of those"},
      {"PRAGMA locking_mode=EXCLUSIVE", "not one of those"},
      {"PRAGMA cache_size=1000000", "not one of those"},
      {"PRAGMA mmap_size=1000000", "not one of those"},
      {"PRAGMA temp_store=FILE", "not one of those"},
      {"PRAGMA temp_store_directory='/'", "not one of those"},
      {"PRAGMA data_store_directory='/'", "not one of those"},
      {"PRAGMA hard_heap_limit=0", "not one of those"},
      {"PRAGMA soft_heap_limit=0", "not one of those"},
      {"PRAGMA max_page_count=1000000", "not one of those"},
      {"PRAGMA wal_checkpoint", "not one of those"},
      {"PRAGMA wal_autocheckpoint=0", "not one of those"},
      {"PRAGMA trusted_schema=ON", "not one of those"},
      {"PRAGMA cell_size_check=OFF", "not one of those"},
      {"PRAGMA query_only=ON", "not one of those"},
      {"PRAGMA incremental_vacuum", "not one of those"},
      {"PRAGMA page_size=512", "can be asked for"},
      {"PRAGMA user_version=5", "can be asked for"},
      {"SELECT * FROM pragma_compile_options", "not one of those"},
  };
  for (const auto& [sql, reason] : refused) {
    const auto answer = Ask(sql);
    ASSERT_TRUE(answer) << sql;
    EXPECT_EQ("sql_refused", answer->code) << sql << ": " << answer->message;
    EXPECT_EQ(QueryErrorClass::kNotSupported, answer->kind) << sql;
    EXPECT_NE(std::string::npos, answer->message.find(reason)) << sql << ": " << answer->message;
  }
  EXPECT_EQ("0", Value("SELECT count(*) FROM sqlite_schema"));
}

TEST_F(SqlRulesTest, TheSchemaIsChangedByItsStatementsOnly) {
  (void)Ask("CREATE TABLE t (a)");
  for (const char* sql :
       {"INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 2, 'CREATE TABLE x (a)')",
        "UPDATE sqlite_schema SET sql = 'x'", "DELETE FROM sqlite_schema"}) {
    const auto answer = Ask(sql);
    EXPECT_EQ(QueryStatus::kFailed, answer->status) << sql;
  }
  EXPECT_EQ("CREATE TABLE t (a)", Value("SELECT sql FROM sqlite_schema"));
}

TEST_F(SqlRulesTest, WhatAppsNeedIsAllowed) {
  const char* const allowed[] = {
      "CREATE TABLE p (id INTEGER PRIMARY KEY)",
      "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT UNIQUE, p REFERENCES p (id))",
      "CREATE INDEX i ON t (b) WHERE b > ''",
      "CREATE VIEW v AS SELECT b FROM t",
      "CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET b = b || '!'; END",
      "INSERT INTO t (b) VALUES ('x') ON CONFLICT (b) DO UPDATE SET b = excluded.b RETURNING a",
      "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 5) SELECT x FROM r",
      "SELECT json_extract('{\"a\": 1}', '$.a'), value FROM json_each('[1, 2]')",
      "SELECT row_number() OVER (ORDER BY b) FROM v",
      "ALTER TABLE t ADD COLUMN c",
      "ALTER TABLE t RENAME COLUMN c TO d",
      "ALTER TABLE t DROP COLUMN d",
      "ALTER TABLE t RENAME TO u",
      "ANALYZE",
      "REINDEX",
      "SAVEPOINT s",
      "ROLLBACK TO s",
      "RELEASE s",
      "PRAGMA foreign_keys",
      "PRAGMA foreign_keys=ON",
      "PRAGMA foreign_key_check",
      "PRAGMA foreign_key_list(u)",
      "PRAGMA table_info(u)",
      "PRAGMA main.table_xinfo('u')",
      "PRAGMA index_list(u)",
      "PRAGMA index_info(i)",
      "PRAGMA read_uncommitted",
      "PRAGMA legacy_alter_table=ON",
      "PRAGMA database_list",
      "PRAGMA integrity_check",
      "SELECT * FROM pragma_table_info('u')",
      "DROP VIEW v",
      "DROP TRIGGER tr",
      "DROP INDEX i",
      "DROP TABLE u",
  };
  for (const char* sql : allowed) {
    const auto answer = Ask(sql);
    ASSERT_TRUE(answer) << sql;
    EXPECT_EQ(QueryStatus::kDone, answer->status) << sql << ": " << answer->message;
  }
}

TEST(SqlWordsTest, TheFirstWordStandsBehindSpacesAndComments) {
  const std::pair<const char*, const char*> words[] = {
      {"select 1", "SELECT"},
      {"  \n\tInsert into", "INSERT"},
      {"-- a\nDELETE", "DELETE"},
      {"/* a */ /* b */update", "UPDATE"},
      {";; REPLACE", "REPLACE"},
      {"", ""},
      {"-- a", ""},
      {"/* a", ""},
      {"1", ""},
      {"commit;", "COMMIT"},
  };
  for (const auto& [sql, word] : words)
    EXPECT_EQ(word, FirstWord(sql)) << sql;
  EXPECT_TRUE(IsBlank(" ; -- x\n /* y */ ;"));
  EXPECT_FALSE(IsBlank(" ; x"));
}

}  // namespace
}  // namespace cloister
