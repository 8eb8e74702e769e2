#include "sandbox/query/postgresql/sql_rules.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

using Words = std::vector<std::string>;

SqlRuling RulingOf(std::string_view sql) {
  return PgRulingOf(PgWords(sql, 4));
}

TEST(PgWordsTest, CommentsNestAndStandAnywhere) {
  EXPECT_EQ((Words{"COPY", "T"}), PgWords("/* a /* b */ SELECT */ copy -- x\n t", 2));
  EXPECT_EQ((Words{"SELECT", "1"}), PgWords(";; select/**/1", 4));
  EXPECT_EQ((Words{"SELECT"}), PgWords("(SELECT 1) UNION (SELECT 2)", 4));
  EXPECT_EQ(Words{}, PgWords("-- nothing", 4));
  EXPECT_EQ(Words{}, PgWords("/* open /* */", 4));
  EXPECT_EQ((Words{"ROLLBACK", "TO", "A"}), PgWords("rollback to a", 4));
}

TEST(PgRulesTest, TheRuleWithTheMostWordsDecides) {
  EXPECT_EQ(nullptr, RulingOf("SET LOCAL work_mem = '1MB'").refusal);
  EXPECT_NE(nullptr, RulingOf("SET LOCAL ROLE postgres").refusal);
  EXPECT_NE(nullptr, RulingOf("SET work_mem = '1MB'").refusal);
  EXPECT_EQ(nullptr, RulingOf("SET TRANSACTION READ ONLY").refusal);
  EXPECT_EQ(nullptr, RulingOf("COMMIT").refusal);
  EXPECT_NE(nullptr, RulingOf("COMMIT PREPARED 'x'").refusal);
  EXPECT_EQ(nullptr, RulingOf("CREATE OR REPLACE VIEW v AS SELECT 1").refusal);
  EXPECT_NE(nullptr, RulingOf("CREATE OR REPLACE TEMP VIEW v AS SELECT 1").refusal);
}

TEST(PgRulesTest, WhatHasNoRuleIsRefused) {
  EXPECT_NE(nullptr, RulingOf("NONSENSE").refusal);
  EXPECT_NE(nullptr, RulingOf("CREATE CAST (a AS b) WITHOUT FUNCTION").refusal);
  EXPECT_EQ(nullptr, RulingOf("").refusal);
}

TEST(PgRulesTest, EffectsAreTold) {
  EXPECT_EQ(SqlEffect::kReads, RulingOf("SELECT 1").effect);
  EXPECT_EQ(SqlEffect::kGrows, RulingOf("INSERT INTO t VALUES (1)").effect);
  EXPECT_EQ(SqlEffect::kChanges, RulingOf("TRUNCATE t").effect);
  EXPECT_EQ(SqlEffect::kTransaction, RulingOf("SAVEPOINT a").effect);
}

TEST(PgRulesTest, WhatChangesOrLocksRowsBeginsATransaction) {
  const auto begins = [](std::string_view sql) {
    return PgBeginsTransaction(PgWords(sql, 4), sql);
  };
  for (const char* sql : {"insert into t values (1)", "WITH a AS (SELECT 1) SELECT * FROM a",
                          "select * from t for update", "SELECT 1 FROM t FOR NO KEY UPDATE",
                          "SELECT 1 FROM t for share"})
    EXPECT_TRUE(begins(sql)) << sql;
  for (const char* sql : {"SELECT 1", "CREATE TABLE t (a int)", "", "EXPLAIN SELECT 1"})
    EXPECT_FALSE(begins(sql)) << sql;
}

}  // namespace
}  // namespace cloister
