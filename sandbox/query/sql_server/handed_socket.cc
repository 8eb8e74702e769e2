// The socket() and connect() of this program, in place of the C library's.
//
// The library that speaks with the server makes its own socket and takes none that is connected.
// The kernel would not let this process make one: its network namespace is empty, and it has no
// path. So the library is given one that the node connected. Both calls come from it only: nothing
// else in this program uses sockets by name.

#include "sandbox/query/sql_server/handed_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace cloister {
namespace {

int handed = -1;

int TakeHandedSocket() {
  return std::exchange(handed, -1);
}

}  // namespace

void HandSocket(int fd) {
  handed = fd;
}

}  // namespace cloister

extern "C" {

__attribute__((visibility("default"))) int socket(int /*domain*/, int /*type*/,
                                                  int /*protocol*/) noexcept {
  const int fd = cloister::TakeHandedSocket();
  if (fd < 0)
    errno = EACCES;
  return fd;
}

__attribute__((visibility("default"))) int connect(int /*fd*/, const sockaddr* /*address*/,
                                                   socklen_t /*size*/) {
  return 0;
}

}  // extern "C"
