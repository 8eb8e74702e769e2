#pragma once

// What SQL an app may run on MariaDB: sql_rules.def, by the first words of a statement and by what
// stands anywhere in it.

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/query/sql_server/rules.h"

namespace cloister {

// The first words of a statement in upper case, at most four, up to what is no word. A parenthesis
// before the first one stands for SELECT.
std::vector<std::string> MyWords(std::string_view sql);

// `words`: of MyWords.
SqlRuling MyRulingOf(const std::vector<std::string>& words, std::string_view sql);

// Whether it begins a transaction where the driver asks for that: it changes rows, or locks them.
bool MyBeginsTransaction(const std::vector<std::string>& words, std::string_view sql);

// Whether it changes rows, and how many can be told.
bool MyChangesRows(std::string_view sql);

// Whether something follows the first semicolon.
bool MyIsSeveral(std::string_view sql);

}  // namespace cloister
