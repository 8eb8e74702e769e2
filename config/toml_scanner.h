#pragma once

// Reads the keys and values of a TOML 1.0 text, one after the other, and counts lines.
//
// The text must have passed CheckTomlText. Errors say what is wrong; where is line(). Depth and
// size are bounded: the text may be a tenant's.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "config/toml.h"

namespace cloister {

class TomlScanner {
 public:
  // `text` must outlive the scanner.
  explicit TomlScanner(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  std::uint32_t line() const { return line_; }

  // The next character; '\0' at the end.
  char Peek() const { return at_end() ? '\0' : text_[at_]; }
  // Takes `word` if it is next.
  bool Take(std::string_view word);
  void SkipBlanks();
  // Blanks, comments and line ends.
  void SkipLines();
  // Blanks, a comment, and the line's end. An error when anything else comes first.
  Result<void> EndLine();

  // a.b."c d": at least one part.
  Result<std::vector<std::string>> ReadKey();
  Result<TomlValue> ReadValue() { return ReadValueAt(0); }

 private:
  // Of arrays and inline tables in each other.
  static constexpr int kDepthMax = 16;

  void TakeNewline();
  Result<std::string> ReadKeyPart();
  Result<TomlValue> ReadValueAt(int depth);
  Result<TomlValue> ReadArray(int depth);
  Result<TomlValue> ReadInlineTable(int depth);
  Result<TomlValue> ReadString();
  Result<std::string> ReadBasic();
  Result<std::string> ReadLiteral();
  Result<std::string> ReadBasicLines();
  Result<void> ReadBasicLinesPiece(std::string& out);
  Result<std::string> ReadLiteralLines();
  Result<void> ReadEscape(std::string& out);
  bool TakeLineJoin();
  Result<void> ReadCodePoint(std::size_t digits, std::string& out);
  // Of a """ or ''' string: takes its end and the quotes before that belong to it.
  bool TakeEndOfLines(char quote, std::string& out);
  Result<TomlValue> ReadScalar();

  std::string_view text_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace cloister
