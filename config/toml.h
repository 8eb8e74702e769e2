#pragma once

// A TOML 1.0 document as tables of entries with their lines: what our two readers need of it.
//
// A reader of our own: a manifest is a tenant's, and the library at hand (toml++ 3.3) has undefined
// behaviour for input as short as "[(". Two levels: tables, alone or in a list, of scalars, of
// lists of strings and of inline tables of strings; whatever is deeper is checked, and is there,
// with its line, as a value of no kind that we read.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

// An inline table of strings, { a = "b", c = "d" }: each key once, in the order of the text.
struct TomlText {
  std::string key;
  std::string text;
};
using TomlTexts = std::vector<TomlText>;

// std::monostate: a date, a list or an inline table of other things than strings.
using TomlValue = std::variant<std::monostate, std::string, std::int64_t, double, bool,
                               std::vector<std::string>, TomlTexts>;

struct TomlEntry {
  std::string key;  // "a.b" for what is deeper than a table
  std::uint32_t line = 0;
  TomlValue value;
};

struct TomlTable {
  std::string name;
  std::uint32_t line = 0;
  bool in_list = false;            // [[name]]: one of any number
  std::vector<TomlEntry> entries;  // in the order of their lines
};

struct TomlDocument {
  std::vector<TomlTable> tables;  // [name] and [[name]], in the order of their lines
  std::vector<TomlEntry> loose;   // keys outside of a table
};

// kInvalidArgument: "FILE:LINE: why"; also when `text` is larger than `size_max` bytes, has control
// characters or is not UTF-8. A key or table that is there twice is an error.
Result<TomlDocument> ParseToml(std::string_view text, std::string_view file_name,
                               std::size_t size_max);

}  // namespace cloister
