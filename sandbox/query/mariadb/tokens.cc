#include "sandbox/query/mariadb/tokens.h"

#include <algorithm>
#include <cctype>

#include "sandbox/query/sql_server/rules.h"

namespace cloister {
namespace {

bool IsSpace(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool IsWordChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// "-- ", or two dashes at a line's end; "--1" is a sum.
bool IsDashComment(std::string_view sql) {
  return sql.starts_with("--") &&
         (sql.size() == 2 || IsSpace(sql[2]) || std::iscntrl(static_cast<unsigned char>(sql[2])));
}

bool IsExecutable(std::string_view sql) {
  return sql.starts_with("/*!") || sql.starts_with("/*M!") || sql.starts_with("/*m!");
}

// Behind a quoted thing that begins here: a quote in it is doubled.
std::size_t QuotedSize(std::string_view sql) {
  const char quote = sql.front();
  std::size_t at = 1;
  while (at < sql.size()) {
    if (sql[at] != quote) {
      ++at;
      continue;
    }
    if (at + 1 == sql.size() || sql[at + 1] != quote)
      return at + 1;
    at += 2;
  }
  return sql.size();
}

}  // namespace

std::string MyToken::word() const {
  std::string_view inner = text;
  const bool quoted = kind == Kind::kQuotedName || kind == Kind::kText;
  if (quoted) {
    inner.remove_prefix(1);
    if (inner.ends_with(text.front()))
      inner.remove_suffix(1);
  }
  std::string upper;
  for (std::size_t i = 0; i < inner.size(); ++i) {
    upper += UpperOf(inner[i]);
    if (quoted && inner[i] == text.front())
      ++i;
  }
  return upper;
}

void MyTokens::SkipBlank() {
  while (!rest_.empty()) {
    if (IsSpace(rest_.front())) {
      rest_.remove_prefix(1);
    } else if (rest_.front() == '#' || IsDashComment(rest_)) {
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    } else if (rest_.starts_with("/*") && !IsExecutable(rest_)) {
      const std::size_t end = rest_.find("*/", 2);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 2);
    } else {
      return;
    }
  }
}

MyToken MyTokens::Take(MyToken::Kind kind, std::size_t size) {
  const MyToken token{.kind = kind, .text = rest_.substr(0, size)};
  rest_.remove_prefix(token.text.size());
  return token;
}

std::optional<MyToken> MyTokens::Next() {
  SkipBlank();
  if (rest_.empty())
    return std::nullopt;
  const char first = rest_.front();
  if (IsExecutable(rest_))
    return Take(MyToken::Kind::kExecutable, rest_.find('!') + 1);
  if (first == '\'')
    return Take(MyToken::Kind::kText, QuotedSize(rest_));
  if (first == '"' || first == '`')
    return Take(MyToken::Kind::kQuotedName, QuotedSize(rest_));
  if (!IsWordChar(first))
    return Take(MyToken::Kind::kSign, 1);
  const auto* const end = std::ranges::find_if_not(rest_, IsWordChar);
  return Take(MyToken::Kind::kWord, static_cast<std::size_t>(end - rest_.begin()));
}

}  // namespace cloister
