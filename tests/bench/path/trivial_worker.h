#pragma once

// A zygote whose workers answer every request with the same 12 bytes: real processes on real
// channels, without walls and without Python. What is left is what the node itself costs.

#include "apis/base/unique_fd.h"

namespace cloister {

// Serves BlankWanted on `socket` until it is closed; in a process of its own.
[[noreturn]] void RunTrivialZygote(UniqueFd socket);

}  // namespace cloister
