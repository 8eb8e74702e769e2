#pragma once

// What SQL an app may run: sql_rules.def, asked by SQLite's authorizer while it prepares a
// statement.

#include <string>
#include <string_view>

namespace cloister {

// Whether statements may change anything.
enum class SqlAccess { kReadWrite, kReadOnly };

// What SQLite's authorizer is asked; the texts may be null.
struct SqlAction {
  int code = 0;
  const char* first = nullptr;
  const char* second = nullptr;
  const char* database = nullptr;
};

// Empty: allowed; else why not.
std::string RefusalOf(const SqlAction& action, SqlAccess access);

// The first word of a statement in upper case, without what stands before it: comments, spaces.
std::string FirstWord(std::string_view sql);
// Whether nothing follows but spaces, comments and semicolons.
bool IsBlank(std::string_view sql);

}  // namespace cloister
