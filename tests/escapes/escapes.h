#pragma once

// The hostile attempts, one for each line of sandbox/README.md.

#include <span>
#include <vector>

#include "tests/escapes/arena.h"

namespace cloister {

enum class Need {
  kNothing,
  kOwnUid,           // the wall only exists for a worker with a uid of its own
  kLandlockNetwork,  // Landlock ABI 4
  kLandlockScopes,   // Landlock ABI 6
  kI386,             // a kernel that runs i386 programs
};

// Three runs of `attempt`: behind all walls, and with `wall` alone among those that would stop it
// (the ones `beside` it left out), it must fail; with `wall` left out too it must succeed.
struct Escape {
  const char* test = "";  // names the test, and the row of the README
  const char* line = "";  // "A worker cannot ..." of the README
  const char* wall = "";  // steps or namespaces, space between
  const char* beside = "";
  Attempt attempt = nullptr;
  Evidence evidence = Evidence::kItsWord;
  Need need = Need::kNothing;
};

std::span<const Escape> CallEscapes();       // the seccomp filter
std::span<const Escape> MemoryEscapes();     // the seccomp filter and the limits, on memory
std::span<const Escape> HostEscapes();       // namespaces, root, keys, names
std::span<const Escape> PrivilegeEscapes();  // identity, capabilities, limits, Landlock

// All of them, in this order.
std::vector<Escape> AllEscapes();

}  // namespace cloister
