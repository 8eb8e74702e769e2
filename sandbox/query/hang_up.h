#pragma once

// Whether a worker has gone.

#include <poll.h>

namespace cloister {

// Whether the other end of the socket is closed. Does not wait.
inline bool HasHungUp(int fd) {
  pollfd asked = {.fd = fd, .events = 0, .revents = 0};
  return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace cloister
