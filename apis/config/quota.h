#pragma once

// How much config one app may have.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct ConfigQuota {
  std::uint32_t keys_max = 256;  // secrets among them
  Bytes bytes_max = KiB(64);     // of names and values together
};

}  // namespace cloister
