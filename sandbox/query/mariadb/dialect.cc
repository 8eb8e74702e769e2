#include "sandbox/query/mariadb/dialect.h"

#include <optional>
#include <string>
#include <string_view>

#include "sandbox/query/mariadb/sql_rules.h"
#include "sandbox/query/mariadb/tokens.h"

namespace cloister {
namespace {

using Words = ServerDialect::Words;

// The rules leave nothing that could stay.
bool IsUnclean(const Words& /*words*/, std::string_view /*sql*/) {
  return false;
}

// What follows the first word.
std::string_view BehindWord(std::string_view sql) {
  MyTokens tokens(sql);
  while (const std::optional<MyToken> token = tokens.Next())
    if (token->kind == MyToken::Kind::kWord)
      return sql.substr(static_cast<std::size_t>(token->text.data() - sql.data()) +
                        token->text.size());
  return {};
}

// The other engines' words, as MariaDB has them.
std::string ControlOf(const Words& words, std::string_view sql) {
  if (IsSqliteBegin(words))
    return "BEGIN";
  if (words.size() == 1 && words[0] == "END")
    return "COMMIT";
  if (!words.empty() && words[0] == "RELEASE" && (words.size() < 2 || words[1] != "SAVEPOINT"))
    return "RELEASE SAVEPOINT" + std::string(BehindWord(sql));
  return std::string(sql);
}

std::string CancelOf(std::uint64_t number) {
  return "KILL QUERY " + std::to_string(number);
}

}  // namespace

const ServerDialect& MyDialect() {
  static const ServerDialect kDialect{
      .words = MyWords,
      .ruling = MyRulingOf,
      .begins_transaction = MyBeginsTransaction,
      .is_unclean = IsUnclean,
      .control = ControlOf,
      .undoes_failed = true,
      .text_may_have_null = true,
      .begin_exclusive = {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN"},
      // What the live release has locked must not hold a check for long.
      .begin_check = {"SET SESSION innodb_lock_wait_timeout = 3", "BEGIN"},
      .clean = {},
      .nothing = "DO 0",
      .many = {"INSERT", "UPDATE", "DELETE", "REPLACE"},
      .many_refusal = "executemany() can only execute INSERT, UPDATE, DELETE and REPLACE.",
      .cancel = CancelOf,
      // A table takes four pages at least, of which the server counts one. A view's text is in its
      // file three times; the server counts neither that nor the texts of triggers.
      .size =
          "SELECT CAST((SELECT COALESCE(SUM(data_length + index_length + 49152), 0)"
          " FROM information_schema.tables WHERE table_schema = DATABASE())"
          " + (SELECT COALESCE(SUM(3 * LENGTH(view_definition) + 4096), 0)"
          " FROM information_schema.views WHERE table_schema = DATABASE())"
          " + (SELECT COALESCE(SUM(LENGTH(action_statement) + 4096), 0)"
          " FROM information_schema.triggers WHERE trigger_schema = DATABASE()) AS SIGNED)",
      // InnoDB's own count is up to ten seconds old. Who waits for a table is waited for by nobody:
      // its cancel comes on the same connection.
      .stale =
          "SELECT CONCAT('SET STATEMENT lock_wait_timeout = 0 FOR ANALYZE NO_WRITE_TO_BINLOG"
          " TABLE `', REPLACE(table_name, '`', '``'), '`')"
          " FROM information_schema.tables WHERE table_schema = DATABASE()"
          " AND table_type = 'BASE TABLE' AND update_time > NOW() - INTERVAL 15 SECOND"
          " ORDER BY update_time DESC LIMIT 20"};
  return kDialect;
}

}  // namespace cloister
