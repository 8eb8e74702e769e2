#include "sandbox/query/postgresql/sql_rules.h"

#include <algorithm>
#include <cctype>

namespace cloister {
namespace {

constexpr SqlRule kRules[] = {
#define ALLOW(text, kind) {text, {.effect = SqlEffect::kind}},
#define REFUSE(text, reason) {text, {.refusal = reason}},
#include "sandbox/query/postgresql/sql_rules.def"
#undef ALLOW
#undef REFUSE
};

bool IsWordChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Behind a comment that begins here; comments nest.
std::size_t CommentEnd(std::string_view sql) {
  std::size_t depth = 0;
  for (std::size_t at = 0; at + 1 < sql.size(); ++at) {
    const std::string_view two = sql.substr(at, 2);
    if (two != "/*" && two != "*/")
      continue;
    depth = two == "/*" ? depth + 1 : depth - 1;
    ++at;
    if (depth == 0)
      return at + 1;
  }
  return sql.size();
}

std::string_view SkipBlank(std::string_view sql, bool leading) {
  while (!sql.empty()) {
    const char c = sql.front();
    if (std::isspace(static_cast<unsigned char>(c)) != 0 || (leading && c == ';'))
      sql.remove_prefix(1);
    else if (sql.starts_with("--"))
      sql.remove_prefix(std::min(sql.find_first_of("\n\r"), sql.size()));
    else if (sql.starts_with("/*"))
      sql.remove_prefix(CommentEnd(sql));
    else
      break;
  }
  return sql;
}

}  // namespace

std::vector<std::string> PgWords(std::string_view sql, std::size_t count) {
  std::vector<std::string> words;
  sql = SkipBlank(sql, true);
  if (sql.starts_with('('))
    return {"SELECT"};
  while (words.size() < count && !sql.empty() && IsWordChar(sql.front())) {
    std::string word;
    while (!sql.empty() && IsWordChar(sql.front())) {
      word += UpperOf(sql.front());
      sql.remove_prefix(1);
    }
    words.push_back(std::move(word));
    sql = SkipBlank(sql, false);
  }
  return words;
}

SqlRuling PgRulingOf(const std::vector<std::string>& words) {
  return RulingByWords(kRules, words);
}

bool PgBeginsTransaction(const std::vector<std::string>& words, std::string_view sql) {
  constexpr std::string_view kChanging[] = {"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "LOCK"};
  constexpr std::string_view kLocking[] = {"UPDATE", "SHARE"};
  if (words.empty())
    return false;
  if (std::ranges::find(kChanging, words.front()) != std::end(kChanging))
    return true;
  return words.front() == "SELECT" && MentionsWord(sql, "FOR") &&
         std::ranges::any_of(kLocking, [sql](auto word) { return MentionsWord(sql, word); });
}

}  // namespace cloister
