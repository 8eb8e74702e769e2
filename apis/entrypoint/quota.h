#pragma once

// What the requests of one app may use of the node. What a worker may use while it runs one is the
// sandbox's: sandbox/limits.h.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct EntrypointQuota {
  std::uint32_t requests_rate = 500;  // a second, and at once
  std::uint32_t concurrent_max = 64;  // of one release, in its workers
  Bytes body_max = MiB(32);
  std::uint32_t workers_max = 8;
  std::uint32_t queue_max = 256;   // requests that wait for a worker
  std::uint32_t draining_max = 8;  // former releases that finish what they began
};

}  // namespace cloister
