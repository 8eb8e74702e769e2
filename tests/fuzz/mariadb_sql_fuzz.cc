// Arbitrary text as SQL for MariaDB: its tokens are pieces of it, one behind the other, and it is
// refused or not, whatever it is.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "sandbox/query/mariadb/sql_rules.h"
#include "sandbox/query/mariadb/tokens.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view sql(reinterpret_cast<const char*>(data), size);
  cloister::MyTokens tokens(sql);
  const char* end = sql.data();
  while (const auto token = tokens.Next()) {
    CHECK(!token->text.empty() && token->text.data() >= end);
    end = token->text.data() + token->text.size();
    CHECK(end <= sql.data() + sql.size());
    CHECK(token->word().size() <= token->text.size());
  }
  const std::vector<std::string> words = cloister::MyWords(sql);
  CHECK(words.size() <= 4);
  (void)cloister::MyRulingOf(words, sql);
  (void)cloister::MyBeginsTransaction(words, sql);
  (void)cloister::MyIsSeveral(sql);
  return 0;
}
