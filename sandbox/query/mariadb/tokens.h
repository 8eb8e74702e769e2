#pragma once

// MariaDB's SQL taken apart, as the server does with the sql_mode of our sessions: a backslash is
// one, "..." and `...` are names, comments do not nest.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cloister {

struct MyToken {
  enum class Kind : std::uint8_t {
    kWord,        // a keyword, a name or a number
    kQuotedName,  // "..." or `...`
    kText,        // '...'
    kSign,        // any other character
    kExecutable,  // a comment whose content the server would run
  };

  Kind kind = Kind::kSign;
  std::string_view text;  // with its quotes

  bool is_sign(char c) const { return kind == Kind::kSign && text.front() == c; }
  bool is_name() const { return kind == Kind::kWord || kind == Kind::kQuotedName; }
  // In upper case, and without quotes.
  std::string word() const;
  bool is_word(std::string_view upper) const { return kind == Kind::kWord && word() == upper; }
};

class MyTokens {
 public:
  explicit MyTokens(std::string_view sql) : rest_(sql) {}
  std::optional<MyToken> Next();

 private:
  void SkipBlank();
  MyToken Take(MyToken::Kind kind, std::size_t size);

  std::string_view rest_;
};

}  // namespace cloister
