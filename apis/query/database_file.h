#pragma once

// The form of an app's database file: SQLite's, with a checksum at the end of each page.
//
// SQLite leaves kPageSumSize bytes of each page alone. cloister-query writes the sum there when it
// writes a page, and looks at it when it reads one, so that no flipped bit goes unseen. The log has
// sums of SQLite's own.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace cloister {

inline constexpr std::size_t kDatabasePage = 4096;
inline constexpr std::size_t kPageSumSize = 8;

// Over all of a page but its last kPageSumSize bytes. Zero for a page of zeros: one that was never
// written.
inline std::uint64_t PageSum(std::string_view page) {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  for (std::size_t at = 0; at + 2 * sizeof first <= page.size() - kPageSumSize;
       at += 2 * sizeof first) {
    std::uint32_t words[2];
    std::memcpy(words, page.data() + at, sizeof words);
    first += words[0] + second;
    second += words[1] + first;
  }
  return std::uint64_t{first} << 32 | second;
}

// A database without a table, in WAL mode: one page.
std::string NewDatabaseFile();

}  // namespace cloister
