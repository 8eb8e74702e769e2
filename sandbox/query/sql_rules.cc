#include "sandbox/query/sql_rules.h"

#include <strings.h>

#include <algorithm>
#include <cctype>

#include <sqlite3.h>

namespace cloister {
namespace {

enum class PragmaUse { kRead, kArgument, kSet };

struct Rule {
  int action = 0;
  const char* reason = nullptr;  // null: allowed
};
struct FunctionRule {
  const char* name = "";
  const char* reason = "";
};
struct PragmaRule {
  const char* name = "";
  PragmaUse use = PragmaUse::kRead;
};

#define ALLOW(action)
#define REFUSE(action, reason)
#define REFUSE_FUNCTION(name, reason)
#define PRAGMA(name, use)

constexpr Rule kRules[] = {
#undef ALLOW
#undef REFUSE
#define ALLOW(action) {SQLITE_##action, nullptr},
#define REFUSE(action, reason) {SQLITE_##action, reason},
#include "sandbox/query/sql_rules.def"
#undef ALLOW
#undef REFUSE
#define ALLOW(action)
#define REFUSE(action, reason)
};

constexpr FunctionRule kFunctions[] = {
#undef REFUSE_FUNCTION
#define REFUSE_FUNCTION(name, reason) {#name, reason},
#include "sandbox/query/sql_rules.def"
#undef REFUSE_FUNCTION
#define REFUSE_FUNCTION(name, reason)
};

constexpr PragmaRule kPragmas[] = {
#undef PRAGMA
#define PRAGMA(name, use) {#name, PragmaUse::use},
#include "sandbox/query/sql_rules.def"
#undef PRAGMA
};

#undef ALLOW
#undef REFUSE
#undef REFUSE_FUNCTION

std::string RefusalOfPragma(const char* name, const char* argument) {
  const auto* rule = std::ranges::find_if(
      kPragmas, [name](const PragmaRule& each) { return ::strcasecmp(each.name, name) == 0; });
  if (rule == std::end(kPragmas))
    return std::string("PRAGMA ") + name + " is not one of those that an app may use";
  if (rule->use == PragmaUse::kRead && argument != nullptr)
    return std::string("PRAGMA ") + name + " can be asked for and not be set";
  return {};
}

std::string RefusalOfFunction(const char* name) {
  const auto* rule = std::ranges::find_if(
      kFunctions, [name](const FunctionRule& each) { return ::strcasecmp(each.name, name) == 0; });
  return rule == std::end(kFunctions) ? std::string()
                                      : std::string(rule->name) + ": " + rule->reason;
}

// "CREATE TABLE temp.t" is told as if it were none.
int TemporaryOf(int action) {
  switch (action) {
    case SQLITE_CREATE_TABLE:
      return SQLITE_CREATE_TEMP_TABLE;
    case SQLITE_CREATE_INDEX:
      return SQLITE_CREATE_TEMP_INDEX;
    case SQLITE_CREATE_VIEW:
      return SQLITE_CREATE_TEMP_VIEW;
    case SQLITE_CREATE_TRIGGER:
      return SQLITE_CREATE_TEMP_TRIGGER;
    default:
      return action;
  }
}

bool OnlyReads(int action) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
    case SQLITE_FUNCTION:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_PRAGMA:
      return true;
    default:
      return false;
  }
}

// What is left of `sql` after spaces, comments and, where they mean nothing, semicolons.
std::string_view SkipBlank(std::string_view sql) {
  while (!sql.empty()) {
    if (std::isspace(static_cast<unsigned char>(sql.front())) != 0 || sql.front() == ';') {
      sql.remove_prefix(1);
    } else if (sql.starts_with("--")) {
      sql.remove_prefix(std::min(sql.find('\n'), sql.size()));
    } else if (sql.starts_with("/*")) {
      const std::size_t end = sql.find("*/", 2);
      sql.remove_prefix(end == std::string_view::npos ? sql.size() : end + 2);
    } else {
      break;
    }
  }
  return sql;
}

}  // namespace

std::string RefusalOf(const SqlAction& action, SqlAccess access) {
  if (access == SqlAccess::kReadOnly && !OnlyReads(action.code))
    return "this release is only checked, and the database is too large to be copied for that: it "
           "can be read";
  if (action.code == SQLITE_PRAGMA)
    return RefusalOfPragma(action.first == nullptr ? "" : action.first, action.second);
  if (action.code == SQLITE_FUNCTION)
    return RefusalOfFunction(action.second == nullptr ? "" : action.second);
  const bool is_temporary =
      action.database != nullptr && std::string_view(action.database) == "temp";
  const int code = is_temporary ? TemporaryOf(action.code) : action.code;
  const auto* rule = std::ranges::find(kRules, code, &Rule::action);
  if (rule == std::end(kRules))
    return "this kind of statement is not one of those that an app may use";
  return rule->reason == nullptr ? std::string() : std::string(rule->reason);
}

std::string FirstWord(std::string_view sql) {
  sql = SkipBlank(sql);
  std::string word;
  while (word.size() < sql.size() &&
         std::isalpha(static_cast<unsigned char>(sql[word.size()])) != 0 && word.size() < 16)
    word += static_cast<char>(std::toupper(static_cast<unsigned char>(sql[word.size()])));
  return word;
}

bool IsBlank(std::string_view sql) {
  return SkipBlank(sql).empty();
}

}  // namespace cloister
