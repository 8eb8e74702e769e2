#pragma once

// Where the operator's SQL server is, who makes apps' databases there, and sockets to it.

#include <cstdint>
#include <string>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"

namespace cloister {

enum class SqlServerKind { kPostgresql, kMariadb };

struct SqlServerAddress {
  SqlServerKind kind = SqlServerKind::kPostgresql;
  std::string directory = {};  // of a unix socket of PostgreSQL's
  std::string socket = {};     // a unix socket of MariaDB's
  std::string host = {};       // empty: one of the two
  std::uint16_t port = 5432;
  std::string user = "postgres";
  std::string password = {};  // empty: the server wants none
  std::string database = "postgres";

  bool operator==(const SqlServerAddress&) const = default;
};

// What an app has there: a database and an account, of one name.
struct SqlServerAccount {
  std::string name;  // [a-z0-9_]+
  std::string password;
  std::uint32_t connections_max = 8;
};

// What the account has in its database.
struct SqlServerUse {
  std::uint64_t tables = 0;  // views are none; 0 too when there is no database
  std::uint64_t bytes = 0;
};

// A socket that is connected, and has said nothing. Blocks, for `timeout` at most for each address
// of the host. kUnavailable: nobody listens.
Result<UniqueFd> ConnectSqlServer(const SqlServerAddress& address, Millis timeout);

}  // namespace cloister
