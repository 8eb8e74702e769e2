#pragma once

// How many rows the tables of a database have: what a rollback with data would change.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/cli/api.h"
#include "daemon/cli/failure.h"
#include "daemon/cli/shell_client.h"

namespace cloister {

// By table. Empty: it was not counted, for want of time or because it cannot be read.
using RowCounts = std::map<std::string, std::optional<std::uint64_t>>;

// Of an app's database on SQLite, or of a snapshot. No table is counted after the first seconds;
// each count is one statement, within the app's quota of their time.
Attempt<RowCounts> CountRows(AdminApi& api, const ShellClient::Target& target);

// The tables whose rows are not as many in both, a line each, under a line of titles; then what is
// not shown.
std::vector<std::string> CompareRows(const RowCounts& now, const RowCounts& then);

}  // namespace cloister
