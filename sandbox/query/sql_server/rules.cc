#include "sandbox/query/sql_server/rules.h"

#include <algorithm>
#include <cctype>

namespace cloister {
namespace {

constexpr const char* kUnknown =
    "this kind of statement is not one of those that an app may use, unless its first word is a "
    "mistake";

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

char UpperOf(char c) {
  return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}

SqlRuling RulingByWords(std::span<const SqlRule> rules, const std::vector<std::string>& words) {
  if (words.empty())
    return {};
  std::size_t most = 0;
  SqlRuling ruling{.effect = SqlEffect::kReads, .refusal = kUnknown};
  for (const SqlRule& rule : rules) {
    const std::size_t fitting = Fits(rule.words, words);
    if (fitting <= most)
      continue;
    most = fitting;
    ruling = rule.ruling;
  }
  return ruling;
}

bool MentionsWord(std::string_view sql, std::string_view word) {
  const auto found = std::ranges::search(sql, word, {}, UpperOf);
  return !found.empty();
}

bool IsSqliteBegin(const std::vector<std::string>& words) {
  return words.size() > 1 && words[0] == "BEGIN" &&
         (words[1] == "DEFERRED" || words[1] == "IMMEDIATE" || words[1] == "EXCLUSIVE");
}

}  // namespace cloister
