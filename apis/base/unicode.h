#pragma once

// UTF-8 and Unicode's normalisation form C (Unicode Standard Annex 15): what makes two spellings of
// one path the same path.
//
// The tables are those of the Python that the platform ships, made at build time by
// unicode_tables.py.

#include <optional>
#include <string>
#include <string_view>

namespace cloister {

// The code points of `text`; empty when it is not UTF-8 (overlong forms and surrogates are not).
std::optional<std::u32string> DecodeUtf8(std::string_view text);
// `points` must be valid code points.
std::string EncodeUtf8(std::u32string_view points);

inline bool IsUtf8(std::string_view text) {
  return DecodeUtf8(text).has_value();
}

// `points` in normalisation form C.
std::u32string NormalizeNfc(std::u32string_view points);

// Whether `text` is UTF-8 in normalisation form C.
bool IsNfc(std::string_view text);

// `text` with every byte that is not part of UTF-8 replaced by U+FFFD, for readers of JSON.
std::string Utf8OrReplaced(std::string_view text);

}  // namespace cloister
