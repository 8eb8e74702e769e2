#pragma once

// A blank that becomes cloister-query: another program, so that neither the interpreter nor the
// layout of the workers' memory is in the process that holds an app's database.

#include <cstdint>

#include "apis/base/result.h"
#include "apis/wire/fd_socket.h"

namespace cloister {

struct QueryStart {
  std::uint64_t worker_id = 0;
  const char* program =
      "";  // the path of the one for SQLite; others' have the engine's name behind
  int landlock_abi = 0;
  int control_fd = -1;  // to the node; closed when the program runs
};

// Whether the hand-over is for a query process.
bool IsForQuery(const Packet& packet);

// Puts what came with it at descriptors 3 and up, and becomes the program. Returns why it could
// not. `start.control_fd` is another one then.
Error BecomeQuery(const Packet& packet, QueryStart& start);

}  // namespace cloister
