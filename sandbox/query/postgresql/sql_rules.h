#pragma once

// What SQL an app may run on PostgreSQL: sql_rules.def, by the first words of a statement.

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/query/sql_server/rules.h"

namespace cloister {

// The first words of a statement in upper case, at most `count`, as PostgreSQL finds them: comments
// nest. A parenthesis before the first one stands for SELECT.
std::vector<std::string> PgWords(std::string_view sql, std::size_t count);

SqlRuling PgRulingOf(const std::vector<std::string>& words);

// Whether it begins a transaction where the driver asks for that: it changes rows, or locks them.
bool PgBeginsTransaction(const std::vector<std::string>& words, std::string_view sql);

}  // namespace cloister
