#pragma once

// What one app may keep as objects.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct PersistenceQuota {
  Bytes bytes_max = GiB(100);           // of all objects
  Bytes object_max = GiB(5);            // of one
  std::uint32_t objects_max = 1000000;  // and as many names
  std::uint32_t writes_rate = 100;      // a second: objects and names written or deleted
  std::uint32_t calls_rate = 5000;      // a second

  bool operator==(const PersistenceQuota&) const = default;
};

}  // namespace cloister
