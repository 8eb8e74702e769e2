#pragma once

// What one app may use of the cache.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct CacheQuota {
  Bytes bytes_max = MiB(64);    // keys, values and what each costs: then the app's own go
  Bytes value_max = MiB(1);     // a larger one is refused
  std::uint32_t key_max = 250;  // bytes of a key
  // A second; each key of a call for many counts as one, and CacheCostOfBytes is added.
  std::uint32_t calls_rate = 5000;

  bool operator==(const CacheQuota&) const = default;
};

// What goes beyond the first of so many bytes, of a call and of its answer, counts as further
// calls.
inline constexpr std::uint64_t kCacheBytesPerCall = 16384;
// A key, and what stands around a value, cost nothing.
inline constexpr std::uint64_t kCacheFreeBytes = 512;

constexpr std::uint32_t CacheCostOfBytes(std::uint64_t bytes) {
  constexpr std::uint64_t kFree = kCacheFreeBytes + kCacheBytesPerCall;
  return bytes <= kFree ? 0
                        : static_cast<std::uint32_t>((bytes - kFree + kCacheBytesPerCall - 1) /
                                                     kCacheBytesPerCall);
}

}  // namespace cloister
