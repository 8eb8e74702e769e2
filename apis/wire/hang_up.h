#pragma once

// Whether the peer of a socket has gone.

#include <poll.h>

namespace cloister {

// Whether the other end is closed both ways, or broken. Does not wait. Of TCP a close looks like a
// half one until a write.
inline bool HasHungUp(int fd) {
  pollfd asked = {.fd = fd, .events = 0, .revents = 0};
  return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace cloister
