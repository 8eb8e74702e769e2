#pragma once

// Cuts SQL into statements at its semicolons, as it comes: a line of a terminal, a block of a file.
//
// It knows what a semicolon is not the end of: strings, quoted names, comments, PostgreSQL's dollar
// quotes, MariaDB's "#", and the bodies of triggers and functions (BEGIN ... END). What a statement
// means it leaves to the database.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloister {

enum class SqlDialect { kSqlite, kPostgresql, kMariadb };

struct SqlStatement {
  std::string text;      // without its semicolon
  std::size_t line = 1;  // of the input, where it begins
};

class SqlReader {
 public:
  explicit SqlReader(SqlDialect dialect) : dialect_(dialect) {}

  void Feed(std::string_view text) { text_ += text; }
  // The next statement that is whole.
  std::optional<SqlStatement> Next();
  // What is left when no more comes; nothing: only blanks and comments.
  std::optional<SqlStatement> TakeRest();
  // Whether nothing but blanks has come since the last statement.
  bool at_start() const {
    return !begun_ && mode_ == Mode::kPlain &&
           text_.find_first_not_of(" \t\r\n") == std::string::npos;
  }
  // Whether nothing but blanks and comments has.
  bool is_blank() const { return !begun_ && mode_ == Mode::kPlain; }
  // Bytes of the statement that is not whole.
  std::size_t size() const { return text_.size(); }
  // Forgets it.
  void Clear();

 private:
  enum class Mode { kPlain, kQuoted, kEscaped, kLineComment, kBlockComment, kDollar };

  // Goes on by at least one character; false: more of the text must be there first.
  bool Step();
  bool StepPlain();
  bool StepQuoted();
  bool StepComment();
  bool StepDollar();
  bool BeginDollar();
  void EndWord();
  bool OpensBlocks() const;
  SqlStatement Cut(std::size_t size, std::size_t skipped);

  SqlDialect dialect_;
  std::string text_;    // from the statement's beginning on
  std::size_t at_ = 0;  // what stands before it is understood
  Mode mode_ = Mode::kPlain;
  char quote_ = 0;                  // that ends kQuoted and kEscaped
  std::string dollar_;              // that ends kDollar
  std::size_t comments_ = 0;        // that are open, one in another
  std::string word_;                // at at_, in upper case
  std::vector<std::string> words_;  // the statement's first
  std::size_t blocks_ = 0;          // BEGIN and CASE without their END
  bool after_end_ = false;          // nothing but blanks since END
  bool begun_ = false;              // there is more than blanks and comments
  bool whole_ = false;              // nothing more comes
  std::size_t line_ = 1;            // of text_'s beginning
};

}  // namespace cloister
