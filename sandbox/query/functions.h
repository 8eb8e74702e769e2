#pragma once

// SQL functions of cloister-query beside SQLite's own: those that Django's backend expects of its
// database, and the REGEXP operator.

#include "apis/base/result.h"

struct sqlite3;

namespace cloister {

Result<void> AddFunctions(sqlite3* db);

}  // namespace cloister
