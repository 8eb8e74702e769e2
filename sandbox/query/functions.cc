#include "sandbox/query/functions.h"

#include "sandbox/query/function.h"

namespace cloister {

Result<void> AddFunctions(sqlite3* db) {
  for (const auto add : {AddTimeFunctions, AddTextFunctions, AddStatistics, AddRegexp})
    if (add(db) != SQLITE_OK)
      return Error{ErrorCode::kSystem, sqlite3_errmsg(db)};
  return {};
}

}  // namespace cloister
