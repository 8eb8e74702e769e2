#include "daemon/cli/db_dot.h"

#include <sstream>
#include <vector>

namespace cloister {
namespace {

constexpr const char* kHelp =
    ".tables        the tables and views\n"
    ".schema [T]    how they are made, or how T is\n"
    ".help          this\n"
    ".quit          leaves, as Ctrl-D does\n"
    "Anything else is SQL, up to a semicolon. Ctrl-C gives up the line, or the statement that\n"
    "runs. What BEGIN began holds until COMMIT or ROLLBACK, and is rolled back on leaving.";

constexpr const char* kSqliteTables =
    "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
constexpr const char* kSqliteSchema =
    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

constexpr const char* kPostgresqlTables =
    "SELECT c.relname AS name, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN "
    "'materialized view' ELSE 'table' END AS type FROM pg_catalog.pg_class c "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') "
    "ORDER BY 1";
// Columns in their order, then the rest.
constexpr const char* kPostgresqlSchema = R"(
SELECT name AS "table", kind, what AS name, definition FROM (
  SELECT c.relname AS name, 1 AS place, a.attnum AS number, 'column' AS kind, a.attname AS what,
         pg_catalog.format_type(a.atttypid, a.atttypmod)
         || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
         || coalesce(' DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS definition
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
        AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT c.relname, 2, 0, 'constraint', o.conname, pg_catalog.pg_get_constraintdef(o.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_constraint o ON o.conrelid = c.oid
  WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT c.relname, 3, 0, 'index', n.relname, pg_catalog.pg_get_indexdef(i.indexrelid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
  JOIN pg_catalog.pg_class n ON n.oid = i.indexrelid
  WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT c.relname, 4, 0, 'trigger', t.tgname, pg_catalog.pg_get_triggerdef(t.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
  WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
  UNION ALL
  SELECT c.relname, 5, 0, 'view', c.relname, pg_catalog.pg_get_viewdef(c.oid)
  FROM pg_catalog.pg_class c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm')
) all_of_them)";

// SHOW names its columns after the database, which means nothing to people.
constexpr const char* kMariadbTables =
    "SELECT table_name AS name, CASE table_type WHEN 'VIEW' THEN 'view' ELSE 'table' END AS type "
    "FROM information_schema.tables WHERE table_schema = database() ORDER BY 1";
// Columns in their order, then the rest.
constexpr const char* kMariadbSchema = R"(
SELECT name AS "table", kind, what AS name, definition FROM (
  SELECT table_name AS name, 1 AS place, ordinal_position AS number, 'column' AS kind,
         column_name AS what, concat(column_type, CASE is_nullable WHEN 'NO' THEN ' NOT NULL'
         ELSE '' END, coalesce(concat(' DEFAULT ', column_default), ''),
         CASE extra WHEN '' THEN '' ELSE concat(' ', extra) END) AS definition
  FROM information_schema.columns WHERE table_schema = database()
  UNION ALL
  SELECT table_name, 2, 0, lower(constraint_type), constraint_name, ''
  FROM information_schema.table_constraints WHERE table_schema = database()
  UNION ALL
  SELECT table_name, 3, seq_in_index, 'index', index_name, column_name
  FROM information_schema.statistics WHERE table_schema = database()
  UNION ALL
  SELECT event_object_table, 4, 0, 'trigger', trigger_name,
         concat(action_timing, ' ', event_manipulation, ' ', action_statement)
  FROM information_schema.triggers WHERE trigger_schema = database()
  UNION ALL
  SELECT table_name, 5, 0, 'view', table_name, view_definition
  FROM information_schema.views WHERE table_schema = database()
) all_of_them)";

const char* TablesOf(SqlDialect dialect) {
  switch (dialect) {
    case SqlDialect::kSqlite:
      return kSqliteTables;
    case SqlDialect::kPostgresql:
      return kPostgresqlTables;
    case SqlDialect::kMariadb:
      return kMariadbTables;
  }
  return kSqliteTables;
}

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text)
    quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

std::vector<std::string> WordsOf(std::string_view line) {
  std::istringstream text{std::string(line)};
  std::vector<std::string> words;
  for (std::string word; text >> word;)
    words.push_back(std::move(word));
  return words;
}

DotCommand Schema(const std::string& table, SqlDialect dialect) {
  if (dialect != SqlDialect::kSqlite)
    return {.kind = DotCommand::Kind::kQuery,
            .text = std::string(dialect == SqlDialect::kPostgresql ? kPostgresqlSchema
                                                                   : kMariadbSchema) +
                    (table.empty() ? "" : " WHERE name = " + Quoted(table)) +
                    " ORDER BY 1, place, number, 3"};
  return {.kind = DotCommand::Kind::kTexts,
          .text = kSqliteSchema + (table.empty() ? "" : " AND tbl_name = " + Quoted(table)) +
                  " ORDER BY tbl_name, type = 'table' DESC, name"};
}

}  // namespace

bool IsDotCommand(std::string_view line) {
  const std::vector<std::string> words = WordsOf(line);
  if (words.empty())
    return false;
  // What people type at other prompts.
  const bool leaves = words.front() == "quit" || words.front() == "exit" || words.front() == "\\q";
  return words.front().starts_with('.') || (leaves && words.size() == 1);
}

DotCommand ReadDotCommand(std::string_view line, SqlDialect dialect) {
  const std::vector<std::string> words = WordsOf(line);
  const std::string& name = words.front();
  if (name == ".quit" || name == ".exit" || !name.starts_with('.'))
    return {.kind = DotCommand::Kind::kQuit};
  if (name == ".help" && words.size() == 1)
    return {.kind = DotCommand::Kind::kSay, .text = kHelp};
  if (name == ".tables" && words.size() == 1)
    return {.kind = DotCommand::Kind::kQuery, .text = TablesOf(dialect)};
  if (name == ".schema" && words.size() <= 2)
    return Schema(words.size() == 2 ? words[1] : "", dialect);
  return {};
}

}  // namespace cloister
