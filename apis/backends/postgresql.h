#pragma once

// What the node does on the operator's PostgreSQL server: make the database and the role of an app,
// and take them away. Everything blocks, for seconds when the server is slow: in the background
// only.

#include <string>

#include "apis/backends/sql_server.h"
#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// Makes what is missing, and puts back what the role may have changed of itself: its password and
// its settings. The role may log in and use its database's schema, and nothing else.
Result<void> MakePostgresqlAccount(const SqlServerAddress& server, const SqlServerAccount& account);

// Ends what runs statements of that role for longer than `age`: nobody waits for them. Where the
// server's user may not see that, nothing.
Result<void> EndPostgresqlStatements(const SqlServerAddress& server, const std::string& name,
                                     Millis age);

// Whether the server is there, and lets the node in.
Result<void> CheckPostgresqlServer(const SqlServerAddress& server);

Result<SqlServerUse> PostgresqlUseOf(const SqlServerAddress& server, const std::string& name);

// With all that is in it, whoever is connected.
Result<void> DropPostgresqlAccount(const SqlServerAddress& server, const std::string& name);

}  // namespace cloister
