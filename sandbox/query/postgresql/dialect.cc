#include "sandbox/query/postgresql/dialect.h"

#include <algorithm>
#include <string>

#include "sandbox/query/postgresql/sql_rules.h"

namespace cloister {
namespace {

using Words = ServerDialect::Words;

constexpr std::size_t kWordsMax = 4;

Words WordsOf(std::string_view sql) {
  return PgWords(sql, kWordsMax);
}

SqlRuling RulingOf(const Words& words, std::string_view /*sql*/) {
  return PgRulingOf(words);
}

// Settings and locks of a session, which a function can make.
bool IsUnclean(const Words& words, std::string_view sql) {
  const bool runs_code = !words.empty() && (words.front() == "DO" || words.front() == "CALL");
  return runs_code || MentionsWord(sql, "SET_CONFIG") || MentionsWord(sql, "ADVISORY");
}

std::string ControlOf(const Words& words, std::string_view sql) {
  return IsSqliteBegin(words) ? "BEGIN" : std::string(sql);
}

std::string CancelOf(std::uint64_t number) {
  return "SELECT pg_catalog.pg_cancel_backend(" + std::to_string(number) + ")";
}

}  // namespace

const ServerDialect& PgDialect() {
  static const ServerDialect kDialect{
      .words = WordsOf,
      .ruling = RulingOf,
      .begins_transaction = PgBeginsTransaction,
      .is_unclean = IsUnclean,
      .control = ControlOf,
      .batch_is_whole = true,
      .begin_exclusive = {"BEGIN ISOLATION LEVEL SERIALIZABLE"},
      // What the live release has locked must not hold a check for long.
      .begin_check = {"BEGIN", "SET LOCAL lock_timeout = '3s'"},
      .clean = {"CLOSE ALL", "RESET ALL", "SELECT pg_catalog.pg_advisory_unlock_all()",
                "UNLISTEN *"},
      .nothing = "SET LOCAL application_name = 'cloister'",
      .many = {"INSERT", "UPDATE", "DELETE", "MERGE", "WITH"},
      .many_refusal = "executemany() can only execute INSERT, UPDATE, DELETE and MERGE.",
      .cancel = CancelOf,
      // Without what PostgreSQL's own catalogs take in a database that has no table. Nothing in it
      // is looked up where an app could have put its own.
      .size =
          "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"
          " OPERATOR(pg_catalog.-) 8388608"};
  return kDialect;
}

}  // namespace cloister
