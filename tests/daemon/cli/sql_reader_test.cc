#include "daemon/cli/sql_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

using Texts = std::vector<std::string>;

Texts Cut(SqlDialect dialect, std::string_view text, std::size_t block = 1 << 20) {
  SqlReader reader(dialect);
  Texts texts;
  for (; !text.empty(); text.remove_prefix(std::min(block, text.size()))) {
    reader.Feed(text.substr(0, block));
    while (const auto statement = reader.Next())
      texts.push_back(statement->text);
  }
  while (const auto rest = reader.TakeRest())
    texts.push_back(rest->text);
  return texts;
}

struct Case {
  SqlDialect dialect = SqlDialect::kSqlite;
  std::string text;
  Texts texts;
};

TEST(SqlReaderTest, StatementsEndAtTheirSemicolonsHoweverTheTextComes) {
  const SqlDialect lite = SqlDialect::kSqlite;
  const SqlDialect pg = SqlDialect::kPostgresql;
  const SqlDialect maria = SqlDialect::kMariadb;
  const Case cases[] = {
      {maria,
       "SELECT 1--1 # ; a\n, `;`, '\\'; x -- ; b",
       {"SELECT 1--1 # ; a\n, `;`, '\\'", "x -- ; b"}},
      {maria,
       "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN IF 1 THEN SET @a = CASE 1 WHEN 1 "
       "THEN 2 END; END IF; CASE 1 WHEN 1 THEN SET @a = 1; END CASE; END; x",
       {"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN IF 1 THEN SET @a = CASE 1 WHEN 1 "
        "THEN 2 END; END IF; CASE 1 WHEN 1 THEN SET @a = 1; END CASE; END",
        "x"}},
      {lite, "", {}},
      {lite, " ;; -- no; thing\n /* ; */ ;", {}},
      {lite, "SELECT 1", {"SELECT 1"}},
      {lite, "SELECT 1; SELECT 2;", {"SELECT 1", "SELECT 2"}},
      {lite, "SELECT ';''; ' -- ; '\n, 2; x", {"SELECT ';''; ' -- ; '\n, 2", "x"}},
      {lite, "SELECT \";\", `;`, [;]; x", {"SELECT \";\", `;`, [;]", "x"}},
      {lite, "SELECT '\\'; x", {"SELECT '\\'", "x"}},
      {lite, "/* /* ; */ a; */ b", {"/* /* ; */ a", "*/ b"}},
      {pg, "/* /* ; */ a; */ b", {"/* /* ; */ a; */ b"}},
      {pg, "SELECT E'\\';', e'\\\\'; x", {"SELECT E'\\';', e'\\\\'", "x"}},
      {pg, "SELECT name'\\'; x", {"SELECT name'\\'", "x"}},
      {pg, "SELECT $$;$a$;$$, $a$;$$;$a$; x", {"SELECT $$;$a$;$$, $a$;$$;$a$", "x"}},
      {pg, "SELECT $1, a$b$; x", {"SELECT $1, a$b$", "x"}},
      {pg, "SELECT a[1]; x", {"SELECT a[1]", "x"}},
      {pg, "SELECT 1 - 2 / 3; -", {"SELECT 1 - 2 / 3", "-"}},
      {lite, "BEGIN; END; x", {"BEGIN", "END", "x"}},
      {lite,
       "create temp trigger t begin select case 1 when 1 then 2 end; select 1; end; x",
       {"create temp trigger t begin select case 1 when 1 then 2 end; select 1; end", "x"}},
      {pg,
       "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; x",
       {"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "x"}},
      {lite, "SELECT 'not ended; x", {"SELECT 'not ended; x"}},
      {pg, "SELECT $$not ended; x", {"SELECT $$not ended; x"}},
      {lite, "CREATE TABLE \"trigger\" (begin); x", {"CREATE TABLE \"trigger\" (begin)", "x"}},
  };
  for (const Case& each : cases)
    for (const std::size_t block : {1U, 2U, 3U, 1000U})
      EXPECT_EQ(each.texts, Cut(each.dialect, each.text, block)) << each.text << " " << block;
}

TEST(SqlReaderTest, StatementsKnowTheirLines) {
  SqlReader reader(SqlDialect::kSqlite);
  reader.Feed("\n\nSELECT\n1;\n\n;\n  SELECT 2; SELECT 3;\n");
  EXPECT_EQ(3U, reader.Next()->line);
  EXPECT_EQ(7U, reader.Next()->line);
  EXPECT_EQ(7U, reader.Next()->line);
  EXPECT_FALSE(reader.Next());
}

TEST(SqlReaderTest, ItKnowsWhetherAStatementHasBegun) {
  SqlReader reader(SqlDialect::kSqlite);
  EXPECT_TRUE(reader.at_start());
  reader.Feed(" \n");
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.at_start());
  reader.Feed("-- a comment\n");
  EXPECT_FALSE(reader.Next());
  EXPECT_FALSE(reader.at_start());
  reader.Feed("SELECT 'x");
  EXPECT_FALSE(reader.Next());
  EXPECT_FALSE(reader.at_start());
  reader.Clear();
  EXPECT_TRUE(reader.at_start());
  EXPECT_FALSE(reader.TakeRest());
}

}  // namespace
}  // namespace cloister
