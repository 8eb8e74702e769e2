#pragma once

// What the program of each kind of SQL server does: argv, the login, the walls, the loop.

#include <memory>

#include "apis/base/result.h"
#include "sandbox/query/sql_server/connection.h"
#include "sandbox/query/sql_server/dialect.h"

namespace cloister {

struct ServerProgram {
  const ServerDialect& dialect;
  // Logs in, before the walls: `fd` is a connected socket, and the connection's from now on.
  // Blocks.
  Result<std::unique_ptr<ServerConnection>> (*open)(int fd, const ServerLogin& login);
};

// The status to exit with, not through destructors: the server sees the connections close.
//
//   argv: title, bytes of memory, number of descriptors from 5 on, Landlock's ABI
//
// The channel is at descriptor 3, the node's control socket at 4, from 5 on a memory file with the
// login (QueryLogin) and sockets that are connected to the server. It logs in with all of them
// before the walls, and can make no other connection afterwards: when the server closes one, the
// process ends with the reason, and the node starts another, which it hands fresh sockets.
int RunServerProgram(int argc, char** argv, const ServerProgram& program);

}  // namespace cloister
