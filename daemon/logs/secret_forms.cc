#include "daemon/logs/secret_forms.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "apis/backends/sodium.h"
#include "apis/base/unicode.h"

namespace cloister {
namespace {

constexpr std::string_view kAlwaysSafe = "_.-~";

constexpr std::string_view kLower = "0123456789abcdef";
constexpr std::string_view kUpper = "0123456789ABCDEF";

// The number with so many digits, behind what introduces it.
void AppendHex(std::string& out, std::string_view begin, char32_t number, int digits,
               std::string_view alphabet = kLower) {
  out += begin;
  for (int at = digits - 1; at >= 0; --at)
    out += alphabet[number >> (4 * at) & 0xf];
}

// A repr is in single quotes, which it escapes, unless only those are in the text.
bool EscapesQuotes(std::string_view text) {
  return text.find('\'') != std::string_view::npos && text.find('"') != std::string_view::npos;
}

// The escapes that all of Python's literals have in common; false: `c` has none.
bool AppendEscape(std::string& out, char32_t c, bool escapes_quotes) {
  if (c == '\\' || (c == '\'' && escapes_quotes))
    (out += '\\') += static_cast<char>(c);
  else if (c == '\n')
    out += "\\n";
  else if (c == '\r')
    out += "\\r";
  else if (c == '\t')
    out += "\\t";
  else
    return false;
  return true;
}

std::string ReprOfBytes(std::string_view text) {
  std::string out;
  const bool escapes_quotes = EscapesQuotes(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (AppendEscape(out, byte, escapes_quotes))
      continue;
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      AppendHex(out, "\\x", byte, 2);
  }
  return out;
}

// Of those that are no ASCII only the ones that no text has on purpose.
bool IsPrintable(char32_t c) {
  return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c <= 0xa0) && c != 0xad &&
         !(c >= 0x2000 && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202f) &&
         !(c >= 0x205f && c <= 0x206f) && c != 0x3000 && c != 0xfeff;
}

enum class Ascii { kNo, kYes };

std::string ReprOfText(std::u32string_view text, Ascii ascii, bool escapes_quotes) {
  std::string out;
  for (const char32_t c : text) {
    if (AppendEscape(out, c, escapes_quotes))
      continue;
    if (c < 0x80 ? IsPrintable(c) : ascii == Ascii::kNo && IsPrintable(c))
      out += EncodeUtf8({&c, 1});
    else if (c < 0x100)
      AppendHex(out, "\\x", c, 2);
    else if (c < 0x10000)
      AppendHex(out, "\\u", c, 4);
    else
      AppendHex(out, "\\U", c, 8);
  }
  return out;
}

void AppendJsonEscape(std::string& out, char32_t c) {
  if (c < 0x10000)
    return AppendHex(out, "\\u", c, 4);
  const char32_t rest = c - 0x10000;
  AppendHex(out, "\\u", 0xd800 + (rest >> 10), 4);
  AppendHex(out, "\\u", 0xdc00 + (rest & 0x3ff), 4);
}

std::string JsonOf(std::u32string_view text, Ascii ascii) {
  std::string out;
  for (const char32_t c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += static_cast<char>(c);
    else if (c == '\b')
      out += "\\b";
    else if (c == '\f')
      out += "\\f";
    else if (c != '\'' && AppendEscape(out, c, false))
      continue;
    else if (c < 0x20 || (c >= 0x7f && ascii == Ascii::kYes))
      AppendJsonEscape(out, c);
    else
      out += EncodeUtf8({&c, 1});
  }
  return out;
}

std::string QuoteOf(std::string_view text, std::string_view safe, std::string_view space) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c == ' ')
      out += space;
    else if (is_word || kAlwaysSafe.find(c) != std::string_view::npos ||
             safe.find(c) != std::string_view::npos)
      out += c;
    else
      AppendHex(out, "%", byte, 2, kUpper);
  }
  return out;
}

}  // namespace

std::vector<std::string> SecretFormsOf(std::string_view text) {
  std::vector<std::string> forms;
  const auto add = [&](std::string form) {
    if (form == text || std::ranges::find(forms, form) != forms.end())
      WipeBytes(form);
    else
      forms.push_back(std::move(form));
  };
  forms.reserve(8);  // growing would leave copies behind
  add(ReprOfBytes(text));
  add(QuoteOf(text, "/", "%20"));
  add(QuoteOf(text, "", "%20"));
  add(QuoteOf(text, "", "+"));
  if (const std::optional<std::u32string> points = DecodeUtf8(text)) {
    for (const Ascii ascii : {Ascii::kNo, Ascii::kYes}) {
      add(ReprOfText(*points, ascii, EscapesQuotes(text)));
      add(JsonOf(*points, ascii));
    }
  }
  return forms;
}

}  // namespace cloister
