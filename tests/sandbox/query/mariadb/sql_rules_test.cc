#include "sandbox/query/mariadb/sql_rules.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

SqlRuling RulingOf(std::string_view sql) {
  return MyRulingOf(MyWords(sql), sql);
}

void ExpectAllowed(std::string_view sql) {
  EXPECT_EQ(nullptr, RulingOf(sql).refusal) << sql << ": " << RulingOf(sql).refusal;
}

void ExpectRefused(std::string_view sql) {
  EXPECT_NE(nullptr, RulingOf(sql).refusal) << sql;
}

TEST(MyRulesTest, TheRuleWithTheMostWordsDecides) {
  for (const char* sql : {"COMMIT", "COMMIT WORK", "START TRANSACTION READ ONLY",
                          "CREATE OR REPLACE VIEW v AS SELECT 1", "SHOW CREATE TABLE t",
                          "(SELECT 1) UNION (SELECT 2)", "ANALYZE TABLE t", ""})
    ExpectAllowed(sql);
  for (const char* sql : {"COMMIT RELEASE", "COMMIT AND CHAIN", "START SLAVE", "SHOW PROCESSLIST",
                          "CREATE OR REPLACE PROCEDURE p() SELECT 1", "ANALYZE SELECT 1",
                          "NONSENSE", "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'DROP TABLE t'; END"})
    ExpectRefused(sql);
}

TEST(MyRulesTest, WhatIsHiddenIsFound) {
  for (const char* sql : {"/*! GRANT ALL ON *.* TO x */",
                          "SELECT 1 /*M!100100 INTO OUTFILE '/x' */",
                          "SELECT 1 INTO /* x */ OUTFILE '/x'",
                          "SELECT a INTO DUMPFILE '/x' FROM t",
                          "SELECT `get_lock`('a', 1)",
                          "SELECT \"load_file\" ('/x')",
                          "SELECT SLEEP(1)",
                          "CREATE VIEW v AS SELECT IS_USED_LOCK('a')",
                          "SELECT @a := 1",
                          "SELECT @@datadir",
                          "SELECT @@global.`hostname`",
                          "SELECT * FROM information_schema.processlist",
                          "SELECT * FROM `information_schema` . `GLOBAL_STATUS`",
                          "CREATE TABLE t (a int) ENGINE=MyISAM",
                          "CREATE TABLE t (a int) engine 'aria'",
                          "ALTER TABLE t ENGINE `CONNECT`",
                          "CREATE TABLE t (a int) DATA DIRECTORY='/x'",
                          "ALTER TABLE t IMPORT TABLESPACE",
                          "CREATE TABLE t LIKE information_schema.tables",
                          "CREATE TABLE t (LIKE `information_schema`.tables)",
                          "SELECT * FROM performance_schema.session_status",
                          "SELECT * FROM `performance_schema` . global_status"})
    ExpectRefused(sql);
  for (const char* sql :
       {"SELECT '/*! x */', 'INTO OUTFILE'", "SELECT get_lock FROM t", "SELECT 'a@b', @@sql_mode",
        "SELECT * FROM information_schema.tables", "CREATE TABLE t (engine varchar(10))",
        "CREATE TABLE t (a int) ENGINE=InnoDB", "ALTER TABLE t ADD COLUMN engine int",
        "UPDATE t SET engine = 'MyISAM'"})
    ExpectAllowed(sql);
}

TEST(MyRulesTest, ATriggerSetsWhatIsItsOwn) {
  for (const char* sql :
       {"CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.a + 1, NEW.b = f(1, 2)",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE x, y INT; SET x = 1, y = "
        "2; "
        "IF x = 1 THEN SET NEW.a = x; END IF; UPDATE u SET b = 1; END",
        "CREATE OR REPLACE TRIGGER a AFTER INSERT ON t FOR EACH ROW INSERT INTO u VALUES (NEW.a)",
        "CREATE TRIGGER a AFTER UPDATE ON t FOR EACH ROW FOLLOWS b one: BEGIN "
        "DECLARE x VARCHAR(9) CHARACTER SET utf8mb4; DECLARE y SET('a'); DECLARE z INT; "
        "DECLARE bad CONDITION FOR SQLSTATE '45000'; DECLARE c CURSOR FOR SELECT a FROM u; "
        "DECLARE EXIT HANDLER FOR bad SET z = 1; DECLARE EXIT HANDLER FOR SQLWARNING "
        "UPDATE u SET b = 2; IF z THEN INSERT u SET b = CAST(x AS CHAR CHARACTER SET latin1); "
        "ELSE REPLACE u SET b = 1; END IF; SET x = REPLACE(x, 'a', 'b'); END"})
    ExpectAllowed(sql);
  for (const char* sql :
       {"CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET max_statement_time = 0",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1, sort_buffer_size = 1",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET SESSION sort_buffer_size = 1",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE x INT; IF x THEN SET "
        "sql_mode = ''; END IF; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET @x = 1",
        "CREATE TRIGGER a BEFORE UPDATE ON t FOR EACH ROW FOLLOWS b SET sql_mode = ''",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE CONTINUE HANDLER FOR "
        "SQLSTATE '45000' SET SESSION sort_buffer_size = 1; SIGNAL SQLSTATE '45000'; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE EXIT HANDLER FOR "
        "NOT FOUND, SQLEXCEPTION SET sort_buffer_size = 1; UPDATE u SET a = 1; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN BEGIN DECLARE sql_select_limit "
        "INT; END; SET sql_select_limit = 1; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE sql_select_limit CURSOR "
        "FOR SELECT 1; SET sql_select_limit = 1; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE sql_select_limit CONDITION "
        "FOR 1; SET sql_select_limit = 1; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN UPDATE u SET a = 1; SET "
        "sql_select_limit = 1; END",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN FOR r IN (SELECT a FROM u FOR "
        "UPDATE) DO SET sql_select_limit = 1; END FOR; END",
        "CREATE DEFINER=root TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1"})
    ExpectRefused(sql);
}

TEST(MyRulesTest, EffectsAreTold) {
  EXPECT_EQ(SqlEffect::kReads, RulingOf("SELECT 1").effect);
  EXPECT_EQ(SqlEffect::kGrows, RulingOf("INSERT INTO t VALUES (1)").effect);
  EXPECT_EQ(SqlEffect::kChanges, RulingOf("TRUNCATE t").effect);
  EXPECT_EQ(SqlEffect::kTransaction, RulingOf("SAVEPOINT a").effect);
  EXPECT_TRUE(RulingOf("DROP TABLE t").commits);
  EXPECT_FALSE(RulingOf("DELETE FROM t").commits);
}

TEST(MyRulesTest, WhatChangesOrLocksRowsBeginsATransaction) {
  const auto begins = [](std::string_view sql) { return MyBeginsTransaction(MyWords(sql), sql); };
  for (const char* sql : {"insert into t values (1)", "REPLACE INTO t VALUES (1)",
                          "select * from t for update", "SELECT 1 FROM t LOCK IN SHARE MODE"})
    EXPECT_TRUE(begins(sql)) << sql;
  for (const char* sql : {"SELECT 1", "CREATE TABLE t (a int)", "", "SELECT 'FOR UPDATE'"})
    EXPECT_FALSE(begins(sql)) << sql;
}

TEST(MyRulesTest, SeveralStatementsAreTold) {
  EXPECT_TRUE(MyIsSeveral("SELECT 1; DROP TABLE t"));
  EXPECT_TRUE(MyIsSeveral("SELECT 1;;/*! DROP TABLE t */"));
  EXPECT_FALSE(MyIsSeveral("SELECT ';'; -- nothing follows"));
}

}  // namespace
}  // namespace cloister
