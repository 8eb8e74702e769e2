#pragma once

// PostgreSQL among SQL servers.

#include "sandbox/query/sql_server/dialect.h"

namespace cloister {

const ServerDialect& PgDialect();

}  // namespace cloister
