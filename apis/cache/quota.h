#pragma once

// What one app may use of the cache.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct CacheQuota {
  Bytes bytes_max = MiB(64);        // keys, values and what each costs: then the app's own go
  Bytes value_max = MiB(1);         // a larger one is refused
  std::uint32_t key_max = 250;      // bytes of a key
  std::uint32_t calls_rate = 5000;  // a second; each key of a call for many counts as one

  bool operator==(const CacheQuota&) const = default;
};

}  // namespace cloister
