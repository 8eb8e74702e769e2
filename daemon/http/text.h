#pragma once

// The character classes and small parsers of HTTP (RFC 9110, 5.6) that requests and responses
// share.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cloister {

constexpr bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

constexpr bool IsHexDigit(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// `lower` is in lower case.
constexpr bool EqualsIgnoreCase(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(),
                                                   [](char a, char b) { return ToLower(a) == b; });
}

constexpr bool IsTokenChar(char c) {
  return IsDigit(c) || (ToLower(c) >= 'a' && ToLower(c) <= 'z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

inline constexpr auto kTokenChars = [] {
  std::array<bool, 256> table = {};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = IsTokenChar(static_cast<char>(i));
  return table;
}();

// A name of a header or a method.
constexpr bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return kTokenChars[static_cast<unsigned char>(c)];
  });
}

// No control character but the tab.
constexpr bool IsFieldValue(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

// `text` as a number: digits only, no sign, no overflow.
constexpr std::optional<std::uint64_t> ParseDecimal(std::string_view text) {
  constexpr std::size_t kDigitsMax = 19;  // 10^19 - 1 fits
  if (text.empty() || text.size() > kDigitsMax)
    return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : text) {
    if (!IsDigit(c))
      return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return number;
}

}  // namespace cloister
