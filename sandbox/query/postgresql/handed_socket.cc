// The socket() and connect() of this program, in place of the C library's.
//
// libpq makes its own socket and takes none that is connected. The kernel would not let this
// process make one: its network namespace is empty, and it has no path. So libpq is given one that
// the node connected. Both calls come from libpq only: nothing else in this program uses sockets by
// name.

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "sandbox/query/postgresql/connection.h"

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
