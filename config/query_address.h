#pragma once

// Where the SQL server of apps' databases is, from the settings.

#include <optional>
#include <string_view>

#include "apis/backends/sql_server.h"
#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// "postgresql://[USER@]HOST[:PORT][/DATABASE]", or
// "postgresql://[USER@]/[DATABASE]?host=/DIRECTORY" with the directory of a unix socket, and
// "port=NUMBER" behind an "&" for another name of it; "mariadb://[USER@]HOST[:PORT]", or
// "mariadb://[USER@]/?socket=/PATH" with a unix socket. A password in it is refused: settings are
// shown.
Result<SqlServerAddress> ParseQueryServer(std::string_view url);

// None: apps have databases of their own, in files. Settings are valid.
std::optional<SqlServerAddress> QueryServerAddress(const Settings& settings);

}  // namespace cloister
