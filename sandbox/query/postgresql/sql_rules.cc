#include "sandbox/query/postgresql/sql_rules.h"

#include <algorithm>
#include <cctype>

namespace cloister {
namespace {

struct Rule {
  std::string_view words;
  PgEffect effect = PgEffect::kReads;
  const char* refusal = nullptr;
};

constexpr Rule kRules[] = {
#define ALLOW(words, effect) {words, PgEffect::effect, nullptr},
#define REFUSE(words, reason) {words, PgEffect::kReads, reason},
#include "sandbox/query/postgresql/sql_rules.def"
#undef ALLOW
#undef REFUSE
};

constexpr const char* kUnknown = "this kind of statement is not one of those that an app may use";

char Upper(char c) {
  return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}

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

// How many words of the rule there are; 0: it does not fit.
std::size_t Fits(std::string_view rule, const std::vector<std::string>& words) {
  std::size_t count = 0;
  while (!rule.empty()) {
    const std::size_t end = std::min(rule.find(' '), rule.size());
    if (count == words.size() || words[count] != rule.substr(0, end))
      return 0;
    ++count;
    rule.remove_prefix(std::min(end + 1, rule.size()));
  }
  return count;
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
      word += Upper(sql.front());
      sql.remove_prefix(1);
    }
    words.push_back(std::move(word));
    sql = SkipBlank(sql, false);
  }
  return words;
}

PgRuling PgRulingOf(const std::vector<std::string>& words) {
  // Nothing but comments: the server finds nothing to do.
  if (words.empty())
    return {};
  std::size_t most = 0;
  PgRuling ruling{.effect = PgEffect::kReads, .refusal = kUnknown};
  for (const Rule& rule : kRules) {
    const std::size_t fitting = Fits(rule.words, words);
    if (fitting <= most)
      continue;
    most = fitting;
    ruling = {.effect = rule.effect, .refusal = rule.refusal};
  }
  return ruling;
}

bool PgBeginsTransaction(const std::vector<std::string>& words, std::string_view sql) {
  constexpr std::string_view kChanging[] = {"INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "LOCK"};
  constexpr std::string_view kLocking[] = {"UPDATE", "SHARE"};
  if (words.empty())
    return false;
  if (std::ranges::find(kChanging, words.front()) != std::end(kChanging))
    return true;
  return words.front() == "SELECT" && PgMentions(sql, "FOR") &&
         std::ranges::any_of(kLocking, [sql](auto word) { return PgMentions(sql, word); });
}

bool PgMentions(std::string_view sql, std::string_view word) {
  const auto found = std::ranges::search(sql, word, {}, Upper);
  return !found.empty();
}

}  // namespace cloister
