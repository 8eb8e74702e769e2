#pragma once

// What the node does on the operator's MariaDB server: make the database and the account of an app,
// copies of it for checks, and take them away. Everything blocks, for seconds when the server is
// slow: in the background only.

#include <string>

#include "apis/backends/sql_server.h"
#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// Of every session on an app's database, so that SQL means what it means on the other engines.
inline constexpr const char* kMariadbSession =
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,"
    "NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_"
    "IN_DATE',"
    " SESSION time_zone = '+00:00', SESSION tx_isolation = 'READ-COMMITTED', SESSION autocommit = "
    "1,"
    " SESSION collation_connection = 'utf8mb4_nopad_bin', SESSION default_storage_engine = "
    "'InnoDB',"
    " SESSION max_recursive_iterations = 4294967295, SESSION group_concat_max_len = 16777216,"
    " SESSION foreign_key_checks = 1, SESSION wait_timeout = 31536000";

// How it is proven who logs in: ways that tell the server no password. One that asks for another
// way (mysql_clear_password, dialog) would have the password itself. The first is that of apps'
// accounts.
inline constexpr const char* kMariadbAppPlugin = "mysql_native_password";
inline constexpr const char* kMariadbNodePlugins = "mysql_native_password,client_ed25519";

// Makes what is missing, and sets the account's password and limit. It may use its database's
// tables, views and triggers, and nothing else. kUnavailable too when the server lets every account
// use other databases.
Result<void> MakeMariadbAccount(const SqlServerAddress& server, const SqlServerAccount& account);

// Whether the server is there, lets the node in, and can be used for apps' databases.
Result<void> CheckMariadbServer(const SqlServerAddress& server);

Result<SqlServerUse> MariadbUseOf(const SqlServerAddress& server, const std::string& name);

// With all that is in it, copies among it. Its sessions end with their next statement.
Result<void> DropMariadbAccount(const SqlServerAddress& server, const std::string& name);

// Makes a database with what the account's has, and an account for it, which has no right to the
// former. False: its tables are larger than `bytes_max`, or too many, and there is none. Copies of
// the account's that are older than some hours are dropped.
Result<bool> MakeMariadbCopy(const SqlServerAddress& server, const SqlServerAccount& account,
                             const SqlServerAccount& copy, Bytes bytes_max);
Result<void> DropMariadbCopy(const SqlServerAddress& server, const std::string& copy);

// The name of a new copy.
std::string MariadbCopyName(const std::string& name);

}  // namespace cloister
