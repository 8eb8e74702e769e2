#pragma once

// The way of a connected socket into a library that would make its own.

namespace cloister {

// The next socket that the library asks the system for is this one, which it owns then.
void HandSocket(int fd);

}  // namespace cloister
