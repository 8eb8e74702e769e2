#pragma once

// Starts one of our programs: fork, drop everything that the plan does not name, exec.
//
// The child gets an empty environment, its own session (a Ctrl-C is the keeper's alone), /dev/null
// as standard input and our standard error as both outputs, unless the plan names others; the
// descriptors of the plan, all others closed; no privilege but the plan's capabilities; no new
// privileges; and dies with the keeper (PDEATHSIG, armed after the last change of credentials).

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// What crosses into the child: our descriptor, its number there, and its name for errors.
struct InheritedFd {
  int fd = -1;
  int number = -1;
  const char* name = "";
};

// Where the child finds a network.
enum class ChildNetwork {
  kHost,
  kEmpty,        // a new, empty network namespace; needs CAP_SYS_ADMIN
  kEmptyOwnUser  // the same without privilege: in a new user namespace that maps our uid to itself
};

// A limit of the kernel's: RLIMIT_*, soft and hard.
struct ChildLimit {
  int resource = 0;
  std::uint64_t value = 0;
};

struct ChildPlan {
  std::string program;  // absolute path
  std::vector<InheritedFd> fds;
  std::optional<uid_t> uid;       // and gid; none: ours
  std::vector<int> capabilities;  // kept, all else is dropped
  ChildNetwork network = ChildNetwork::kHost;
  std::vector<std::string> arguments = {};  // after the program's name
  std::vector<ChildLimit> limits = {};
  std::optional<Micros> time_slice = std::nullopt;  // of it and all that it starts (time_slice.h)
  int directory_fd = -1;  // where it runs, reached with our privilege; -1: the root
};

// The child's process id once it runs the program; why not otherwise, the failed step in front.
Result<pid_t> SpawnChild(const ChildPlan& plan);

}  // namespace cloister
