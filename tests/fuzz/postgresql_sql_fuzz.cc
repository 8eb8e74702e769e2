// Arbitrary text as SQL for PostgreSQL: it is refused or not, whatever it is.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "sandbox/query/postgresql/sql_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kWords = 4;
  const std::string_view sql(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> words = cloister::PgWords(sql, kWords);
  CHECK(words.size() <= kWords);
  std::size_t length = 0;
  for (const std::string& word : words) {
    CHECK(!word.empty());
    length += word.size();
  }
  CHECK(length <= size || sql.find('(') != std::string_view::npos);
  (void)cloister::PgRulingOf(words);
  (void)cloister::PgBeginsTransaction(words, sql);
  return 0;
}
