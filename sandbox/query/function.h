#pragma once

// What the SQL functions of cloister-query are written with. Only their sources include this.

#include <cstdint>
#include <new>
#include <string_view>

#include <sqlite3.h>

namespace cloister {

using FunctionContext = sqlite3_context*;
using FunctionArguments = sqlite3_value**;

struct SqlFunction {
  const char* name = "";
  int arguments = 0;
  void (*run)(sqlite3_context* context, int count, sqlite3_value** values) = nullptr;
  bool deterministic = true;
};

inline bool AnyNull(int count, sqlite3_value** values) {
  for (int i = 0; i < count; ++i)
    if (sqlite3_value_type(values[i]) == SQLITE_NULL)
      return true;
  return false;
}

inline std::string_view TextOf(sqlite3_value* value) {
  const void* text = sqlite3_value_text(value);
  return text == nullptr ? std::string_view()
                         : std::string_view(static_cast<const char*>(text),
                                            static_cast<std::size_t>(sqlite3_value_bytes(value)));
}

inline void ReturnText(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

inline void Fail(sqlite3_context* context, std::string_view why) {
  sqlite3_result_error(context, why.data(), static_cast<int>(why.size()));
}

// SQLite is C: nothing may be thrown through it.
inline void RunFunction(sqlite3_context* context, int count, sqlite3_value** values) {
  const auto run = reinterpret_cast<decltype(SqlFunction::run)>(sqlite3_user_data(context));
  try {
    run(context, count, values);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

inline int AddFunction(sqlite3* db, const SqlFunction& function) {
  const int flags =
      SQLITE_UTF8 | SQLITE_INNOCUOUS | (function.deterministic ? SQLITE_DETERMINISTIC : 0);
  return sqlite3_create_function_v2(db, function.name, function.arguments, flags,
                                    reinterpret_cast<void*>(function.run), RunFunction, nullptr,
                                    nullptr, nullptr);
}

// Each of a source of its own.
int AddTimeFunctions(sqlite3* db);
int AddTextFunctions(sqlite3* db);
int AddStatistics(sqlite3* db);
int AddRegexp(sqlite3* db);

}  // namespace cloister
