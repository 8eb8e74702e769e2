#pragma once

// What SQL an app may run on a server: by the first words of a statement, from a table of the
// engine's.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cloister {

// What a statement may do.
enum class SqlEffect : std::uint8_t { kReads, kChanges, kGrows, kTransaction };

struct SqlRuling {
  SqlEffect effect = SqlEffect::kReads;
  bool commits = false;           // it ends the transaction that it is in
  const char* refusal = nullptr;  // why it is refused; null: it is not
};

struct SqlRule {
  std::string_view words;  // in upper case, with one space between them
  SqlRuling ruling;
};

// By the rule with the most words that fit; what none fits is refused. `words` in upper case; none:
// there is nothing but comments, and the server finds nothing to do.
SqlRuling RulingByWords(std::span<const SqlRule> rules, const std::vector<std::string>& words);

// Whether `word`, in upper case, stands somewhere in the text, in whatever case.
bool MentionsWord(std::string_view sql, std::string_view word);

char UpperOf(char c);

// BEGIN with one of SQLite's words, which say when it takes its lock.
bool IsSqliteBegin(const std::vector<std::string>& words);

}  // namespace cloister
