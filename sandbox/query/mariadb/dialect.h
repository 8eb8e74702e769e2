#pragma once

// MariaDB among SQL servers.

#include "sandbox/query/sql_server/dialect.h"

namespace cloister {

const ServerDialect& MyDialect();

}  // namespace cloister
