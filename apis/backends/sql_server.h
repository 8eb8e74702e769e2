#pragma once

// Where the operator's SQL server is, who makes apps' databases there, and sockets to it.

#include <cstdint>
#include <string>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"

namespace cloister {

struct SqlServerAddress {
  std::string directory = {};  // of a unix socket; empty: host and port
  std::string host = {};
  std::uint16_t port = 5432;
  std::string user = "postgres";
  std::string password = {};  // empty: the server wants none
  std::string database = "postgres";

  bool operator==(const SqlServerAddress&) const = default;
};

// A socket that is connected, and has said nothing. Blocks, for `timeout` at most for each address
// of the host. kUnavailable: nobody listens.
Result<UniqueFd> ConnectSqlServer(const SqlServerAddress& address, Millis timeout);

}  // namespace cloister
