#pragma once

// Step rlimits: the floor of a worker's quotas, which holds with and without cgroups.
//
// RLIMIT_DATA alone is no floor for memory (read-only remapping escapes it), hence RLIMIT_AS as a
// ceiling above it.

#include <cstdint>
#include <optional>

#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// RLIMIT_DATA counts thread stacks whole, so they are small; the main thread's may grow further.
inline constexpr Bytes kThreadStack = MiB(1);
inline constexpr Bytes kMainStackMax = MiB(8);

// What differs from worker to worker; the other limits are the same for all.
struct ResourceLimits {
  Bytes data_max;                           // RLIMIT_DATA
  Bytes address_space_max;                  // RLIMIT_AS
  std::uint32_t threads_max = 1;            // RLIMIT_NPROC
  std::uint32_t descriptors_max = 0;        // RLIMIT_NOFILE: a worker opens none
  std::optional<Bytes> file_max = Bytes{};  // RLIMIT_FSIZE; none: as it is
};

// Soft and hard limits alike, and the default stack size of new threads.
Result<void> LimitResources(const ResourceLimits& limits);

}  // namespace cloister
