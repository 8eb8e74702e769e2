#pragma once

// The limits of one worker, as sandbox/confine and the keeper's cgroups apply them.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct WorkerLimits {
  Bytes memory_max = MiB(256);          // RLIMIT_DATA and the cgroup's memory.max
  Bytes address_space_max = MiB(1024);  // RLIMIT_AS: a ceiling above memory_max and the images
  std::uint32_t threads_max = 64;       // RLIMIT_NPROC and pids.max
  std::uint32_t cpu_millis = 1000;      // thousandths of a core
  Millis wall_max{30000};               // of one request

  // Whether a worker that was made within the others is within these as it is: all but wall_max
  // belongs to the process.
  bool FitsProcessOf(const WorkerLimits& other) const {
    return memory_max == other.memory_max && address_space_max == other.address_space_max &&
           threads_max == other.threads_max && cpu_millis == other.cpu_millis;
  }
};

}  // namespace cloister
