#include "config/toml_scanner.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>

#include "apis/base/unicode.h"

namespace cloister {
namespace {

Error Wrong(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsBareKeyChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '_' || c == '-';
}

// What may stand in a number, a date or a word such as true.
bool IsScalarChar(char c) {
  return IsBareKeyChar(c) || c == '+' || c == '.' || c == ':';
}

// `text` without the underscores between digits; empty when one stands elsewhere.
std::string WithoutUnderscores(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain += text[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() &&
                         std::isxdigit(static_cast<unsigned char>(text[i - 1])) != 0 &&
                         std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0;
    if (!between)
      return "";
  }
  return plain;
}

// Empty when it is not an integer.
std::optional<std::int64_t> ParseInteger(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x"))
    base = 16;
  else if (text.starts_with("0o"))
    base = 8;
  else if (text.starts_with("0b"))
    base = 2;
  if (base != 10)
    text.remove_prefix(2);
  else if (text.starts_with('+'))
    text.remove_prefix(1);
  const std::string_view digits = text.starts_with('-') && base == 10 ? text.substr(1) : text;
  const bool leading_zero = base == 10 && digits.size() > 1 && digits.front() == '0';
  if (digits.empty() || leading_zero || digits.front() == '-' || digits.front() == '+')
    return std::nullopt;
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, base);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    return std::nullopt;
  return number;
}

std::optional<double> ParseFloat(std::string_view text) {
  if (text.starts_with('+'))
    text.remove_prefix(1);
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits == "inf" || digits == "nan")
    return digits == "nan"         ? std::numeric_limits<double>::quiet_NaN()
           : text.starts_with('-') ? -std::numeric_limits<double>::infinity()
                                   : std::numeric_limits<double>::infinity();
  const std::size_t dot = digits.find('.');
  const bool dot_between_digits =
      dot == std::string_view::npos || (dot + 1 < digits.size() && IsDigit(digits[dot + 1]));
  const bool leading_zero = digits.size() > 1 && digits[0] == '0' && IsDigit(digits[1]);
  // Without either it is an integer, and one that is too large.
  if (digits.find_first_of(".eE") == std::string_view::npos)
    return std::nullopt;
  if (digits.empty() || !IsDigit(digits.front()) || !dot_between_digits || leading_zero)
    return std::nullopt;
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    return std::nullopt;
  return number;
}

// Dates and times have values here that nobody reads: their outline is enough.
bool LooksLikeDateOrTime(std::string_view text) {
  const bool date = text.size() >= 10 && text[4] == '-' && text[7] == '-';
  const bool time = text.size() >= 8 && text[2] == ':' && text[5] == ':';
  return (date || time) && std::all_of(text.begin(), text.end(), [](char c) {
           return IsDigit(c) || std::string_view("-:.TtZz+").find(c) != std::string_view::npos;
         });
}

std::string Shown(std::string_view text) {
  return "'" + std::string(text.substr(0, 40)) + "'";
}

Result<void> AddText(TomlTexts& texts, const std::string& key, std::string text) {
  // Every table that we read has few keys: what is longer costs time and is no such table.
  constexpr std::size_t kTextsMax = 16;
  if (texts.size() == kTextsMax)
    return Wrong("the table has more than 16 keys");
  if (std::ranges::find(texts, key, &TomlText::key) != texts.end())
    return Wrong("the key '" + key + "' is there twice");
  texts.push_back({.key = key, .text = std::move(text)});
  return {};
}

}  // namespace

bool TomlScanner::Take(std::string_view word) {
  if (text_.substr(at_, word.size()) != word)
    return false;
  at_ += word.size();
  return true;
}

void TomlScanner::SkipBlanks() {
  while (Peek() == ' ' || Peek() == '\t')
    ++at_;
}

void TomlScanner::TakeNewline() {
  if (Take("\r\n") || Take("\n"))
    ++line_;
}

void TomlScanner::SkipLines() {
  for (;;) {
    SkipBlanks();
    if (Peek() == '#')
      at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
    const std::uint32_t before = line_;
    TakeNewline();
    if (line_ == before)
      return;
  }
}

Result<void> TomlScanner::EndLine() {
  SkipBlanks();
  if (Peek() == '#')
    at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
  const std::uint32_t before = line_;
  TakeNewline();
  if (line_ == before && !at_end())
    return Wrong("expected the end of the line, not " +
                 Shown(text_.substr(at_, text_.find_first_of("\r\n", at_) - at_)));
  return {};
}

Result<std::vector<std::string>> TomlScanner::ReadKey() {
  std::vector<std::string> parts;
  do {
    SkipBlanks();
    parts.push_back(TRY(ReadKeyPart()));
    SkipBlanks();
    if (parts.size() > static_cast<std::size_t>(kDepthMax))
      return Wrong("the key has too many parts");
  } while (Take("."));
  return parts;
}

Result<std::string> TomlScanner::ReadKeyPart() {
  if (Take("\""))
    return ReadBasic();
  if (Take("'"))
    return ReadLiteral();
  std::size_t end = at_;
  while (end < text_.size() && IsBareKeyChar(text_[end]))
    ++end;
  if (end == at_)
    return Wrong("expected a key: a-z, 0-9, '-' and '_', or in quotes");
  std::string key(text_.substr(at_, end - at_));
  at_ = end;
  return key;
}

Result<TomlValue> TomlScanner::ReadValueAt(int depth) {
  if (depth > kDepthMax)
    return Wrong("values are nested too deeply");
  if (Peek() == '"' || Peek() == '\'')
    return ReadString();
  if (Take("["))
    return ReadArray(depth);
  if (Take("{"))
    return ReadInlineTable(depth);
  return ReadScalar();
}

// After its '['. A list of strings, or std::monostate when it has anything else.
Result<TomlValue> TomlScanner::ReadArray(int depth) {
  std::vector<std::string> items;
  bool only_strings = true;
  for (;;) {
    SkipLines();
    if (Take("]"))
      break;
    TomlValue item = TRY(ReadValueAt(depth + 1));
    if (auto* text = std::get_if<std::string>(&item))
      items.push_back(std::move(*text));
    else
      only_strings = false;
    SkipLines();
    if (Take("]"))
      break;
    if (!Take(","))
      return Wrong("expected ',' or ']' in the list");
  }
  return only_strings ? TomlValue(std::move(items)) : TomlValue(std::monostate());
}

// After its '{'. A table of strings, or std::monostate when it has anything else.
Result<TomlValue> TomlScanner::ReadInlineTable(int depth) {
  TomlTexts texts;
  bool only_strings = true;
  SkipBlanks();
  if (Take("}"))
    return TomlValue(std::monostate());
  for (;;) {
    const std::vector<std::string> key = TRY(ReadKey());
    if (!Take("="))
      return Wrong("expected '=' after the key");
    SkipBlanks();
    TomlValue item = TRY(ReadValueAt(depth + 1));
    auto* const text = std::get_if<std::string>(&item);
    only_strings = only_strings && text != nullptr && key.size() == 1;
    if (only_strings)
      TRY(AddText(texts, key[0], std::move(*text)));
    SkipBlanks();
    if (Take("}"))
      return only_strings ? TomlValue(std::move(texts)) : TomlValue(std::monostate());
    if (!Take(","))
      return Wrong("expected ',' or '}' in the table");
  }
}

Result<TomlValue> TomlScanner::ReadString() {
  if (Take("\"\"\""))
    return TomlValue(TRY(ReadBasicLines()));
  if (Take("'''"))
    return TomlValue(TRY(ReadLiteralLines()));
  if (Take("\""))
    return TomlValue(TRY(ReadBasic()));
  (void)Take("'");
  return TomlValue(TRY(ReadLiteral()));
}

// After its opening quote, as the three below.
Result<std::string> TomlScanner::ReadBasic() {
  std::string out;
  while (!at_end() && Peek() != '\n' && Peek() != '\r') {
    if (Take("\""))
      return out;
    if (Take("\\"))
      TRY(ReadEscape(out));
    else
      out += text_[at_++];
  }
  return Wrong("the string has no closing quote");
}

Result<std::string> TomlScanner::ReadLiteral() {
  const std::size_t end = text_.find_first_of("'\r\n", at_);
  if (end == std::string_view::npos || text_[end] != '\'')
    return Wrong("the string has no closing quote");
  std::string out(text_.substr(at_, end - at_));
  at_ = end + 1;
  return out;
}

Result<std::string> TomlScanner::ReadBasicLines() {
  std::string out;
  TakeNewline();
  while (!at_end()) {
    if (TakeEndOfLines('"', out))
      return out;
    TRY(ReadBasicLinesPiece(out));
  }
  return Wrong("the string has no closing quotes");
}

// One character, line end or escape.
Result<void> TomlScanner::ReadBasicLinesPiece(std::string& out) {
  if (Peek() == '\n' || Peek() == '\r') {
    out += '\n';
    TakeNewline();
    return {};
  }
  if (Take("\\"))
    return TakeLineJoin() ? Result<void>() : ReadEscape(out);
  out += text_[at_++];
  return {};
}

Result<std::string> TomlScanner::ReadLiteralLines() {
  std::string out;
  TakeNewline();
  while (!at_end()) {
    if (TakeEndOfLines('\'', out))
      return out;
    if (Peek() == '\n' || Peek() == '\r') {
      out += '\n';
      TakeNewline();
    } else {
      out += text_[at_++];
    }
  }
  return Wrong("the string has no closing quotes");
}

bool TomlScanner::TakeEndOfLines(char quote, std::string& out) {
  constexpr std::size_t kQuotes = 3;
  const std::size_t end = std::min(text_.find_first_not_of(quote, at_), text_.size());
  const std::size_t count = end - at_;
  if (count < kQuotes)
    return false;
  // Up to two quotes may stand right before the closing three.
  out.append(std::min(count - kQuotes, std::size_t{2}), quote);
  at_ += std::min(count, kQuotes + 2);
  return true;
}

// After its '\'.
Result<void> TomlScanner::ReadEscape(std::string& out) {
  constexpr std::string_view kNames = "btnfr\"\\";
  constexpr std::string_view kMeanings = "\b\t\n\f\r\"\\";
  const std::size_t known = at_end() ? std::string_view::npos : kNames.find(Peek());
  if (known != std::string_view::npos) {
    out += kMeanings[known];
    ++at_;
    return {};
  }
  if (Take("u"))
    return ReadCodePoint(4, out);
  if (Take("U"))
    return ReadCodePoint(8, out);
  return Wrong("unknown escape in the string; write a '\\' as '\\\\'");
}

// After a '\\': at the end of a line, what follows is joined to what was.
bool TomlScanner::TakeLineJoin() {
  const std::size_t end = text_.find_first_not_of(" \t", at_);
  if (end == std::string_view::npos || (text_[end] != '\n' && text_[end] != '\r'))
    return false;
  while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') {
    SkipBlanks();
    TakeNewline();
  }
  return true;
}

Result<void> TomlScanner::ReadCodePoint(std::size_t digits, std::string& out) {
  const std::string_view hex = text_.substr(at_, digits);
  std::uint32_t point = 0;
  const auto parsed = std::from_chars(hex.data(), hex.data() + hex.size(), point, 16);
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (hex.size() != digits || parsed.ec != std::errc() || parsed.ptr != hex.data() + hex.size() ||
      surrogate || point > 0x10ffff)
    return Wrong("\\u needs four digits and \\U eight, of a Unicode character");
  at_ += digits;
  out += EncodeUtf8(std::u32string(1, static_cast<char32_t>(point)));
  return {};
}

Result<TomlValue> TomlScanner::ReadScalar() {
  std::size_t end = at_;
  while (end < text_.size() && IsScalarChar(text_[end]))
    ++end;
  const std::string_view word = text_.substr(at_, end - at_);
  if (word.empty())
    return Wrong("expected a value: a string in quotes, a number, true, false or a [list]");
  at_ = end;
  if (word == "true" || word == "false")
    return TomlValue(word == "true");
  const std::string plain = WithoutUnderscores(word);
  if (const std::optional<std::int64_t> integer = ParseInteger(plain))
    return TomlValue(*integer);
  if (const std::optional<double> number = ParseFloat(plain))
    return TomlValue(*number);
  if (LooksLikeDateOrTime(word))
    return TomlValue(std::monostate());
  return Wrong(Shown(word) + " is not a value: a string needs quotes");
}

}  // namespace cloister
