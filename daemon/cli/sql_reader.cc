#include "daemon/cli/sql_reader.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace cloister {
namespace {

constexpr std::size_t kWordsMax = 6;
constexpr std::size_t kDollarMax = 64;

bool IsSpace(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool IsWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Of what is not BEGIN's.
bool FollowsEnd(std::string_view word) {
  constexpr std::string_view kWords[] = {"CASE", "IF", "LOOP", "REPEAT", "WHILE"};
  return std::ranges::find(kWords, word) != std::end(kWords);
}

}  // namespace

std::optional<SqlStatement> SqlReader::Next() {
  while (at_ < text_.size()) {
    const bool ends = mode_ == Mode::kPlain && text_[at_] == ';';
    if (ends)
      EndWord();
    if (!ends || blocks_ > 0) {
      if (!Step())
        break;
      continue;
    }
    const bool is_one = begun_;
    SqlStatement statement = Cut(at_, 1);
    if (is_one)
      return statement;
  }
  return std::nullopt;
}

std::optional<SqlStatement> SqlReader::TakeRest() {
  whole_ = true;
  std::optional<SqlStatement> next = Next();
  if (!next && begun_)
    next = Cut(text_.size(), 0);
  return next;
}

void SqlReader::Clear() {
  (void)Cut(text_.size(), 0);
}

SqlStatement SqlReader::Cut(std::size_t size, std::size_t skipped) {
  SqlStatement statement{.text = text_.substr(0, size), .line = line_};
  // Blanks before it are none of it.
  const std::size_t blank = std::min(statement.text.find_first_not_of(" \t\r\n"), size);
  const auto lines = [](std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  };
  statement.line += lines(std::string_view(statement.text).substr(0, blank));
  statement.text.erase(0, blank);
  line_ += lines(std::string_view(text_).substr(0, size));
  text_.erase(0, size + skipped);
  at_ = 0;
  mode_ = Mode::kPlain;
  comments_ = blocks_ = 0;
  after_end_ = false;
  word_.clear();
  words_.clear();
  begun_ = false;
  return statement;
}

bool SqlReader::Step() {
  switch (mode_) {
    case Mode::kPlain:
      return StepPlain();
    case Mode::kQuoted:
    case Mode::kEscaped:
      return StepQuoted();
    case Mode::kLineComment:
    case Mode::kBlockComment:
      return StepComment();
    case Mode::kDollar:
      return StepDollar();
  }
  return false;
}

bool SqlReader::StepPlain() {
  const char c = text_[at_];
  const std::string_view two = std::string_view(text_).substr(at_, 2);
  // The next character says what it is.
  if ((c == '-' || c == '/') && two.size() < 2 && !whole_)
    return false;
  const bool is_mariadb = dialect_ == SqlDialect::kMariadb;
  if (two == "--" && is_mariadb && at_ + 2 == text_.size() && !whole_)
    return false;
  // MariaDB takes "--" for two signs when no blank follows.
  const bool is_signs = is_mariadb && at_ + 2 < text_.size() && !IsSpace(text_[at_ + 2]);
  if ((two == "--" && !is_signs) || two == "/*" || (is_mariadb && c == '#')) {
    EndWord();
    mode_ = two == "/*" ? Mode::kBlockComment : Mode::kLineComment;
    comments_ = 1;
    at_ += c == '#' ? 1 : 2;
    return true;
  }
  if (IsWord(c)) {
    begun_ = true;
    word_ += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    ++at_;
    return true;
  }
  if (c == '$' && word_.empty() && dialect_ == SqlDialect::kPostgresql)
    return BeginDollar();
  const bool is_sqlite = dialect_ == SqlDialect::kSqlite;
  if (c == '\'' || c == '"' || (is_sqlite && c == '[') ||
      (dialect_ != SqlDialect::kPostgresql && c == '`')) {
    const bool escapes = dialect_ == SqlDialect::kPostgresql && c == '\'' && word_ == "E";
    mode_ = escapes ? Mode::kEscaped : Mode::kQuoted;
    quote_ = c == '[' ? ']' : c;
  }
  EndWord();
  begun_ = begun_ || !IsSpace(c);
  after_end_ = after_end_ && IsSpace(c);
  ++at_;
  return true;
}

bool SqlReader::StepQuoted() {
  const char c = text_[at_];
  if (c == '\\' && mode_ == Mode::kEscaped) {
    const bool is_whole = at_ + 1 < text_.size();
    at_ += is_whole ? 2U : whole_ ? 1U : 0U;
    return is_whole || whole_;
  }
  // A quote that is written twice ends a string and begins one.
  if (c == quote_)
    mode_ = Mode::kPlain;
  ++at_;
  return true;
}

bool SqlReader::StepComment() {
  const std::string_view two = std::string_view(text_).substr(at_, 2);
  if (mode_ == Mode::kLineComment) {
    mode_ = two.front() == '\n' ? Mode::kPlain : mode_;
    ++at_;
    return true;
  }
  if (two.size() < 2 && !whole_ && (two == "*" || two == "/"))
    return false;
  const bool nests = dialect_ == SqlDialect::kPostgresql && two == "/*";
  if (!nests && two != "*/") {
    ++at_;
    return true;
  }
  comments_ = nests ? comments_ + 1 : comments_ - 1;
  at_ += 2;
  if (comments_ == 0)
    mode_ = Mode::kPlain;
  return true;
}

// "$$" or "$tag$"; a parameter ("$1") is none.
bool SqlReader::BeginDollar() {
  std::size_t end = at_ + 1;
  while (end < text_.size() && IsWord(text_[end]) && end - at_ < kDollarMax)
    ++end;
  if (end == text_.size() && !whole_)
    return false;
  begun_ = true;
  const bool is_number =
      std::isdigit(static_cast<unsigned char>(text_[at_ + 1 < text_.size() ? at_ + 1 : at_])) != 0;
  if (end == text_.size() || text_[end] != '$' || is_number) {
    ++at_;
    return true;
  }
  dollar_ = text_.substr(at_, end + 1 - at_);
  mode_ = Mode::kDollar;
  at_ = end + 1;
  return true;
}

bool SqlReader::StepDollar() {
  const std::size_t end = text_.find(dollar_, at_);
  if (end != std::string::npos) {
    at_ = end + dollar_.size();
    mode_ = Mode::kPlain;
    return true;
  }
  // The end may have begun.
  const std::size_t known = text_.size() - std::min(text_.size() - at_, dollar_.size() - 1);
  if (whole_)
    at_ = text_.size();
  else
    at_ = std::max(at_, known);
  return whole_;
}

bool SqlReader::OpensBlocks() const {
  return !words_.empty() && words_.front() == "CREATE" &&
         std::ranges::any_of(words_, [](const std::string& word) {
           return word == "TRIGGER" || word == "FUNCTION" || word == "PROCEDURE";
         });
}

void SqlReader::EndWord() {
  if (word_.empty())
    return;
  const std::string word = std::exchange(word_, {});
  if (words_.size() < kWordsMax)
    words_.push_back(word);
  if (!OpensBlocks())
    return;
  // MariaDB's END IF ends no block that BEGIN began, and nothing was counted for its IF.
  if (std::exchange(after_end_, word == "END") && dialect_ == SqlDialect::kMariadb &&
      FollowsEnd(word)) {
    if (word != "CASE")
      ++blocks_;
    return;
  }
  if (word == "BEGIN" || (word == "CASE" && blocks_ > 0))
    ++blocks_;
  else if (word == "END" && blocks_ > 0)
    --blocks_;
}

}  // namespace cloister
